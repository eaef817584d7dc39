import { Link } from '@tanstack/react-router';
import { Popover } from 'antd';
import {
  ArrowLeftRight,
  Cable,
  CircleAlert,
  CircleDot,
  CircleOff,
  LoaderCircle,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { formatSpeed } from '@/format/size';
import { failureText } from '@/i18n/failure';
import { ids } from '@/testids';
import styles from './shell.module.css';
import { TunnelList } from './TunnelList';

const ACTIVE = new Set(['queued', 'running', 'waiting', 'conflict']);

/** What runs in the background: the engine, the tunnels, the transfers. */
export function StatusBar() {
  const { t } = useTranslation();
  const engine = useCall('engine.status', {}, { refetchInterval: 15_000 });
  const local = useCall('whoami', {}).data?.profile === 'local';
  const tunnels = useCall('tunnel.list', {});
  const open = (tunnels.data?.tunnels ?? []).filter((tunnel) => tunnel.state !== 'closed');
  const list = useCall('transfer.list', {});
  const transfers = (list.data?.transfers ?? []).filter((transfer) => ACTIVE.has(transfer.state));
  const speed = transfers.reduce((sum, transfer) => sum + (transfer.speed ?? 0), 0);
  const unknown = [tunnels, list].find(({ error, data }) => error && !data)?.error;
  const trouble = open.some((tunnel) => tunnel.state === 'failed' || tunnel.last_error !== null);
  const conflict = transfers.some((transfer) => transfer.state === 'conflict');

  return (
    <footer className={styles.status} data-testid={ids.status.bar}>
      {/* An engine that nobody needs is no news when it does not run. */}
      {(local || engine.data?.running) && (
        <span data-testid={ids.status.engine} data-state={engine.data?.running ? 'on' : 'off'}>
          {engine.data?.running ? (
            <CircleDot size={12} className={styles.good} aria-hidden />
          ) : (
            <CircleOff size={12} aria-hidden />
          )}
          {engine.isPending
            ? t('statusbar.engine_unknown')
            : engine.data?.running
              ? t('statusbar.engine_on')
              : t('statusbar.engine_off')}
        </span>
      )}
      <span className={styles.spring} />
      {unknown && (
        <span title={unknown.message}>
          <CircleAlert size={12} className={styles.warning} aria-hidden />
          {failureText(unknown)}
        </span>
      )}
      <Popover
        trigger="click"
        placement="topRight"
        content={<TunnelList />}
        destroyOnHidden
        title={t('tunnels.title')}
      >
        <button type="button" data-testid={ids.status.tunnels} data-count={open.length}>
          {trouble ? (
            <CircleAlert size={12} className={styles.warning} aria-hidden />
          ) : (
            <Cable size={12} aria-hidden />
          )}
          {t('statusbar.tunnels', { count: open.length })}
        </button>
      </Popover>
      <Link to="/transfers" data-testid={ids.status.transfers} data-count={transfers.length}>
        {conflict ? (
          <CircleAlert size={12} className={styles.warning} aria-hidden />
        ) : transfers.length > 0 ? (
          <LoaderCircle size={12} aria-hidden />
        ) : (
          <ArrowLeftRight size={12} aria-hidden />
        )}
        {t('statusbar.transfers', { count: transfers.length })}
        {speed > 0 && ` · ${formatSpeed(speed)}`}
      </Link>
    </footer>
  );
}
