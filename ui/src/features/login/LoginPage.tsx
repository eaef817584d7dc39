import { Button } from 'antd';
import { Monitor, Server } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FailureBody } from '@/bridge';
import { useAction } from '@/bridge/query';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { KeychainChoice } from './KeychainChoice';
import styles from './login.module.css';
import { RemoteLogin } from './RemoteLogin';
import { useKeychain } from './useKeychain';

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

/** The first thing a new user sees: one click opens this computer. */
export function LoginPage({ failure }: Props) {
  const { t } = useTranslation();
  const [remote, setRemote] = useState(false);
  return (
    <main className={styles.page} data-testid={ids.login.page}>
      <div className={styles.box}>
        <img src="./icon.svg" width={52} height={52} alt="" />
        <h1>{t('login.title')}</h1>
        <p className="muted">{t(remote ? 'login.text_remote' : 'login.text')}</p>
        {remote ? <RemoteLogin /> : <ThisComputer failure={failure} />}
        <Button
          type="text"
          icon={remote ? <Monitor size={15} /> : <Server size={15} />}
          onClick={() => setRemote(!remote)}
          data-testid={ids.login.other}
        >
          {remote ? t('login.this_computer_instead') : t('login.another_manager')}
        </Button>
      </div>
    </main>
  );
}

function ThisComputer({ failure }: Props) {
  const { t } = useTranslation();
  const login = useAction('login.local');
  const keychain = useKeychain();
  const shown = login.error ?? (failure && !EXPECTED.has(failure.code) ? failure : null);

  const submit = () => {
    if (!keychain.ready || login.isPending) return;
    login.mutate({
      keychain: keychain.store,
      passphrase: keychain.store === 'file' ? keychain.passphrase : null,
    });
  };

  return (
    <>
      <Button
        type="primary"
        size="large"
        block
        icon={<Monitor size={17} />}
        onClick={submit}
        loading={login.isPending}
        disabled={!keychain.ready}
        data-testid={ids.login.thisComputer}
      >
        {login.isPending ? t('login.opening') : t('login.this_computer')}
      </Button>
      <KeychainChoice {...keychain.choice} onSubmit={submit} />
      {keychain.error && <ErrorState failure={keychain.error} />}
      {shown && (
        <ErrorState
          failure={shown}
          testId={ids.login.failure}
          onRetry={keychain.ready ? submit : undefined}
        />
      )}
    </>
  );
}
