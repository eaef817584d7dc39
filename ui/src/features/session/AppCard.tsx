import { Button } from 'antd';
import {
  AppWindow,
  ChartSpline,
  CodeXml,
  Download,
  ExternalLink,
  type LucideIcon,
  NotebookText,
  Plug,
  Share2,
  SquareTerminal,
} from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type AppState, inWindow, type OpenedApp, type Session, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction } from '@/bridge/query';
import { CopyAddress } from '@/features/tunnel/CopyAddress';
import { LaunchReport } from '@/features/tunnel/LaunchReport';
import { ErrorState, IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import { ShareDialog } from './ShareDialog';
import { AppLines, StartLimit, StartProgress } from './StartProgress';
import styles from './session.module.css';
import { useLaunch } from './useLaunch';

const ICONS: Record<string, LucideIcon> = {
  jupyterlab: NotebookText,
  jupyter: NotebookText,
  tensorboard: ChartSpline,
  vscode: CodeXml,
  ttyd: SquareTerminal,
};

interface Props {
  app: AppState;
  session: Session;
  busy: boolean;
  onInstall: () => void;
}

/** One app: open it, or put it into the session first. */
export function AppCard({ app, session, busy, onInstall }: Props) {
  const { t } = useTranslation();
  const toast = useToast();
  const launch = useLaunch(session.id, app.name);
  const stop = useAction('app.stop');
  const [sharing, setSharing] = useState(false);
  const page = app.protocol === 'http' || app.protocol === 'preopen';
  const Icon = ICONS[app.name] ?? (page ? AppWindow : Plug);

  const show = (opened: OpenedApp) => {
    if (page)
      openUrl(opened.browser_url ?? opened.url).catch((thrown) => toast.failed(toFailure(thrown)));
  };
  const start = (limit: number | null = null) => launch.start(limit, show);
  const { opened, failure } = launch;
  const end = () => {
    launch.clear();
    // One that has not got as far as a process has nothing to end.
    stop.mutate({ session: session.id, app: app.name });
  };

  return (
    <article className={styles.app} data-testid={ids.drawer.app(app.name)} data-state={app.state}>
      <header>
        <Icon size={20} strokeWidth={1.5} aria-hidden />
        <div className="truncate">
          <strong>{app.title}</strong>
          <small className="muted">{t(`apps.state.${app.state}`)}</small>
          {app.needs && <small className="muted">{t('apps.needs', { program: app.needs })}</small>}
        </div>
        {app.shareable && (
          <IconButton
            label={t('apps.share')}
            icon={<Share2 size={14} />}
            onClick={() => setSharing(true)}
            testId={ids.drawer.appShare(app.name)}
          />
        )}
        {app.state === 'missing' ? (
          app.installable && (
            <Button
              size="small"
              icon={<Download size={13} />}
              disabled={busy}
              onClick={onInstall}
              data-testid={ids.drawer.appInstall(app.name)}
            >
              {t('apps.install')}
            </Button>
          )
        ) : (
          <Button
            size="small"
            icon={<ExternalLink size={13} />}
            loading={launch.running}
            onClick={() => start()}
            data-testid={ids.drawer.appOpen(app.name)}
          >
            {page ? t('apps.open') : t('apps.connect')}
          </Button>
        )}
      </header>
      {launch.running && launch.progress && (
        <StartProgress app={app.name} progress={launch.progress} onStop={end} />
      )}
      {opened && (
        <p className={styles.address}>
          {page && !inWindow() ? (
            <a
              className="truncate mono"
              href={opened.browser_url ?? opened.url}
              target="_blank"
              rel="noreferrer"
            >
              {opened.url}
            </a>
          ) : (
            <code className="truncate">{page ? opened.url : `127.0.0.1:${opened.local_port}`}</code>
          )}
          <CopyAddress
            tunnel={{
              id: opened.tunnel_id,
              url: page ? opened.url : null,
              guarded: page,
              local_port: opened.local_port,
            }}
          />
        </p>
      )}
      {failure && (
        <>
          <ErrorState
            failure={failure}
            {...(failure.code === 'app_timeout' ? {} : { onRetry: () => start() })}
            onClose={launch.clear}
            actions={
              <>
                {failure.code === 'app_timeout' && (
                  <>
                    <Button
                      size="small"
                      onClick={() => start()}
                      data-testid={ids.drawer.appWait(app.name)}
                    >
                      {t('apps.wait_longer')}
                    </Button>
                    <Button size="small" onClick={end}>
                      {t('apps.stop')}
                    </Button>
                    <StartLimit app={app.name} />
                  </>
                )}
                <LaunchReport failure={failure} />
              </>
            }
          />
          <AppLines app={app.name} lines={launch.lines} />
        </>
      )}
      {sharing && <ShareDialog app={app} session={session} onClose={() => setSharing(false)} />}
    </article>
  );
}
