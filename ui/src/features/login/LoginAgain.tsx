import { Modal } from 'antd';
import { useState, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { expiry, useCall } from '@/bridge/query';
import { ids } from '@/testids';
import { RemoteLogin } from './RemoteLogin';

/**
 * Asks for the password again when a login at another manager has expired, over the page that is
 * open: nothing on it is lost.
 */
export function LoginAgain() {
  const { t } = useTranslation();
  const expired = useSyncExternalStore(expiry.subscribe, expiry.current);
  const account = useCall('whoami', {}).data;
  const [later, setLater] = useState(0);
  if (!account || account.profile === 'local' || expired === 0 || expired === later) return null;
  return (
    <Modal
      open
      title={t('login.expired')}
      footer={null}
      width={460}
      onCancel={() => setLater(expired)}
    >
      <div data-testid={ids.login.again}>
        <p className="muted">{t('login.expired_text')}</p>
        <RemoteLogin
          again={{
            address: account.endpoint,
            username: account.email,
            profile: account.profile,
          }}
          onDone={expiry.over}
        />
      </div>
    </Modal>
  );
}
