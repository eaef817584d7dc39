import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import type { Location } from '@/bridge';
import { useCall } from '@/bridge/query';
import { TransferLine } from '@/kit/TransferLine';
import styles from './files.module.css';

const SHOWN = 4;
const OVER = new Set(['done', 'failed', 'cancelled']);

const touches = (location: Location, remote: Location) =>
  location.kind === remote.kind &&
  (location.kind !== 'session' ||
    (remote.kind === 'session' && location.session === remote.session)) &&
  (location.kind !== 'folder' || (remote.kind === 'folder' && location.folder === remote.folder));

/** What moves to and from this place, under the panes; the panes are read again when it ends. */
export function TransferStrip({ remote }: { remote: Location }) {
  const client = useQueryClient();
  const transfers = useCall(
    'transfer.list',
    {},
    { refetchInterval: ({ state }) => (state.data?.transfers.some(isLive) ? 700 : false) },
  ).data?.transfers;
  const mine = (transfers ?? []).filter(
    ({ src, dst }) => touches(src, remote) || touches(dst, remote),
  );
  const over = mine.filter(({ state }) => OVER.has(state)).length;
  const before = useRef(over);

  useEffect(() => {
    if (over !== before.current) void client.invalidateQueries({ queryKey: ['file.list'] });
    before.current = over;
  }, [over, client]);

  return (
    <div className={styles.transfers}>
      {mine.slice(0, SHOWN).map((transfer) => (
        <TransferLine key={transfer.id} transfer={transfer} />
      ))}
    </div>
  );
}

const isLive = ({ state }: { state: string }) => !OVER.has(state) && state !== 'paused';
