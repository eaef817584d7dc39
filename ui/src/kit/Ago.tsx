import { useSyncExternalStore } from 'react';
import { formatAgo, formatDateTime, formatDuration } from '@/format/date';

const STEP_MS = 5_000;
const listeners = new Set<() => void>();
let tick = Date.now();
let timer: number | undefined;

// One clock for all ages on the page, stopped when nobody looks.
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    // The clock stood while nobody looked.
    tick = Date.now();
    timer = window.setInterval(() => {
      tick = Date.now();
      for (const each of listeners) each();
    }, STEP_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

const useNow = () => useSyncExternalStore(subscribe, () => tick);

/** How long ago something was, kept up to date; the exact time is in the tooltip. */
export function Ago({ at }: { at: string | null }) {
  const now = useNow();
  if (!at) return <span className="muted">–</span>;
  return (
    <time dateTime={at} title={formatDateTime(at)}>
      {formatAgo(at, Math.max(now, Date.parse(at)))}
    </time>
  );
}

/** How long something has run, or ran. */
export function Elapsed({ from, to }: { from: string | null; to?: string | null }) {
  const now = useNow();
  if (!from) return <span className="muted">–</span>;
  const end = to ? Date.parse(to) : now;
  return (
    <span title={formatDateTime(from)}>{formatDuration((end - Date.parse(from)) / 1000)}</span>
  );
}
