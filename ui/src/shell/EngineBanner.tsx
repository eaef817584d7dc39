import { Alert, Button } from 'antd';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { queryClient, useAction, useCall } from '@/bridge/query';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import styles from './shell.module.css';

// Once per start of the program: an engine that the user stops later stays stopped.
let tried = false;

/** On this computer's own profile: starts the engine when it does not run, or says that it does not. */
export function EngineBanner() {
  const { t } = useTranslation();
  const local = useCall('whoami', {}).data?.profile === 'local';
  const engine = useCall('engine.status', {}).data;
  const { mutate, isPending, error } = useAction('login.local');
  const running = local ? engine?.running : undefined;
  const stopped = running === false;

  useEffect(() => {
    if (running === undefined || tried) return;
    tried = true;
    if (!running) mutate({}, { onSuccess: () => queryClient.invalidateQueries() });
  }, [running, mutate]);

  if (!stopped && !isPending) return null;
  const start = () => mutate({}, { onSuccess: () => queryClient.invalidateQueries() });
  return (
    <div className={styles.banner} data-testid={ids.status.engineStopped}>
      {error && !isPending ? (
        <ErrorState failure={error} onRetry={start} />
      ) : (
        <Alert
          type={isPending ? 'info' : 'warning'}
          showIcon
          banner
          title={isPending ? t('engine.starting') : t('engine.stopped')}
          action={
            <Button size="small" onClick={start} loading={isPending}>
              {t('engine.start')}
            </Button>
          }
        />
      )}
    </div>
  );
}
