import { cleanup, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { ids } from '@/testids';
import { answerWith, show } from '@/testing/program';
import { LastEndBanner } from './LastEndBanner';

afterEach(cleanup);

it('names some of what was under way, and counts the rest', async () => {
  const transfers = Array.from({ length: 40 }, (_, at) => `part-${at}.bin`);
  answerWith({
    'app.last_end': () => ({
      last_end: {
        kind: 'crash',
        at: '2026-02-03T04:05:06Z',
        tunnels: ['lab · work'],
        transfers,
        files: [],
      },
    }),
  });
  await show(<LastEndBanner />);
  const told = (await screen.findByTestId(ids.leave.lastEnd)).textContent ?? '';
  expect(told).toContain('lab · work, part-0.bin');
  expect(told).toContain('and 35 more');
  expect(told).not.toContain('part-5.bin');
});
