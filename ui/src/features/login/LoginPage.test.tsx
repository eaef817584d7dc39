import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { KeychainStatus } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, failure, show } from '@/testing/program';
import { LoginPage } from './LoginPage';

afterEach(cleanup);

const keychain = (state: KeychainStatus['state']) => () => ({
  store: 'system' as const,
  state,
  detail: '',
});

const button = () => screen.getByTestId<HTMLButtonElement>(ids.login.thisComputer);
const state = (wanted: string) =>
  waitFor(() => expect(screen.getByTestId(ids.login.keychainState).dataset.state).toBe(wanted));

it('opens this computer with one click where there is a keychain', async () => {
  const calls = answerWith({ 'keychain.status': keychain('ready') });
  await show(<LoginPage failure={failure('not_logged_in')} />);
  await state('ready');
  fireEvent.click(button());
  await waitFor(() =>
    expect(calls).toContainEqual({
      name: 'login.local',
      payload: { keychain: 'system', passphrase: null },
    }),
  );
});

it('chooses no place for the key by itself where there is no keychain', async () => {
  const calls = answerWith({ 'keychain.status': keychain('absent') });
  await show(<LoginPage failure={failure('not_logged_in')} />);
  await state('absent');
  expect(button().disabled).toBe(true);
  fireEvent.click(screen.getByTestId(ids.login.store('memory')));
  fireEvent.click(button());
  await waitFor(() =>
    expect(calls).toContainEqual({
      name: 'login.local',
      payload: { keychain: 'memory', passphrase: null },
    }),
  );
});

it('wants a passphrase of some length for the encrypted file', async () => {
  answerWith({ 'keychain.status': keychain('absent') });
  await show(<LoginPage failure={null} />);
  await state('absent');
  fireEvent.click(screen.getByTestId(ids.login.store('file')));
  const field = screen.getByTestId(ids.login.passphrase);
  fireEvent.change(field, { target: { value: 'short' } });
  expect(button().disabled).toBe(true);
  fireEvent.change(field, { target: { value: 'long enough now' } });
  expect(button().disabled).toBe(false);
});

it('says why it could not open, with the code', async () => {
  answerWith({
    'keychain.status': keychain('ready'),
    'login.local': () => failure('engine_failed'),
  });
  await show(<LoginPage failure={null} />);
  await state('ready');
  fireEvent.click(button());
  expect((await screen.findByTestId(ids.login.failure)).textContent).toContain('engine_failed');
});
