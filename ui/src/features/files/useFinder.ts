import { useRef, useState } from 'react';
import type { FileEntry } from '@/bridge';

const FORGET_MS = 1_000;

/** Typing the beginning of a name goes to it, as in every file manager. */
export function useFinder(rows: readonly FileEntry[], go: (name: string) => void) {
  const [typed, setTyped] = useState('');
  const timer = useRef<number | undefined>(undefined);

  /** Takes a key; says whether it was one that names are made of. */
  const take = (key: string, active: FileEntry | null): boolean => {
    if (key.length !== 1) return false;
    const text = typed + key.toLowerCase();
    // The same letter again goes to the next name.
    const again = text.length > 1 && [...text].every((one) => one === text[0]);
    const wanted = again ? text.charAt(0) : text;
    const begins = (entry: FileEntry) => entry.name.toLowerCase().startsWith(wanted);
    const from = active ? Math.max(0, rows.indexOf(active)) : 0;
    const order = [...rows.slice(from), ...rows.slice(0, from)];
    const found = (again || text.length === 1 ? order.slice(1) : order).find(begins);
    const hit = found ?? (active && begins(active) ? active : undefined);
    if (hit) go(hit.name);
    setTyped(text);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setTyped(''), FORGET_MS);
    return true;
  };
  return { typed, take };
}
