import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import type { Location } from '@/bridge';
import { useCall } from '@/bridge/query';
import { TransferLine } from '@/kit/TransferLine';
import styles from './files.module.css';
import { isSamePlace } from './paths';

const SHOWN = 4;
const OVER = new Set(['done', 'failed', 'cancelled']);

/** What moves to and from these places, under the panes; they are read again when it ends. */
export function TransferStrip({ places }: { places: readonly Location[] }) {
  const client = useQueryClient();
  const transfers = useCall(
    'transfer.list',
    {},
    { refetchInterval: ({ state }) => (state.data?.transfers.some(isLive) ? 700 : false) },
  ).data?.transfers;
  // This computer is everywhere: what else takes part says whether a transfer belongs here.
  const elsewhere = places.filter(({ kind }) => kind !== 'local');
  const mine = (transfers ?? []).filter(({ src, dst }) =>
    (elsewhere.length > 0 ? elsewhere : places).some(
      (place) => isSamePlace(src, place) || isSamePlace(dst, place),
    ),
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
