import { Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { ids } from '@/testids';

interface Props {
  value: string;
  repeated: string;
  onValue: (value: string) => void;
  onRepeated: (value: string) => void;
}

/** Whether a new password was typed twice alike. */
export const isChosen = (value: string, repeated: string) => value !== '' && value === repeated;

/** Asks for the password that takes the place of one that has expired, with the rule for it. */
export function NewPassword({ value, repeated, onValue, onRepeated }: Props) {
  const { t } = useTranslation();
  const differs = repeated !== '' && repeated !== value;
  return (
    <>
      <label htmlFor="login-new-password">{t('login.new_password')}</label>
      <Input.Password
        id="login-new-password"
        value={value}
        onChange={(event) => onValue(event.target.value)}
        autoComplete="new-password"
        autoFocus
        aria-describedby="login-password-rule"
        data-testid={ids.login.newPassword}
      />
      <small className="muted" id="login-password-rule">
        {t('login.password_rule')}
      </small>
      <label htmlFor="login-new-password-again">{t('login.new_password_again')}</label>
      <Input.Password
        id="login-new-password-again"
        value={repeated}
        onChange={(event) => onRepeated(event.target.value)}
        autoComplete="new-password"
        status={differs ? 'error' : undefined}
        data-testid={ids.login.newPasswordAgain}
      />
      {differs && <small role="alert">{t('login.password_differs')}</small>}
    </>
  );
}
