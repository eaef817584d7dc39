import { Button } from 'antd';
import { RefreshCw } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { call, type Session, type SessionPort, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction, useCall } from '@/bridge/query';
import { ErrorState, IconButton, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

/** Whatever listens in the session and is no app: found, and offered. */
export function PortsPanel({ session }: { session: Session }) {
  const { t } = useTranslation();
  const query = useCall('tunnel.ports', { session: session.id });
  const ports = (query.data?.ports ?? []).filter((port) => port.app === null);
  return (
    <Section
      title={t('ports.title')}
      text={t('ports.text')}
      extra={
        <IconButton
          label={t('ports.look')}
          icon={<RefreshCw size={14} />}
          loading={query.isFetching}
          onClick={() => void query.refetch()}
          testId={ids.drawer.portsLook}
        />
      }
    >
      {query.error && <ErrorState failure={query.error} />}
      {query.data && ports.length === 0 && <p className="muted">{t('ports.none')}</p>}
      <ul className={styles.ports}>
        {ports.map((port) => (
          <PortRow key={port.port} port={port} session={session} />
        ))}
      </ul>
    </Section>
  );
}

function PortRow({ port, session }: { port: SessionPort; session: Session }) {
  const { t } = useTranslation();
  const toast = useToast();
  const open = useAction('tunnel.open');
  const start = () =>
    open.mutate(
      { session: session.id, remote_port: port.port, protocol: 'http' },
      {
        onError: toast.failed,
        onSuccess: ({ id }) =>
          call('tunnel.address', { id })
            .then(({ url }) => openUrl(url))
            .catch((thrown: unknown) => toast.failed(toFailure(thrown))),
      },
    );
  const name = port.program
    ? t('ports.program', { program: port.program, port: port.port })
    : t('ports.port', { port: port.port });
  return (
    <li>
      <span className="truncate">{name}</span>
      <Button
        size="small"
        loading={open.isPending}
        onClick={start}
        data-testid={ids.drawer.portOpen(port.port)}
      >
        {t('ports.open')}
      </Button>
    </li>
  );
}
