import { act, cleanup, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { answerWith, show } from '@/testing/program';
import { type SessionPages, useSessionPages } from './sessions';
import type { Session, SessionList } from './types';

afterEach(cleanup);

const TOTAL = 10_000;

const page = (offset: number, limit: number): SessionList => ({
  sessions: Array.from(
    { length: Math.min(limit, TOTAL - offset) },
    (_, at) => ({ id: `id-${offset + at}`, status: 'TERMINATED' }) as unknown as Session,
  ),
  total: TOTAL,
  as_of: '2026-01-01T00:00:00Z',
  stale: false,
  failure: null,
});

let pages: SessionPages;

function List() {
  pages = useSessionPages({ ended: true, search: '', order: '' });
  return <output>{pages.rows.filter(Boolean).length}</output>;
}

const seen = () => screen.getByRole('status').textContent;

it('asks only for what is in sight of ten thousand', async () => {
  const calls = answerWith({
    'session.list': ({ offset, limit }) => page(offset ?? 0, limit ?? TOTAL),
  });
  await show(<List />);
  await expect.poll(seen, { timeout: 10_000 }).toBe('100');
  expect(pages.total).toBe(TOTAL);
  expect(pages.rows).toHaveLength(TOTAL);
  act(() => pages.onRange(5_190, 5_210));
  await expect.poll(seen, { timeout: 10_000 }).toBe('300');
  expect(pages.rows[5_205]?.id).toBe('id-5205');
  expect(pages.rows[9_000]).toBeUndefined();
  const offsets = calls.map(({ payload }) => (payload as { offset?: number }).offset);
  expect([...new Set(offsets)]).toEqual([0, 5_100, 5_200]);
});
