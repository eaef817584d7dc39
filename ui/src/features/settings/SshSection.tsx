import { App, Button, InputNumber } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction, useCall } from '@/bridge/query';
import { ErrorState, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import { Row } from './Row';
import styles from './settings.module.css';
import { useSettings } from './useSettings';

/** `ssh <session>` in every terminal: one line in the user's own file, shown first. */
export function SshSection() {
  const { t } = useTranslation();
  const toast = useToast();
  const { modal } = App.useApp();
  const query = useCall('ssh.config_status', {});
  const install = useAction('ssh.config_install');
  const remove = useAction('ssh.config_remove');
  const status = query.data;
  const { settings, set } = useSettings();

  const ask = () =>
    modal.confirm({
      width: 560,
      title: t('settings.ssh_install_title'),
      content: (
        <>
          <p>{t('settings.ssh_install_text', { path: status?.config_path ?? '' })}</p>
          <pre className={styles.block}>{status?.block}</pre>
        </>
      ),
      okText: t('ssh.install'),
      okButtonProps: { 'data-testid': `${ids.settings.sshInstall}.confirm` },
      onOk: () => install.mutateAsync({}).catch(toast.failed),
    });

  return (
    <Section
      title={t('settings.ssh')}
      text={
        status?.installed
          ? t('settings.ssh_installed', { path: status.config_path })
          : t('settings.ssh_text')
      }
      extra={
        status &&
        (status.installed ? (
          <Button
            onClick={() => remove.mutate({}, { onError: toast.failed })}
            loading={remove.isPending}
            data-testid={ids.settings.sshRemove}
          >
            {t('settings.ssh_remove')}
          </Button>
        ) : (
          <Button onClick={ask} loading={install.isPending} data-testid={ids.settings.sshInstall}>
            {t('ssh.install')}
          </Button>
        ))
      }
    >
      {query.error && <ErrorState failure={query.error} />}
      {settings && (
        <Row label={t('settings.ssh_port')}>
          <InputNumber
            min={1025}
            max={65_534}
            precision={0}
            value={settings.preferred_ssh_port}
            placeholder={t('launch.automatic')}
            aria-label={t('settings.ssh_port')}
            onBlur={(event) => {
              const port = Number.parseInt(event.target.value, 10);
              set({ preferred_ssh_port: port >= 1025 && port <= 65_534 ? port : null });
            }}
          />
        </Row>
      )}
    </Section>
  );
}
