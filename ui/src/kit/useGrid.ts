import { type KeyboardEvent, type MouseEvent, useCallback, useRef, useState } from 'react';

export interface Sort {
  key: string;
  descending: boolean;
}

interface Options<T> {
  rows: readonly T[];
  rowKey: (row: T) => string;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  onOpen?: (row: T) => void;
  onKey?: (event: KeyboardEvent, row: T | null) => void;
  scrollTo: (index: number) => void;
}

const PAGE = 12;
const OWN_CONTROLS = 'button, a, input, label, textarea, select';

const isOwnControl = (target: EventTarget) =>
  target instanceof Element && target.closest(OWN_CONTROLS) !== null;

/** The row that a key leads to, or null for a key that moves nothing. */
function destination(key: string, active: number, rows: number): number | null {
  switch (key) {
    case 'ArrowDown':
      return active + 1;
    case 'ArrowUp':
      return active - 1;
    case 'PageDown':
      return active + PAGE;
    case 'PageUp':
      return active - PAGE;
    case 'Home':
      return 0;
    case 'End':
      return rows - 1;
    default:
      return null;
  }
}

/** Keys and clicks of a list of rows, as desktop file managers have them. */
export function useGrid<T>(options: Options<T>) {
  const { rows, rowKey, selected, onSelect, onOpen, onKey, scrollTo } = options;
  const [wanted, setActive] = useState(-1);
  const anchor = useRef(0);
  const active = Math.min(wanted, rows.length - 1);

  const keyAt = useCallback(
    (index: number) => {
      const row = rows[index];
      return row === undefined ? null : rowKey(row);
    },
    [rows, rowKey],
  );

  const range = (to: number) => {
    const [first, last] = [Math.min(anchor.current, to), Math.max(anchor.current, to)];
    onSelect?.(new Set(rows.slice(first, last + 1).map(rowKey)));
  };

  const toggle = (index: number) => {
    const key = keyAt(index);
    if (!selected || !key) return;
    const next = new Set(selected);
    if (!next.delete(key)) next.add(key);
    anchor.current = index;
    onSelect?.(next);
  };

  const move = (to: number, extend: boolean) => {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    setActive(index);
    scrollTo(index);
    if (extend) range(index);
    else anchor.current = index;
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing || rows.length === 0) return;
    if (isOwnControl(event.target) && event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const to = destination(event.key, active, rows.length);
    const row = rows[active] ?? null;
    if (to !== null && !event.altKey && !event.ctrlKey) {
      event.preventDefault();
      move(to, event.shiftKey && selected !== undefined);
    } else if (event.key === ' ' && selected && active >= 0) {
      event.preventDefault();
      toggle(active);
    } else if (event.key === 'Enter' && row && onOpen) {
      event.preventDefault();
      onOpen(row);
    } else if (selected && event.code === 'KeyA' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onSelect?.(new Set(rows.map(rowKey)));
    } else {
      onKey?.(event, row);
    }
  };

  const onRowClick = (event: MouseEvent, index: number) => {
    if (isOwnControl(event.target)) return;
    setActive(index);
    if (!selected) return;
    if (event.shiftKey) {
      range(index);
    } else if (event.ctrlKey || event.metaKey) {
      toggle(index);
    } else {
      anchor.current = index;
      const key = keyAt(index);
      if (key) onSelect?.(new Set([key]));
    }
  };

  return {
    active,
    toggle,
    onKeyDown,
    onRowClick,
    onFocus: () => {
      if (active < 0 && rows.length > 0) setActive(0);
    },
  };
}
