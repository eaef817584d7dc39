import {
  type KeyboardEvent,
  type MouseEvent,
  useCallback,
  useEffect,
  useRef,
  useState,
} from 'react';

export interface Sort {
  key: string;
  descending: boolean;
}

/** A row to go to as soon as it is there; the first one when the key is null. */
export interface Want {
  key: string | null;
}

interface Options<T> {
  rows: readonly (T | undefined)[];
  rowKey: (row: T) => string;
  selected?: ReadonlySet<string>;
  onSelect?: (selected: Set<string>) => void;
  onOpen?: (row: T) => void;
  onKey?: (event: KeyboardEvent, row: T | null) => void;
  /** Tells which row the keys work on. */
  onActive?: (row: T | null) => void;
  /** A new object asks for another row. */
  want?: Want | undefined;
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
  const { rows, rowKey, selected, onSelect, onOpen, onKey, onActive, want, scrollTo } = options;
  const [wanted, setActive] = useState(-1);
  const anchor = useRef(0);
  // A row that is selected only because it was clicked: moving on leaves it again.
  const clicked = useRef(false);
  const met = useRef<Want | undefined>(undefined);
  const active = Math.min(wanted, rows.length - 1);

  const keyAt = useCallback(
    (index: number) => {
      const row = rows[index];
      return row === undefined ? null : rowKey(row);
    },
    [rows, rowKey],
  );

  const keysOf = (some: readonly (T | undefined)[]) =>
    some.flatMap((row) => (row === undefined ? [] : [rowKey(row)]));

  const range = (to: number) => {
    const [first, last] = [Math.min(anchor.current, to), Math.max(anchor.current, to)];
    onSelect?.(new Set(keysOf(rows.slice(first, last + 1))));
  };

  const toggle = (index: number) => {
    const key = keyAt(index);
    if (!selected || !key) return;
    clicked.current = false;
    const next = new Set(selected);
    if (!next.delete(key)) next.add(key);
    anchor.current = index;
    onSelect?.(next);
  };

  const move = (to: number, extend: boolean) => {
    const index = Math.max(0, Math.min(rows.length - 1, to));
    setActive(index);
    scrollTo(index);
    if (extend) {
      range(index);
      return;
    }
    anchor.current = index;
    if (clicked.current) onSelect?.(new Set());
    clicked.current = false;
  };

  useEffect(() => {
    if (!want || met.current === want || rows.length === 0) return;
    const at = want.key === null ? 0 : rows.findIndex((row) => row && rowKey(row) === want.key);
    // It may be in the next answer.
    if (at < 0) return;
    met.current = want;
    if (clicked.current) onSelect?.(new Set());
    clicked.current = false;
    anchor.current = at;
    setActive(at);
    scrollTo(at);
  }, [want, rows, rowKey, onSelect, scrollTo]);

  const here = rows[active] ?? null;
  useEffect(() => onActive?.(here), [here, onActive]);

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
    } else if (event.key === 'Insert' && selected && active >= 0) {
      event.preventDefault();
      toggle(active);
      move(active + 1, false);
    } else if (event.key === 'Enter' && row && onOpen) {
      event.preventDefault();
      onOpen(row);
    } else if (selected && event.code === 'KeyA' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onSelect?.(new Set(keysOf(rows)));
    } else {
      onKey?.(event, row);
    }
  };

  const onRowClick = (event: MouseEvent, index: number) => {
    if (isOwnControl(event.target)) return;
    setActive(index);
    if (!selected) return;
    clicked.current = false;
    if (event.shiftKey) {
      range(index);
    } else if (event.ctrlKey || event.metaKey) {
      toggle(index);
    } else {
      anchor.current = index;
      const key = keyAt(index);
      if (key) onSelect?.(new Set([key]));
      clicked.current = true;
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
