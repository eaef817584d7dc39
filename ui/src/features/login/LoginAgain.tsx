import { Alert, Button, Modal } from 'antd';
import { useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { expiry, useCall } from '@/bridge/query';
import { ids } from '@/testids';
import { RemoteLogin } from './RemoteLogin';

/**
 * Asks for the password again when a login at another manager has expired, over the page that is
 * open: nothing on it is lost. Who puts it off keeps a line that leads back to it.
 */
export function LoginAgain() {
  const { t } = useTranslation();
  const expired = useSyncExternalStore(expiry.subscribe, expiry.current);
  const account = useCall('whoami', {}).data;
  // The login that was put off; another account that expires asks anew.
  const [putOff, setPutOff] = useState<string | null>(null);
  if (!expired || !account || account.profile === 'local') return null;
  return (
    <>
      <Alert
        type="warning"
        showIcon
        banner
        title={t('failure.login_expired')}
        data-testid={ids.login.expired}
        action={
          <Button size="small" onClick={() => setPutOff(null)}>
            {t('login.expired')}
          </Button>
        }
      />
      {putOff !== account.profile && (
        <Modal
          open
          title={t('login.expired')}
          footer={null}
          width={460}
          onCancel={() => setPutOff(account.profile)}
        >
          <div data-testid={ids.login.again}>
            <p className="muted">{t('login.expired_text')}</p>
            <RemoteLogin
              again={{
                address: account.endpoint,
                username: account.email,
                profile: account.profile,
              }}
              onDone={() => setPutOff(null)}
            />
          </div>
        </Modal>
      )}
    </>
  );
}
