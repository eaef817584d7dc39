import { useState } from 'react';
import type { Links } from '@/bridge';

/** How files are copied and moved between two directories. */
export interface CopyOptions {
  checksum: boolean;
  links: Links;
}

export const LINKS: readonly Links[] = ['keep', 'follow', 'skip'];

const STORE = 'gangway.copy-links';

function storedLinks(): Links {
  const stored = window.localStorage.getItem(STORE);
  return LINKS.find((links) => links === stored) ?? 'keep';
}

/** The options of this page; what becomes of symbolic links is remembered. */
export function useCopyOptions() {
  const [options, setOptions] = useState<CopyOptions>(() => ({
    checksum: false,
    links: storedLinks(),
  }));
  const change = (changed: Partial<CopyOptions>) => {
    if (changed.links) window.localStorage.setItem(STORE, changed.links);
    setOptions((now) => ({ ...now, ...changed }));
  };
  return [options, change] as const;
}
