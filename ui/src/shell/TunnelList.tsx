import { Button } from 'antd';
import { ExternalLink, FileText, Pin, PinOff, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { call, type Tunnel, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction, useCall } from '@/bridge/query';
import { CopyAddress } from '@/features/tunnel/CopyAddress';
import { formatSize } from '@/format/size';
import { failureText } from '@/i18n/failure';
import { IconButton, useToast } from '@/kit';
import { copyText } from '@/kit/copyText';
import { AtLoginOffer } from './AtLoginOffer';
import { FailedLaunches } from './FailedLaunches';
import styles from './shell.module.css';

const LOOK_MS = 1_000;
/** The profile of the engine on this computer. */
const LOCAL_PROFILE = 'local';

/** Every open tunnel with its port and what goes through it now; open, copy, close. Below, what failed. */
export function TunnelList() {
  const { t } = useTranslation();
  const toast = useToast();
  const closeAll = useAction('tunnel.close_all');
  // Counters change without notice.
  const list = useCall('tunnel.list', {}, { refetchInterval: LOOK_MS });
  const tunnels = (list.data?.tunnels ?? []).filter((tunnel) => tunnel.state !== 'closed');
  return (
    <div className={styles.tunnels}>
      {tunnels.length === 0 ? (
        <p className="muted">{t('tunnels.empty')}</p>
      ) : (
        <>
          {tunnels.map((tunnel) => (
            <TunnelRow key={tunnel.id} tunnel={tunnel} />
          ))}
          <Button
            size="small"
            onClick={() => closeAll.mutate({}, { onError: toast.failed })}
            loading={closeAll.isPending}
          >
            {t('tunnels.close_all')}
          </Button>
          <AtLoginOffer />
        </>
      )}
      <FailedLaunches />
    </div>
  );
}

function TunnelRow({ tunnel }: { tunnel: Tunnel }) {
  const { t } = useTranslation();
  const toast = useToast();
  const close = useAction('tunnel.close');
  const keep = useAction('tunnel.keep');
  const { id, url, last_error } = tunnel;
  // Two managers may have sessions of the same name.
  const elsewhere = tunnel.profile === LOCAL_PROFILE ? [] : [tunnel.profile];
  const failed = (thrown: unknown) => toast.failed(toFailure(thrown));

  const browse = () =>
    call('tunnel.address', { id })
      .then((address) => openUrl(address.url))
      .catch(failed);
  const report = () =>
    call('tunnel.report', { id })
      .then(({ text }) => copyText(text))
      .catch(failed);

  return (
    <div className={styles.tunnel}>
      <div className="truncate">
        <div className="truncate">
          {[tunnel.app, tunnel.session_name, ...elsewhere].join(' · ')}
        </div>
        <small className="muted mono">
          127.0.0.1:{tunnel.local_port} · ↑{formatSize(tunnel.bytes_up)} ↓
          {formatSize(tunnel.bytes_down)}
        </small>
        <TunnelFigures tunnel={tunnel} />
        {last_error && <small className={styles.tunnelError}>{failureText(last_error)}</small>}
      </div>
      <span className="muted">{t(`tunnels.state.${tunnel.state}`)}</span>
      <span className={styles.tunnelActions}>
        {url && (
          <IconButton
            label={t('tunnels.open')}
            icon={<ExternalLink size={14} />}
            size="small"
            onClick={browse}
          />
        )}
        <CopyAddress tunnel={tunnel} />
        <IconButton
          label={t(tunnel.keep ? 'tunnels.kept' : 'tunnels.keep')}
          icon={tunnel.keep ? <Pin size={14} /> : <PinOff size={14} />}
          size="small"
          aria-pressed={tunnel.keep}
          onClick={() => keep.mutate({ id, keep: !tunnel.keep }, { onError: toast.failed })}
        />
        <IconButton
          label={t('tunnels.report')}
          icon={<FileText size={14} />}
          size="small"
          onClick={report}
        />
        <IconButton
          label={t('tunnels.close')}
          icon={<X size={14} />}
          size="small"
          onClick={() => close.mutate({ id }, { onError: toast.failed })}
        />
      </span>
    </div>
  );
}

/** What goes through it now. */
function TunnelFigures({ tunnel }: { tunnel: Tunnel }) {
  const { t } = useTranslation();
  const { rate_up, rate_down, latency_ms, connections } = tunnel;
  const figures = [
    connections > 0 && t('tunnels.connections', { count: connections }),
    rate_up + rate_down > 0 &&
      t('tunnels.rate', { up: formatSize(rate_up), down: formatSize(rate_down) }),
    latency_ms !== null && t('tunnels.latency', { ms: latency_ms }),
    tunnel.public && t('tunnels.public'),
  ].filter((text) => typeof text === 'string');
  if (figures.length === 0) return null;
  return (
    <div>
      <small className="muted">{figures.join(' · ')}</small>
    </div>
  );
}
