import { Button } from 'antd';
import { ExternalLink, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { type Tunnel, toFailure } from '@/bridge';
import { openUrl } from '@/bridge/openUrl';
import { useAction } from '@/bridge/query';
import { formatSize } from '@/format/size';
import { failureText } from '@/i18n/failure';
import { CopyButton, IconButton, useToast } from '@/kit';
import styles from './shell.module.css';

/** Every open tunnel with its port; open, copy, close. */
export function TunnelList({ tunnels }: { tunnels: readonly Tunnel[] }) {
  const { t } = useTranslation();
  const toast = useToast();
  const closeAll = useAction('tunnel.close_all');
  if (tunnels.length === 0) return <p className="muted">{t('tunnels.empty')}</p>;
  return (
    <div className={styles.tunnels}>
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
    </div>
  );
}

function TunnelRow({ tunnel }: { tunnel: Tunnel }) {
  const { t } = useTranslation();
  const toast = useToast();
  const close = useAction('tunnel.close');
  const { url, last_error } = tunnel;
  return (
    <div className={styles.tunnel}>
      <div className="truncate">
        <div className="truncate">
          {tunnel.app} · {tunnel.session_name}
        </div>
        <small className="muted mono">
          127.0.0.1:{tunnel.local_port} · ↑{formatSize(tunnel.bytes_up)} ↓
          {formatSize(tunnel.bytes_down)}
        </small>
        {last_error && <small className={styles.tunnelError}>{failureText(last_error)}</small>}
      </div>
      <span className="muted">{t(`tunnels.state.${tunnel.state}`)}</span>
      {url && (
        <IconButton
          label={t('tunnels.open')}
          icon={<ExternalLink size={14} />}
          size="small"
          onClick={() => openUrl(url).catch((thrown) => toast.failed(toFailure(thrown)))}
        />
      )}
      <CopyButton text={url ?? `127.0.0.1:${tunnel.local_port}`} />
      <IconButton
        label={t('tunnels.close')}
        icon={<X size={14} />}
        size="small"
        onClick={() => close.mutate({ id: tunnel.id }, { onError: toast.failed })}
      />
    </div>
  );
}
