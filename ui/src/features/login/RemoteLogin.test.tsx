import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { ManagerFound } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, failure, show } from '@/testing/program';
import { LoginPage } from './LoginPage';

afterEach(cleanup);

const found = (mode: ManagerFound['mode']): ManagerFound => ({
  endpoint: 'https://lab.example.com',
  mode,
  manager_version: '26.8.0',
  api_version: 'v9.20250722',
  newer: false,
  ours: false,
});

const keychain = () => ({ store: 'system' as const, state: 'ready' as const, detail: '' });
const type = (id: string, value: string) =>
  fireEvent.change(screen.getByTestId(id), { target: { value } });

async function toAddress(address: string) {
  await show(<LoginPage failure={null} />);
  fireEvent.click(screen.getByTestId(ids.login.other));
  type(ids.login.address, address);
  fireEvent.click(screen.getByTestId(ids.login.find));
}

it('asks for the one-time password when the account needs it', async () => {
  const calls = answerWith({
    'keychain.status': keychain,
    'manager.find': () => found('session'),
    'login.remote': () => failure('otp_needed'),
  });
  await toAddress('lab.example.com');
  await screen.findByTestId(ids.login.found);
  expect(screen.queryByTestId(ids.login.kind)).toBeNull();
  type(ids.login.user, 'user@example.com');
  type(ids.login.password, 'secret');
  await waitFor(() =>
    expect(screen.getByTestId<HTMLButtonElement>(ids.login.submit).disabled).toBe(false),
  );
  fireEvent.click(screen.getByTestId(ids.login.submit));
  await screen.findByTestId(ids.login.otp);
  type(ids.login.otp, '271828');
  fireEvent.click(screen.getByTestId(ids.login.submit));
  await waitFor(() =>
    expect(calls.findLast(({ name }) => name === 'login.remote')).toMatchObject({
      payload: { address: 'lab.example.com', with: { kind: 'password', otp: '271828' } },
    }),
  );
});

it('asks for a new password when the old one has expired, typed twice', async () => {
  const calls = answerWith({
    'keychain.status': keychain,
    'manager.find': () => found('session'),
    'login.remote': () => failure('password_expired'),
  });
  await toAddress('lab.example.com');
  await screen.findByTestId(ids.login.found);
  type(ids.login.user, 'user@example.com');
  type(ids.login.password, 'old');
  const submit = () => screen.getByTestId<HTMLButtonElement>(ids.login.submit);
  await waitFor(() => expect(submit().disabled).toBe(false));
  fireEvent.click(submit());
  await screen.findByTestId(ids.login.newPassword);
  expect(submit().disabled).toBe(true);
  type(ids.login.newPassword, 'battery-1');
  type(ids.login.newPasswordAgain, 'battery-2');
  expect(submit().disabled).toBe(true);
  type(ids.login.newPasswordAgain, 'battery-1');
  expect(submit().disabled).toBe(false);
  fireEvent.click(submit());
  await waitFor(() =>
    expect(calls.findLast(({ name }) => name === 'login.remote')).toMatchObject({
      payload: { with: { password: 'old', new_password: 'battery-1' } },
    }),
  );
});

it('says what is wrong with an address and lets it be mended', async () => {
  let answers = 0;
  answerWith({
    'keychain.status': keychain,
    'manager.find': () => (answers++ === 0 ? failure('not_a_manager') : found('api')),
  });
  await toAddress('hotel.example.com');
  expect((await screen.findByTestId(ids.login.failure)).textContent).toContain('not_a_manager');
  type(ids.login.address, 'lab.example.com');
  fireEvent.click(screen.getByTestId(ids.login.find));
  await screen.findByTestId(ids.login.kind);
});

it('asks about a certificate once, its fingerprint broken between bytes only', async () => {
  const fingerprint = Array.from({ length: 32 }, (_, at) => `A${at % 10}`).join(':');
  answerWith({
    'keychain.status': keychain,
    'manager.find': () => failure('certificate_untrusted'),
    'network.certificate': () => ({
      host: 'lab.example.com',
      fingerprint,
      problem: 'UnknownIssuer',
      kept: null,
    }),
  });
  await toAddress('lab.example.com');
  const shown = (await screen.findByTestId(ids.certificate.fingerprint)).textContent ?? '';
  expect(shown.replaceAll('\n', '')).toBe(fingerprint);
  expect(shown.split('\n').every((line) => /^(A\d:?){8}$/.test(line))).toBe(true);
  expect(screen.queryByTestId(ids.login.failure)).toBeNull();
});

it('says what was refused where there is no certificate to decide on', async () => {
  answerWith({
    'keychain.status': keychain,
    'manager.find': () => failure('certificate_untrusted'),
    'network.certificate': () => ({
      host: 'lab.example.com',
      fingerprint: 'A0',
      problem: null,
      kept: null,
    }),
  });
  await toAddress('lab.example.com');
  expect((await screen.findByTestId(ids.kit.error)).textContent).toContain('certificate_untrusted');
});
