import { Button, Checkbox, Input, Segmented } from 'antd';
import { ArrowLeft } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Failure, LoginWith, ManagerFound } from '@/bridge';
import { forgetAll, readAnew, useAction, useCall } from '@/bridge/query';
import { CertificateQuestion } from '@/features/certificate/CertificateQuestion';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import { KeychainChoice } from './KeychainChoice';
import styles from './login.module.css';
import { isChosen, NewPassword } from './NewPassword';
import { useKeychain } from './useKeychain';

interface Props {
  /** Known from before, for a login that has expired. */
  again?: { address: string; username: string; profile: string };
  onDone?: () => void;
}

/** Logs in to a manager somewhere else: first its address, then who. */
export function RemoteLogin({ again, onDone }: Props) {
  const [address, setAddress] = useState(again?.address ?? '');
  const [asked, setAsked] = useState(again?.address ?? '');
  const found = useCall(
    'manager.find',
    { address: asked },
    { enabled: asked !== '', staleTime: 60_000 },
  );

  if (found.data) {
    return (
      <Who
        address={asked}
        found={found.data}
        again={again}
        onBack={again ? undefined : () => setAsked('')}
        onDone={onDone}
      />
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = address.trim();
    if (wanted !== '' && wanted === asked) void found.refetch();
    else setAsked(wanted);
  };
  // The question says what is wrong, and what can be done.
  const asksTrust = found.error?.code === 'certificate_untrusted';
  return (
    <>
      <Address address={address} onAddress={setAddress} {...{ submit, found, asksTrust }} />
      {asksTrust && found.error && !found.isFetching && (
        <CertificateQuestion
          endpoint={asked}
          failure={found.error}
          onTrusted={() => void found.refetch()}
        />
      )}
    </>
  );
}

function Address(props: {
  address: string;
  onAddress: (address: string) => void;
  submit: (event: FormEvent) => void;
  found: { isFetching: boolean; error: Failure | null };
  asksTrust: boolean;
}) {
  const { t } = useTranslation();
  return (
    <form className={styles.remote} onSubmit={props.submit}>
      <label htmlFor="manager-address">{t('login.address')}</label>
      <Input
        id="manager-address"
        value={props.address}
        onChange={(event) => props.onAddress(event.target.value)}
        placeholder="https://manager.example.com"
        autoComplete="url"
        spellCheck={false}
        data-testid={ids.login.address}
      />
      <small className="muted">{t('login.address_hint')}</small>
      <Button
        htmlType="submit"
        loading={props.found.isFetching}
        disabled={props.address.trim() === ''}
        data-testid={ids.login.find}
      >
        {t('login.continue')}
      </Button>
      {props.found.error && !props.found.isFetching && !props.asksTrust && (
        <ErrorState failure={props.found.error} testId={ids.login.failure} />
      )}
    </form>
  );
}

interface WhoProps {
  address: string;
  found: ManagerFound;
  again: Props['again'];
  onBack: (() => void) | undefined;
  onDone: (() => void) | undefined;
}

function Who({ address, found, again, onBack, onDone }: WhoProps) {
  const { t } = useTranslation();
  const login = useAction('login.remote');
  const keychain = useKeychain();
  const [kind, setKind] = useState<LoginWith['kind']>('password');
  const [username, setUsername] = useState(again?.username ?? '');
  const [password, setPassword] = useState('');
  const [domain, setDomain] = useState('default');
  const [otp, setOtp] = useState('');
  const [force, setForce] = useState(false);
  const [accessKey, setAccessKey] = useState('');
  const [secretKey, setSecretKey] = useState('');
  const [newPassword, setNewPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const code = login.error?.code;
  const asksNew = code === 'password_expired' || code === 'password_weak' || newPassword !== '';
  const asksOtp = code === 'otp_needed' || code === 'otp_wrong' || otp !== '';
  const asksForce = code === 'logged_in_elsewhere' || force;

  const complete =
    kind === 'password'
      ? username !== '' && password !== '' && (!asksNew || isChosen(newPassword, repeated))
      : accessKey.trim() !== '' && secretKey.trim() !== '';
  const ready = complete && keychain.ready;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!ready || login.isPending) return;
    const who: LoginWith =
      kind === 'password'
        ? {
            kind,
            username,
            password,
            otp: otp || null,
            domain,
            force,
            new_password: newPassword || null,
          }
        : { kind, access_key: accessKey, secret_key: secretKey };
    login.mutate(
      {
        address,
        with: who,
        profile: again?.profile ?? null,
        keychain: keychain.store,
        passphrase: keychain.store === 'file' ? keychain.passphrase : null,
      },
      {
        onSuccess: () => {
          // The same account as before: what is open stays as it is.
          void (again ? readAnew() : forgetAll());
          onDone?.();
        },
      },
    );
  };

  return (
    <form className={styles.remote} onSubmit={submit}>
      <div className={styles.found} data-testid={ids.login.found} data-mode={found.mode}>
        {onBack && (
          <Button
            type="text"
            size="small"
            icon={<ArrowLeft size={15} />}
            onClick={onBack}
            aria-label={t('login.back')}
          />
        )}
        <span>
          <strong className="truncate">{found.endpoint}</strong>
          <small className="muted">
            {t(found.ours ? 'login.found_ours' : `login.found.${found.mode}`, {
              version: found.manager_version,
            })}
          </small>
        </span>
      </div>
      {found.newer && <small className="muted">{t('login.newer')}</small>}

      {found.mode === 'api' && (
        <Segmented
          block
          value={kind}
          onChange={setKind}
          options={[
            { value: 'password' as const, label: t('login.by_password') },
            { value: 'keypair' as const, label: t('login.by_keypair') },
          ]}
          data-testid={ids.login.kind}
        />
      )}

      {kind === 'password' ? (
        <>
          <label htmlFor="login-user">{t('login.user')}</label>
          <Input
            id="login-user"
            value={username}
            onChange={(event) => setUsername(event.target.value)}
            autoComplete="username"
            spellCheck={false}
            disabled={again !== undefined}
            data-testid={ids.login.user}
          />
          <label htmlFor="login-password">{t('login.password')}</label>
          <Input.Password
            id="login-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
            autoComplete="current-password"
            data-testid={ids.login.password}
          />
          {found.mode === 'api' && (
            <>
              <label htmlFor="login-domain">{t('login.domain')}</label>
              <Input
                id="login-domain"
                value={domain}
                onChange={(event) => setDomain(event.target.value)}
                spellCheck={false}
                data-testid={ids.login.domain}
              />
            </>
          )}
          {asksNew && (
            <NewPassword
              value={newPassword}
              repeated={repeated}
              onValue={setNewPassword}
              onRepeated={setRepeated}
            />
          )}
          {asksOtp && (
            <>
              <label htmlFor="login-otp">{t('login.otp')}</label>
              <Input
                id="login-otp"
                value={otp}
                onChange={(event) => setOtp(event.target.value)}
                inputMode="numeric"
                autoComplete="one-time-code"
                autoFocus
                data-testid={ids.login.otp}
              />
            </>
          )}
          {asksForce && (
            <Checkbox
              checked={force}
              onChange={(event) => setForce(event.target.checked)}
              data-testid={ids.login.force}
            >
              {t('login.force')}
            </Checkbox>
          )}
        </>
      ) : (
        <>
          <label htmlFor="login-access-key">{t('login.access_key')}</label>
          <Input
            id="login-access-key"
            value={accessKey}
            onChange={(event) => setAccessKey(event.target.value)}
            spellCheck={false}
            autoComplete="off"
            data-testid={ids.login.accessKey}
          />
          <label htmlFor="login-secret-key">{t('login.secret_key')}</label>
          <Input.Password
            id="login-secret-key"
            value={secretKey}
            onChange={(event) => setSecretKey(event.target.value)}
            autoComplete="off"
            data-testid={ids.login.secretKey}
          />
        </>
      )}

      <KeychainChoice {...keychain.choice} />
      <Button
        type="primary"
        htmlType="submit"
        loading={login.isPending}
        disabled={!ready}
        data-testid={ids.login.submit}
      >
        {t(asksNew ? 'login.change_password' : 'login.log_in')}
      </Button>
      {login.error && !login.isPending && (
        <ErrorState failure={login.error} testId={ids.login.failure} />
      )}
    </form>
  );
}
