import { useVirtualizer } from '@tanstack/react-virtual';
import { type DragEvent, type KeyboardEvent, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Transfer } from '@/bridge';
import { useAction } from '@/bridge/query';
import { useToast } from '@/kit';
import { TransferLine } from '@/kit/TransferLine';
import { dropTarget, stepTarget } from './order';
import styles from './transfers.module.css';

const LINE = 58;

/** What is dragged, and where it would be put. */
interface Drag {
  id: string;
  over?: string;
  below?: boolean;
}

/** Whether the pointer is in the lower half of a row. */
const isBelow = (event: DragEvent<HTMLElement>) => {
  const { top, height } = event.currentTarget.getBoundingClientRect();
  return event.clientY > top + height / 2;
};

/**
 * Transfers, however many: only those in sight are drawn. Those that are not over can be put into
 * another order.
 */
export function TransferTable({
  transfers,
  sortable,
}: {
  transfers: readonly Transfer[];
  sortable: boolean;
}) {
  const { t } = useTranslation();
  const toast = useToast();
  const reorder = useAction('transfer.reorder');
  const [drag, setDrag] = useState<Drag | null>(null);
  const order = transfers.map(({ id }) => id);
  const move = (id: string, before: string | null | undefined) => {
    if (before !== undefined) reorder.mutate({ id, before }, { onError: toast.failed });
  };
  const onKeyDown = (event: KeyboardEvent, id: string) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key] as -1 | 1 | undefined;
    if (!event.altKey || step === undefined) return;
    event.preventDefault();
    move(id, stepTarget(order, id, step));
  };
  const onDrop = () => {
    if (drag?.over) move(drag.id, dropTarget(order, drag.id, drag.over, drag.below ?? false));
    setDrag(null);
  };
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
      <div
        {...(sortable && { role: 'list' })}
        style={{ height: virtual.getTotalSize(), position: 'relative' }}
      >
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
                {...(sortable && {
                  draggable: true,
                  tabIndex: 0,
                  role: 'listitem',
                  title: t('transfers.order'),
                  'aria-label': t('transfers.order'),
                  'data-drop': markOf(drag, transfer.id),
                  onKeyDown: (event: KeyboardEvent) => onKeyDown(event, transfer.id),
                  onDragStart: (event: DragEvent) => {
                    event.dataTransfer.effectAllowed = 'move';
                    // Firefox and WebKit drag nothing that has no data.
                    event.dataTransfer.setData('text/plain', transfer.id);
                    setDrag({ id: transfer.id });
                  },
                  onDragOver: (event: DragEvent<HTMLElement>) => {
                    if (!drag) return;
                    event.preventDefault();
                    const below = isBelow(event);
                    if (drag.over !== transfer.id || drag.below !== below) {
                      setDrag({ ...drag, over: transfer.id, below });
                    }
                  },
                  onDrop,
                  onDragEnd: () => setDrag(null),
                })}
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

/** Where the line goes that shows what a drop would do. */
function markOf(drag: Drag | null, id: string): 'above' | 'below' | undefined {
  if (!drag || drag.over !== id || drag.id === id) return undefined;
  return drag.below ? 'below' : 'above';
}
