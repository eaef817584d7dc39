import { expect, it } from 'vitest';
import { usage } from './stats';

const metric = (current: string, pct = '0', capacity: string | null = null) => ({
  current,
  capacity,
  pct,
  unit_hint: 'count',
});

it('adds up the kernels of a session', () => {
  const kernel = {
    cpu_util: metric('1500', '150'),
    mem: metric('1024', '50', '2048'),
    net_rx: metric('10'),
    net_tx: metric('4'),
  };
  const both = usage({ at: '2026-11-21T00:00:00Z', kernels: { a: kernel, b: kernel } });
  expect(both).toMatchObject({ cpu: 3, mem: 2048, memLimit: 4096, down: 20, up: 8 });
});

it('takes a kernel without figures as idle', () => {
  expect(usage({ at: '2026-11-21T00:00:00Z', kernels: { a: {} } })).toMatchObject({
    cpu: 0,
    memLimit: null,
  });
});
