import { Button } from 'antd';
import { RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call, type Session, type SessionPort, type Tunnel, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction, useCall } from '@/bridge/query';
import { CopyAddress } from '@/features/tunnel/CopyAddress';
import { ForwardDialog } from '@/features/tunnel/ForwardDialog';
import { ErrorState, IconButton, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

type Forwarding = { port: number | null };

/** Whatever listens in the session and is no app: found, and offered. */
export function PortsPanel({ session }: { session: Session }) {
  const { t } = useTranslation();
  const query = useCall('tunnel.ports', { session: session.id });
  const tunnels = useCall('tunnel.list', {});
  const [forwarding, setForwarding] = useState<Forwarding | null>(null);
  const ports = (query.data?.ports ?? []).filter((port) => port.app === null);
  const forwarded = (tunnels.data?.tunnels ?? []).filter(
    (tunnel) => tunnel.session === session.id && String(tunnel.remote_port) === tunnel.app,
  );
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
          <PortRow
            key={port.port}
            port={port}
            session={session}
            onForward={() => setForwarding({ port: port.port })}
          />
        ))}
      </ul>
      {forwarded.length > 0 && (
        <ul className={styles.ports} aria-label={t('tunnels.title')}>
          {forwarded.map((tunnel) => (
            <ForwardedRow key={tunnel.id} tunnel={tunnel} />
          ))}
        </ul>
      )}
      <Button
        size="small"
        className={styles.portOther}
        onClick={() => setForwarding({ port: null })}
        data-testid={ids.drawer.portForward}
      >
        {t('ports.forward_other')}
      </Button>
      {forwarding && (
        <ForwardDialog
          session={session}
          port={forwarding.port}
          onClose={() => setForwarding(null)}
        />
      )}
    </Section>
  );
}

interface RowProps {
  port: SessionPort;
  session: Session;
  onForward: () => void;
}

function PortRow({ port, session, onForward }: RowProps) {
  const { t } = useTranslation();
  const toast = useToast();
  const open = useAction('tunnel.open');
  const start = () =>
    open.mutate(
      { session: session.id, remote_port: port.port, protocol: 'http', guarded: true },
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
      <span className={styles.portActions}>
        <Button
          size="small"
          loading={open.isPending}
          onClick={start}
          data-testid={ids.drawer.portOpen(port.port)}
        >
          {t('ports.open')}
        </Button>
        <Button
          size="small"
          onClick={onForward}
          data-testid={ids.drawer.portForwardFound(port.port)}
        >
          {t('ports.forward_found')}
        </Button>
      </span>
    </li>
  );
}

function ForwardedRow({ tunnel }: { tunnel: Tunnel }) {
  const { t } = useTranslation();
  return (
    <li>
      <span className="truncate mono">
        {t('ports.forwarded', { local: tunnel.local_port, remote: tunnel.remote_port ?? 0 })}
      </span>
      <CopyAddress tunnel={tunnel} />
    </li>
  );
}
