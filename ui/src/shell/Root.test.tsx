import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { setTransport } from '@/bridge';
import { invalidate, queryClient } from '@/bridge/query';
import { ids } from '@/testids';
import { answerWith, failure, lastTransport, show } from '@/testing/program';
import { Root } from './Root';

afterEach(cleanup);

it('keeps what was typed into the login page while it asks again who is logged in', async () => {
  answerWith({
    whoami: () => failure('not_logged_in'),
    'keychain.status': () => ({ store: 'system', state: 'ready', detail: '' }),
  });
  await show(<Root />);
  fireEvent.click(await screen.findByTestId(ids.login.other));
  const field = () => screen.getByTestId<HTMLInputElement>(ids.login.address);
  fireEvent.change(field(), { target: { value: 'lab.example.com' } });

  const before = lastTransport();
  let refuse = () => {};
  const asked = new Promise<never>((_, reject) => {
    refuse = () => reject(failure('not_logged_in'));
  });
  setTransport({
    ...before,
    call: (name, payload, ...rest) =>
      name === 'whoami' ? asked : before.call(name, payload, ...rest),
  });
  await act(() => {
    void invalidate(queryClient, 'profile');
  });
  expect(field().value).toBe('lab.example.com');
  await act(() => refuse());
  expect(field().value).toBe('lab.example.com');
});
