import { Outlet } from '@tanstack/react-router';
import { Skeleton } from 'antd';
import { Suspense, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import type { Failure, FailureBody } from '@/bridge';
import { useCall } from '@/bridge/query';
import { LoginPage } from '@/features/login/LoginPage';
import { ErrorState } from '@/kit';
import { Shell } from './Shell';
import styles from './shell.module.css';

const NEEDS_LOGIN = new Set<FailureBody['code']>([
  'not_logged_in',
  'bad_credentials',
  'passphrase_needed',
  'keychain_locked',
  'keychain_absent',
  'profile_not_found',
]);

/** The program itself does not answer: nobody could log in either. */
const CUT_OFF = new Set<FailureBody['code']>(['bridge_closed', 'bridge_unreachable']);

/** The login page until somebody is logged in, then the program. */
export function Root() {
  const account = useCall('whoami', {}, { staleTime: 60_000 });
  // A question without an answer so far forgets why the last one failed; asked again, the login
  // page has to stay as it is, with what was typed into it.
  const last = useRef<Failure | null>(null);
  if (!account.isPending) last.current = account.error;
  const error = account.data ? account.error : last.current;
  if (!account.data && !error) return <Opening />;
  // A manager that is away for a while is no reason to throw anybody out.
  const out = error && (!account.data || NEEDS_LOGIN.has(error.code));
  if (error && !account.data && CUT_OFF.has(error.code)) {
    return (
      <div className={styles.broken}>
        <ErrorState failure={error} onRetry={() => void account.refetch()} />
      </div>
    );
  }
  if (out) return <LoginPage failure={error} />;
  return (
    <Shell>
      <Suspense fallback={<Skeleton active style={{ padding: 24 }} />}>
        <Outlet />
      </Suspense>
    </Shell>
  );
}

/** Stands until it is known who is logged in; shown only when that takes a while. */
function Opening() {
  const { t } = useTranslation();
  return (
    <p className={styles.opening} role="status">
      {t('login.opening')}
    </p>
  );
}
