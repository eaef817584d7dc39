import { cleanup, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { ids } from '@/testids';
import { answerWith, show } from '@/testing/program';
import { PullBar } from './PullBar';

afterEach(cleanup);

it('tells how much of an image is here', async () => {
  answerWith({});
  await show(<PullBar pulling={{ bytes: 3 << 20, total: 12 << 20 }} />);
  const bar = await screen.findByTestId(ids.drawer.pull);
  expect(bar.dataset.percent).toBe('25');
  expect(bar.textContent).toMatch(/3.* MiB of 12.* MiB/);
});

it('is at its beginning before a layer says how large it is', async () => {
  answerWith({});
  await show(<PullBar pulling={{ bytes: 0, total: 0 }} />);
  expect((await screen.findByTestId(ids.drawer.pull)).dataset.percent).toBe('0');
});
