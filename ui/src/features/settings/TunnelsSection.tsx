import { Alert, Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { ErrorState, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';

/** Whether tunnels come back by themselves after a restart of the computer. */
export function TunnelsSection() {
  const { t } = useTranslation();
  const toast = useToast();
  const query = useCall('tunnel.at_login', {});
  const choose = useAction('tunnel.set_at_login');
  const shown = query.data;
  return (
    <Section title={t('at_login.title')} text={t('at_login.text')}>
      {query.error && !shown && <ErrorState failure={query.error} />}
      {shown && !shown.supported && <p className="muted">{t('at_login.unsupported')}</p>}
      {shown?.supported && (
        <Row label={t('at_login.at_login')}>
          <Switch
            checked={shown.wanted === true}
            loading={choose.isPending}
            onChange={(wanted) => choose.mutate({ wanted }, { onError: toast.failed })}
            aria-label={t('at_login.at_login')}
            data-testid={ids.settings.tunnelsAtLogin}
          />
        </Row>
      )}
      {shown?.state === 'switched_off' && (
        <Alert type="info" showIcon title={t('at_login.switched_off')} />
      )}
      {shown?.state === 'foreign' && (
        <Alert type="warning" showIcon title={t('at_login.foreign', { path: shown.entry })} />
      )}
    </Section>
  );
}
