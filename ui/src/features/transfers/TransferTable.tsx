import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import type { Transfer } from '@/bridge';
import { TransferLine } from '@/kit/TransferLine';
import styles from './transfers.module.css';

const LINE = 58;

/** Transfers, however many: only those in sight are drawn. */
export function TransferTable({ transfers }: { transfers: readonly Transfer[] }) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: transfers.length,
    getScrollElement: () => scroller.current,
    getItemKey: (index) => transfers[index]?.id ?? index,
    estimateSize: () => LINE,
    overscan: 6,
  });
  return (
    <div className={styles.list} ref={scroller}>
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map(({ index, start, key }) => {
          const transfer = transfers[index];
          return (
            transfer && (
              <div
                key={key}
                ref={virtual.measureElement}
                data-index={index}
                className={styles.item}
                style={{ transform: `translateY(${start}px)` }}
              >
                <TransferLine transfer={transfer} />
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}
