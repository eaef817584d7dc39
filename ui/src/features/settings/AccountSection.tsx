import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { forgetAll, useAction, useCall } from '@/bridge/query';
import { CopyButton, Facts, Section, useToast } from '@/kit';
import { ids } from '@/testids';

/** Who is logged in where, and where the secret key is. */
export function AccountSection() {
  const { t } = useTranslation();
  const toast = useToast();
  const account = useCall('whoami', {}).data;
  const keychain = useCall('keychain.status', {}).data;
  const logout = useAction('logout');
  if (!account) return null;
  return (
    <Section
      title={t('settings.account')}
      extra={
        <Button
          onClick={() => logout.mutate({}, { onSuccess: forgetAll, onError: toast.failed })}
          loading={logout.isPending}
          data-testid={ids.settings.logout}
        >
          {t('profile.logout')}
        </Button>
      }
    >
      <Facts
        items={[
          [t('settings.email'), account.email],
          [t('settings.role'), t(`role.${account.role}`)],
          [
            t('settings.access_key'),
            <span key="key">
              <code>{account.access_key}</code> <CopyButton text={account.access_key} />
            </span>,
          ],
          [t('session.fact.project'), account.project],
          [t('settings.endpoint'), <code key="endpoint">{account.endpoint}</code>],
          [t('settings.manager'), account.manager_version ?? '–'],
          [t('settings.keychain'), t(`keychain.store.${account.keychain}`)],
          ...(keychain
            ? [
                [
                  t('settings.keychain_state'),
                  t(`keychain.state.${keychain.store}.${keychain.state}`),
                ] as const,
              ]
            : []),
        ]}
      />
    </Section>
  );
}
