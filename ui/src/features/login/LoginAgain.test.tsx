import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { Account } from '@/bridge';
import { forgetAll, useCall } from '@/bridge/query';
import { ids } from '@/testids';
import { answerWith, failure, show } from '@/testing/program';
import { LoginAgain } from './LoginAgain';

const account = {
  profile: 'lab',
  endpoint: 'https://manager.lab',
  email: 'me@lab',
} as Account;

afterEach(cleanup);

/** A page that asks the manager for something, as every page does. */
function Page() {
  const { error, refetch } = useCall('session.list', {});
  return (
    <button type="button" onClick={() => void refetch()}>
      {error?.code ?? 'fine'}
    </button>
  );
}

it('asks once, leaves a way back when it is put off, and is forgotten with the account', async () => {
  let refused = true;
  answerWith({
    whoami: () => account,
    'keychain.status': () => failure('unknown_command'),
    'manager.find': () => failure('manager_unreachable'),
    'session.list': () =>
      refused
        ? failure('login_expired')
        : { sessions: [], total: 0, as_of: '2026-01-01T00:00:00Z', stale: false, failure: null },
  });
  await show(
    <>
      <LoginAgain />
      <Page />
    </>,
  );
  const dialog = await screen.findByTestId(ids.login.again);
  fireEvent.keyDown(dialog, { key: 'Escape', keyCode: 27 });
  await expect.poll(() => screen.queryByTestId(ids.login.again), { timeout: 10_000 }).toBeNull();
  // The next refusal does not open it again: the line stays, and leads back.
  fireEvent.click(screen.getByText('login_expired'));
  const banner = await screen.findByTestId(ids.login.expired);
  expect(screen.queryByTestId(ids.login.again)).toBeNull();
  const back = banner.querySelector('button');
  if (!back) throw new Error('no button leads back');
  fireEvent.click(back);
  await screen.findByTestId(ids.login.again);

  refused = false;
  await act(() => forgetAll());
  await expect.poll(() => screen.queryByTestId(ids.login.expired), { timeout: 10_000 }).toBeNull();
});
