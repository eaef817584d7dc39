import { useVirtualizer } from '@tanstack/react-virtual';
import { Checkbox } from 'antd';
import { ArrowDown, ArrowUp } from 'lucide-react';
import {
  type CSSProperties,
  type ReactNode,
  type RefObject,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { useTranslation } from 'react-i18next';
import styles from './table.module.css';
import { type Sort, useGrid, type Want } from './useGrid';

export type { Sort, Want } from './useGrid';

export interface Column<T> {
  key: string;
  title: string;
  /** The title is for who can't see the column (its buttons). */
  titleHidden?: boolean;
  /** A track of a CSS grid: "90px", "minmax(160px, 2fr)". */
  width: string;
  align?: 'start' | 'end';
  render: (row: T) => ReactNode;
  /** What the column sorts by; without it the column can't be sorted. */
  sortBy?: (row: T) => string | number;
  /** The rows come sorted; the column only says by what. */
  sortable?: boolean;
}

interface Props<T> {
  /** What is not known yet is undefined; `onRange` tells that it is in sight. */
  rows: readonly (T | undefined)[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  label: string;
  sort?: Sort | null;
  onSort?: (sort: Sort | null) => void;
  /** Given, rows can be selected: checkboxes, Space, Ctrl and Shift with a click. */
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  onOpen?: (row: T) => void;
  onKey?: (event: React.KeyboardEvent, row: T | null) => void;
  /** Tells which row the keys work on. */
  onActive?: (row: T | null) => void;
  /** A row to go to; a new object asks again. */
  want?: Want | undefined;
  /** The element that has the focus, for whoever moves it. */
  gridRef?: RefObject<HTMLDivElement | null>;
  rowTestId?: (row: T) => string;
  rowProps?: (row: T) => React.HTMLAttributes<HTMLDivElement> & { draggable?: boolean };
  /** The row that is open beside the table. */
  current?: string | null;
  testId?: string;
  empty?: ReactNode;
  /** Which rows are in sight. */
  onRange?: (first: number, last: number) => void;
}

const ROW_HEIGHT = { comfortable: 34, compact: 28 };

const rowHeight = () =>
  document.documentElement.dataset.density === 'compact'
    ? ROW_HEIGHT.compact
    : ROW_HEIGHT.comfortable;

/** The width that the scrollbar takes, which the head has to leave free as well. */
function useScrollbar(scroller: RefObject<HTMLElement | null>, rows: number): number {
  const [width, setWidth] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: more rows may bring a scrollbar
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => setWidth(element.offsetWidth - element.clientWidth);
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    measure();
    return () => watch.disconnect();
  }, [scroller, rows]);
  return width;
}

/** A table of any length: only the rows in sight are drawn, and everything works by keyboard. */
export function DataTable<T>(props: Props<T>) {
  const { rows, columns, rowKey, label, sort, onSort, selected, onSelect, testId } = props;
  const { t } = useTranslation();
  const scroller = useRef<HTMLDivElement>(null);
  const gridId = useId();
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: rowHeight,
    overscan: 8,
  });
  const scrollTo = useCallback((index: number) => virtual.scrollToIndex(index), [virtual]);
  const grid = useGrid({ ...props, scrollTo });

  const tracks = [...(selected ? ['34px'] : []), ...columns.map((column) => column.width)].join(
    ' ',
  );
  const bar = useScrollbar(scroller, rows.length);
  const style = { '--tracks': tracks, '--bar': `${bar}px` } as CSSProperties;
  const inSight = virtual.getVirtualItems();
  const [first, last] = [inSight[0]?.index, inSight.at(-1)?.index];
  const { onRange } = props;
  useEffect(() => {
    if (first !== undefined && last !== undefined) onRange?.(first, last);
  }, [first, last, onRange]);
  const known = useMemo(() => rows.filter((row) => row !== undefined), [rows]);
  const all = known.length > 0 && selected?.size === known.length;
  const rowId = (index: number) => `${gridId}-${index}`;

  return (
    <div
      className={styles.grid}
      style={style}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-multiselectable={selected !== undefined}
      aria-activedescendant={grid.active >= 0 ? rowId(grid.active) : undefined}
      tabIndex={0}
      ref={props.gridRef}
      onKeyDown={grid.onKeyDown}
      onFocus={grid.onFocus}
      data-testid={testId}
      data-rows={rows.length}
    >
      <div className={styles.head} role="row" aria-rowindex={1}>
        {selected && (
          <span role="columnheader" className={styles.cell}>
            <Checkbox
              aria-label={t('table.select_all')}
              checked={all}
              indeterminate={!all && selected.size > 0}
              onChange={() => onSelect?.(all ? new Set() : new Set(known.map(rowKey)))}
            />
          </span>
        )}
        {columns.map((column) => (
          <HeadCell key={column.key} column={column} sort={sort ?? null} onSort={onSort} />
        ))}
      </div>
      <div className={styles.body} ref={scroller}>
        {rows.length === 0 && props.empty}
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {inSight.map(({ index, start, size }) => {
            const row = rows[index];
            if (row === undefined) {
              return <Unknown key={index} start={start} size={size} />;
            }
            const key = rowKey(row);
            const marked = selected?.has(key) ?? false;
            return (
              <div
                {...props.rowProps?.(row)}
                key={key}
                id={rowId(index)}
                className={styles.row}
                role="row"
                aria-rowindex={index + 2}
                aria-selected={selected ? marked : undefined}
                data-active={index === grid.active}
                data-current={props.current === key}
                data-testid={props.rowTestId?.(row)}
                style={{ transform: `translateY(${start}px)`, height: size }}
                onClick={(event) => grid.onRowClick(event, index)}
                onDoubleClick={() => props.onOpen?.(row)}
              >
                {selected && (
                  <span className={styles.cell} role="gridcell">
                    <Checkbox
                      tabIndex={-1}
                      aria-label={t('table.select_row')}
                      checked={marked}
                      onChange={() => grid.toggle(index)}
                    />
                  </span>
                )}
                {columns.map((column) => (
                  <span
                    key={column.key}
                    className={styles.cell}
                    role="gridcell"
                    data-align={column.align}
                  >
                    {column.render(row)}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** A row that is on its way. */
function Unknown({ start, size }: { start: number; size: number }) {
  return (
    <div
      className={styles.row}
      style={{ transform: `translateY(${start}px)`, height: size }}
      data-unknown
    >
      <span className={styles.unknown} />
    </div>
  );
}

interface HeadProps<T> {
  column: Column<T>;
  sort: Sort | null;
  onSort: ((sort: Sort | null) => void) | undefined;
}

function HeadCell<T>({ column, sort, onSort }: HeadProps<T>) {
  const mine = sort?.key === column.key ? sort : null;
  const state = mine ? (mine.descending ? 'descending' : 'ascending') : 'none';
  const sortable = (column.sortBy || column.sortable) && onSort;
  const next = () =>
    onSort?.(
      mine
        ? mine.descending
          ? null
          : { ...mine, descending: true }
        : {
            key: column.key,
            descending: false,
          },
    );
  return (
    <span
      role="columnheader"
      className={styles.cell}
      data-align={column.align}
      aria-sort={sortable ? state : undefined}
    >
      {sortable ? (
        <button type="button" className={styles.sort} onClick={next}>
          <span className="truncate">{column.title}</span>
          {mine && (mine.descending ? <ArrowDown size={12} /> : <ArrowUp size={12} />)}
        </button>
      ) : (
        <span className={column.titleHidden ? 'visually-hidden' : 'truncate'}>{column.title}</span>
      )}
    </span>
  );
}
