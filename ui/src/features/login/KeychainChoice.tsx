import { Input, Radio } from 'antd';
import { KeyRound, LockKeyhole, ShieldAlert } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { KeychainKind, KeychainStatus } from '@/bridge';
import { ids } from '@/testids';
import styles from './login.module.css';

interface Props {
  status: KeychainStatus | undefined;
  store: KeychainKind | null;
  onStore: (store: KeychainKind) => void;
  passphrase: string;
  onPassphrase: (passphrase: string) => void;
  minimum: number;
  onSubmit?: () => void;
}

const ICONS = { ready: KeyRound, locked: LockKeyhole, absent: ShieldAlert };
const STORES = ['system', 'file', 'memory'] as const;

/** Where the secret key will be kept, said plainly, with the other ways open to the user. */
export function KeychainChoice(props: Props) {
  const { status, store, onStore, passphrase, onPassphrase, minimum, onSubmit } = props;
  const { t } = useTranslation();
  if (!status) return null;
  const Icon = ICONS[status.state];
  const usable = (kind: KeychainKind) =>
    kind !== 'system' || status.store !== 'system' || status.state !== 'absent';

  return (
    <div className={styles.keychain}>
      <p data-testid={ids.login.keychainState} data-state={status.state}>
        <Icon size={15} aria-hidden />
        <span>{t(`keychain.state.${status.store}.${status.state}`)}</span>
      </p>
      <details open={status.state !== 'ready' || status.store !== 'system'}>
        <summary>{t('login.where')}</summary>
        <Radio.Group
          className={styles.stores}
          value={store}
          onChange={(event) => onStore(event.target.value as KeychainKind)}
        >
          {STORES.map((kind) => (
            <Radio
              key={kind}
              value={kind}
              disabled={!usable(kind)}
              data-testid={ids.login.store(kind)}
            >
              <strong>{t(`keychain.store.${kind}`)}</strong>
              <small className="muted">{t(`keychain.about.${kind}`)}</small>
            </Radio>
          ))}
        </Radio.Group>
        {store === 'file' && (
          <div className={styles.passphrase}>
            <span aria-hidden>{t('login.passphrase')}</span>
            <Input.Password
              aria-label={t('login.passphrase')}
              value={passphrase}
              onChange={(event) => onPassphrase(event.target.value)}
              onPressEnter={(event) => {
                if (!event.nativeEvent.isComposing) onSubmit?.();
              }}
              autoComplete="off"
              data-testid={ids.login.passphrase}
            />
            <small className="muted">{t('login.passphrase_hint', { count: minimum })}</small>
          </div>
        )}
      </details>
    </div>
  );
}
