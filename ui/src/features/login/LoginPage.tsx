import { Button } from 'antd';
import { Monitor } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FailureBody, KeychainKind } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { KeychainChoice } from './KeychainChoice';
import styles from './login.module.css';

interface Props {
  /** Why nobody is logged in. */
  failure: FailureBody | null;
}

/** What is not worth an error on a first visit, or is told by the keychain's own lines. */
const EXPECTED = new Set<FailureBody['code']>([
  'not_logged_in',
  'passphrase_needed',
  'keychain_locked',
  'keychain_absent',
]);

const PASSPHRASE_MIN = 8;

/** The first thing a new user sees: one click opens this computer. */
export function LoginPage({ failure }: Props) {
  const { t } = useTranslation();
  const login = useAction('login.local');
  const keychain = useCall('keychain.status', {}, { refetchInterval: 5_000 });
  const status = keychain.data;
  const usual: KeychainKind = status?.store ?? 'system';
  const [chosen, setChosen] = useState<KeychainKind | null>(null);
  const [passphrase, setPassphrase] = useState('');

  // With no usable keychain nothing is chosen for the user: each way left has a price.
  const fallback = usual === 'system' && status && status.state !== 'ready' ? null : usual;
  const store = chosen ?? fallback;
  const short = store === 'file' && passphrase.length < PASSPHRASE_MIN;
  const shown = login.error ?? (failure && !EXPECTED.has(failure.code) ? failure : null);

  const submit = () => {
    if (!store || short || login.isPending) return;
    login.mutate({ keychain: store, passphrase: store === 'file' ? passphrase : null });
  };

  return (
    <main className={styles.page} data-testid={ids.login.page}>
      <div className={styles.box}>
        <img src="./icon.svg" width={52} height={52} alt="" />
        <h1>{t('login.title')}</h1>
        <p className="muted">{t('login.text')}</p>

        <Button
          type="primary"
          size="large"
          block
          icon={<Monitor size={17} />}
          onClick={submit}
          loading={login.isPending}
          disabled={!store || short}
          data-testid={ids.login.thisComputer}
        >
          {login.isPending ? t('login.opening') : t('login.this_computer')}
        </Button>

        {status && (
          <KeychainChoice
            status={status}
            store={store}
            onStore={setChosen}
            passphrase={passphrase}
            onPassphrase={setPassphrase}
            minimum={PASSPHRASE_MIN}
            onSubmit={submit}
          />
        )}
        {keychain.error && <ErrorState failure={keychain.error} />}
        {shown && (
          <ErrorState
            failure={shown}
            testId={ids.login.failure}
            onRetry={store && !short ? submit : undefined}
          />
        )}
      </div>
    </main>
  );
}
