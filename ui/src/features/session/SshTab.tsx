import { Button, Dropdown, Skeleton, Space } from 'antd';
import { CodeXml, SquareTerminal } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { CopyButton, ErrorState, Facts, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

/** Where none is there, its absence says what to install. */
const USUAL_EDITOR = { id: 'code', title: 'VS Code' };

/** How to reach the session with the computer's own ssh, scp, rsync and editors. */
export function SshTab({ session }: { session: Session }) {
  const { t } = useTranslation();
  const toast = useToast();
  const query = useCall('ssh.info', { session: session.id });
  const config = useCall('ssh.config_status', {});
  const terminal = useAction('host.open_terminal');
  const editors = useCall('ssh.editors', {}).data?.editors ?? [];
  const edit = useAction('host.open_editor');
  const install = useAction('ssh.config_install');
  if (query.error && !query.data) {
    return <ErrorState failure={query.error} onRetry={() => void query.refetch()} />;
  }
  const info = query.data;
  if (!info) return <Skeleton active />;
  const first = editors.find(({ installed }) => installed) ?? USUAL_EDITOR;
  const open = (id: string) =>
    edit.mutate({ session: session.id, editor: id }, { onError: toast.failed });
  return (
    <>
      <Section
        title={t('ssh.command')}
        text={t('ssh.command_text')}
        extra={
          <Space>
            <Dropdown
              disabled={!config.data?.installed}
              menu={{
                items: editors.map(({ id, title, installed }) => ({
                  key: id,
                  disabled: !installed,
                  label: installed ? title : t('ssh.not_installed', { editor: title }),
                })),
                onClick: ({ key }) => open(key),
              }}
            >
              <Button
                size="small"
                icon={<CodeXml size={13} />}
                onClick={() => open(first.id)}
                data-testid={ids.drawer.openVscode}
              >
                {t('ssh.open_in', { editor: first.title })}
              </Button>
            </Dropdown>
            <Button
              size="small"
              icon={<SquareTerminal size={13} />}
              onClick={() => terminal.mutate({ session: session.id }, { onError: toast.failed })}
            >
              {t('ssh.open_terminal')}
            </Button>
          </Space>
        }
      >
        <Copyable text={info.command} textId={ids.drawer.sshCommand} copyId={ids.drawer.sshCopy} />
      </Section>
      <Section
        title={t('ssh.config')}
        text={
          config.data?.installed
            ? t('ssh.config_installed', { host: info.host })
            : t('ssh.config_text')
        }
        extra={
          config.data &&
          !config.data.installed && (
            <Button
              size="small"
              loading={install.isPending}
              onClick={() => install.mutate({}, { onError: toast.failed })}
            >
              {t('ssh.install')}
            </Button>
          )
        }
      >
        <Copyable text={info.config_block} />
      </Section>
      <Section title={t('ssh.details')}>
        <Facts
          items={[
            [t('ssh.host'), <code key="host">{info.host}</code>],
            [t('ssh.user'), <code key="user">{info.user}</code>],
            [t('ssh.key'), <code key="key">{info.key_path}</code>],
          ]}
        />
      </Section>
    </>
  );
}

function Copyable(props: { text: string; textId?: string; copyId?: string }) {
  const { t } = useTranslation();
  return (
    <div className={styles.copyable}>
      <pre data-testid={props.textId}>{props.text}</pre>
      <CopyButton text={props.text} label={t('action.copy')} testId={props.copyId} />
    </div>
  );
}
