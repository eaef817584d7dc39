import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { failureText } from '@/i18n/failure';
import { Ago, CopyButton, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './shell.module.css';

const SHOWN = 20;

/** Launches and connections that came to nothing, also before a restart; each can be copied. */
export function FailedLaunches() {
  const { t } = useTranslation();
  const toast = useToast();
  const list = useCall('tunnel.failures', {});
  const forget = useAction('tunnel.forget_failures');
  const launches = (list.data?.launches ?? []).slice(0, SHOWN);
  if (launches.length === 0) return null;
  return (
    <section className={styles.failedLaunches} data-testid={ids.status.failedLaunches}>
      <header>
        <strong>{t('tunnels.failures')}</strong>
        <Button
          size="small"
          type="text"
          onClick={() => forget.mutate({}, { onError: toast.failed })}
          loading={forget.isPending}
        >
          {t('tunnels.forget_failures')}
        </Button>
      </header>
      {launches.map((launch) => (
        <div key={launch.id} className={styles.failedLaunch}>
          <div className="truncate">
            <div className="truncate">
              {launch.app} · {launch.session_name}{' '}
              <small className="muted">
                <Ago at={launch.failed_at} />
              </small>
            </div>
            <small className={`truncate ${styles.tunnelError}`} title={launch.message}>
              {failureText({ ...launch, hint: null, details: null, retryable: false })}
            </small>
          </div>
          <CopyButton text={launch.text} label={t('tunnels.report')} />
        </div>
      ))}
    </section>
  );
}
