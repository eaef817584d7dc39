import { afterEach, expect, it, vi } from 'vitest';
import { askBeforeHost, call, Failure, setTransport } from '.';
import { httpTransport } from './http';

const answer = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });

const refused = {
  code: 'confirmation_needed',
  message: 'not confirmed',
  hint: null,
  details: null,
  retryable: false,
};

let forget: () => void = () => undefined;
afterEach(() => {
  forget();
  vi.unstubAllGlobals();
});

function serve(...answers: Response[]) {
  const fetched = vi.fn(async (_url: string, _init: RequestInit) => answers.shift() as Response);
  vi.stubGlobal('fetch', fetched);
  setTransport(httpTransport);
  return fetched;
}

it('posts the payload to the name of the command', async () => {
  const fetched = serve(answer(200, { sessions: [] }));
  await expect(call('session.list', { all: true })).resolves.toEqual({ sessions: [] });
  expect(fetched.mock.calls[0]?.[0]).toBe('/api/call/session.list');
  expect(fetched.mock.calls[0]?.[1].body).toBe('{"all":true}');
});

it('throws the failure that the other side tells', async () => {
  serve(answer(404, { ...refused, code: 'session_not_found' }));
  const failed = await call('session.show', { session: 'x' }).catch((thrown: unknown) => thrown);
  expect(failed).toBeInstanceOf(Failure);
  expect(failed).toMatchObject({ code: 'session_not_found' });
});

it('tells a server that is gone from one that refuses', async () => {
  vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
  setTransport(httpTransport);
  await expect(call('whoami', {})).rejects.toMatchObject({ code: 'bridge_unreachable' });
});

it('asks the user once before a command reaches out, and says so in the second call', async () => {
  const fetched = serve(answer(409, refused), answer(200, {}));
  const ask = vi.fn(async () => true);
  forget = askBeforeHost(ask);
  await call('ssh.config_remove', {});
  expect(ask).toHaveBeenCalledExactlyOnceWith('ssh.config_remove');
  const headers = fetched.mock.calls.map(([, init]) => init.headers as Record<string, string>);
  expect(headers.map((one) => one['x-gangway-confirmed'])).toEqual([undefined, 'yes']);
});

it('does nothing when the user says no', async () => {
  const fetched = serve(answer(409, refused));
  forget = askBeforeHost(async () => false);
  await expect(call('host.reveal', { path: '/' })).rejects.toMatchObject({
    code: 'confirmation_needed',
  });
  expect(fetched).toHaveBeenCalledOnce();
});
