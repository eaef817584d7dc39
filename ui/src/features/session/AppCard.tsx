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
  SquareTerminal,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { type AppState, inWindow, type OpenedApp, type Session, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction } from '@/bridge/query';
import { CopyAddress } from '@/features/tunnel/CopyAddress';
import { ErrorState, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

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
  const open = useAction('app.open');
  const page = app.protocol === 'http' || app.protocol === 'preopen';
  const Icon = ICONS[app.name] ?? (page ? AppWindow : Plug);

  const show = (opened: OpenedApp) => {
    if (page)
      openUrl(opened.browser_url ?? opened.url).catch((thrown) => toast.failed(toFailure(thrown)));
  };
  const start = () =>
    open.mutate({ session: session.id, app: app.name, guarded: true }, { onSuccess: show });

  return (
    <article className={styles.app} data-testid={ids.drawer.app(app.name)} data-state={app.state}>
      <header>
        <Icon size={20} strokeWidth={1.5} aria-hidden />
        <div className="truncate">
          <strong>{app.title}</strong>
          <small className="muted">{t(`apps.state.${app.state}`)}</small>
          {app.needs && <small className="muted">{t('apps.needs', { program: app.needs })}</small>}
        </div>
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
            loading={open.isPending}
            onClick={start}
            data-testid={ids.drawer.appOpen(app.name)}
          >
            {page ? t('apps.open') : t('apps.connect')}
          </Button>
        )}
      </header>
      {open.data && (
        <p className={styles.address}>
          {page && !inWindow() ? (
            <a
              className="truncate mono"
              href={open.data.browser_url ?? open.data.url}
              target="_blank"
              rel="noreferrer"
            >
              {open.data.url}
            </a>
          ) : (
            <code className="truncate">
              {page ? open.data.url : `127.0.0.1:${open.data.local_port}`}
            </code>
          )}
          <CopyAddress
            tunnel={{
              id: open.data.tunnel_id,
              url: page ? open.data.url : null,
              guarded: page,
              local_port: open.data.local_port,
            }}
          />
        </p>
      )}
      {open.error && <ErrorState failure={open.error} onRetry={start} onClose={open.reset} />}
    </article>
  );
}
