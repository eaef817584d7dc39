import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './shell.module.css';

/** Asks once whether tunnels are to come back at login; the answer stays in the settings. */
export function AtLoginOffer() {
  const { t } = useTranslation();
  const toast = useToast();
  const shown = useCall('tunnel.at_login', {}).data;
  const choose = useAction('tunnel.set_at_login');
  if (!shown?.supported || shown.wanted !== null) return null;
  const answer = (wanted: boolean) => choose.mutate({ wanted }, { onError: toast.failed });
  return (
    <div data-testid={ids.status.atLoginOffer}>
      <p className="muted">{t('at_login.offer')}</p>
      <span className={styles.tunnelActions}>
        <Button
          size="small"
          loading={choose.isPending}
          onClick={() => answer(true)}
          data-testid={ids.status.atLoginYes}
        >
          {t('at_login.offer_yes')}
        </Button>
        <Button
          size="small"
          type="text"
          disabled={choose.isPending}
          onClick={() => answer(false)}
          data-testid={ids.status.atLoginNo}
        >
          {t('at_login.offer_no')}
        </Button>
      </span>
    </div>
  );
}
