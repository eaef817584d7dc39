import type { Metric, Stats } from '@/bridge';

/** What a session uses now, over all its kernels. */
export interface Usage {
  at: number;
  /** Cores in use. */
  cpu: number;
  /** Bytes. */
  mem: number;
  memLimit: number | null;
  /** Bytes a second. */
  down: number;
  up: number;
}

const number = (text: string | null | undefined): number | null => {
  const value = Number(text);
  return text && Number.isFinite(value) ? value : null;
};

const sum = (metrics: readonly (Metric | undefined)[], field: 'current' | 'capacity' | 'pct') => {
  const known = metrics.map((metric) => number(metric?.[field])).filter((one) => one !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
};

/** Adds up the kernels: a hundred per cent of `cpu_util` is one full core. */
export function usage(stats: Stats): Usage {
  const kernels = Object.values(stats.kernels);
  const of = (name: string) => kernels.map((kernel) => kernel?.[name]);
  return {
    at: Date.parse(stats.at),
    cpu: (sum(of('cpu_util'), 'pct') ?? 0) / 100,
    mem: sum(of('mem'), 'current') ?? 0,
    memLimit: sum(of('mem'), 'capacity'),
    down: sum(of('net_rx'), 'current') ?? 0,
    up: sum(of('net_tx'), 'current') ?? 0,
  };
}
