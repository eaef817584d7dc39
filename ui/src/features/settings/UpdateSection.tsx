import { Alert, Button, Switch } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { formatDate } from '@/format/date';
import { ErrorState, Section } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';
import styles from './settings.module.css';
import { useSettings } from './useSettings';

/** Looks for a newer version, says what is new in it, and only then installs it. */
export function UpdateSection() {
  const { t } = useTranslation();
  const info = useCall('app.info', {}).data;
  const { settings, set } = useSettings();
  const [asked, setAsked] = useState(false);
  const check = useCall(
    'update.check',
    {},
    { enabled: asked || settings?.check_updates === true, staleTime: 3_600_000 },
  );
  const install = useAction('update.install');
  const update = check.data;
  const look = () => {
    setAsked(true);
    if (asked) void check.refetch();
  };
  return (
    <Section
      title={t('update.title')}
      text={info && t('update.current', { version: info.version })}
      extra={
        <Button onClick={look} loading={check.isFetching} data-testid={ids.settings.updateCheck}>
          {t('update.check')}
        </Button>
      }
    >
      {settings && (
        <Row label={t('update.by_itself')}>
          <Switch
            checked={settings.check_updates}
            onChange={(check_updates) => set({ check_updates })}
            aria-label={t('update.by_itself')}
          />
        </Row>
      )}
      {check.error && <ErrorState failure={check.error} onRetry={() => void check.refetch()} />}
      {update?.state === 'none' && <Alert type="success" showIcon title={t('update.newest')} />}
      {update?.state === 'unsupported' && (
        <Alert type="info" showIcon title={t('update.unsupported')} />
      )}
      {update?.state === 'available' && (
        <Alert
          type="info"
          showIcon
          title={t('update.available', { version: update.version ?? '' })}
          description={
            <>
              {update.date && <small className="muted">{formatDate(update.date)}</small>}
              <pre className={styles.notes}>{update.notes}</pre>
              <p className="muted">{t('update.handover')}</p>
            </>
          }
          action={
            <Button
              type="primary"
              onClick={() => install.mutate({})}
              loading={install.isPending}
              data-testid={ids.settings.updateInstall}
            >
              {t('update.install')}
            </Button>
          }
        />
      )}
      {install.error && <ErrorState failure={install.error} />}
    </Section>
  );
}
