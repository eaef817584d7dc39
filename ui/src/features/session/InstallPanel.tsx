import { Alert, Button, Progress } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type AppState, Failure, type Session, stream } from '@/bridge';
import { ErrorState, Section } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

const KEPT_LINES = 2_000;

interface Props {
  app: AppState;
  session: Session;
  onClose: () => void;
}

/** An app on its way into the session, with what its installer says. */
export function InstallPanel({ app, session, onClose }: Props) {
  const { t } = useTranslation();
  const [lines, setLines] = useState<readonly string[]>([]);
  const [ended, setEnded] = useState<{ ok: boolean; code: number | null } | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const bottom = useRef<HTMLDivElement>(null);

  useEffect(
    () =>
      stream(
        'app.install',
        { session: session.id, app: app.name },
        {
          onMessage: (message) => {
            if (message.kind === 'line') {
              setLines((before) => [...before, message.text].slice(-KEPT_LINES));
            } else {
              setEnded({ ok: message.ok, code: message.exit_code });
            }
          },
          onEnd: (error) => {
            if (error instanceof Failure) setFailure(error);
          },
        },
      ),
    [session.id, app.name],
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: every new line moves the end
  useEffect(() => {
    bottom.current?.scrollIntoView({ block: 'nearest' });
  }, [lines]);

  const running = !ended && !failure;
  return (
    <Section
      title={t('apps.installing', { app: app.title })}
      extra={
        <Button size="small" onClick={onClose}>
          {running ? t('action.cancel') : t('action.close')}
        </Button>
      }
    >
      {running && <Progress percent={100} status="active" showInfo={false} size="small" />}
      {ended && (
        <Alert
          type={ended.ok ? 'success' : 'error'}
          showIcon
          title={
            ended.ok
              ? t('apps.installed', { app: app.title })
              : t('apps.install_failed', { app: app.title, code: ended.code ?? '–' })
          }
        />
      )}
      {failure && <ErrorState failure={failure} />}
      <pre
        className={styles.installLines}
        data-testid={ids.drawer.installLines}
        data-state={running ? 'running' : ended?.ok ? 'ok' : 'failed'}
      >
        {lines.join('\n')}
        <div ref={bottom} />
      </pre>
    </Section>
  );
}
