import { afterEach, expect, it, vi } from 'vitest';
import { askBeforeHost, call, Failure, setTransport, stream } from '.';
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

/** A socket whose other end is the test. */
class Socket {
  static readonly OPEN = 1;
  static last: Socket;
  readonly readyState = Socket.OPEN;
  readonly sent: string[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: unknown }) => void = () => undefined;
  onclose: (event: { code: number; reason: string }) => void = () => undefined;
  constructor() {
    Socket.last = this;
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {}
}

function openTerminal(onBytes: () => Promise<void>) {
  vi.stubGlobal('WebSocket', Socket);
  setTransport(httpTransport);
  const onEnd = vi.fn();
  stream(
    'terminal.open',
    { session: 's', rows: 24, cols: 80 },
    { onMessage: () => undefined, onBytes, onEnd },
  );
  Socket.last.onopen();
  return onEnd;
}

it('ends a stream with the code that the other side gives as its reason', () => {
  const onEnd = openTerminal(async () => undefined);
  Socket.last.onclose({ code: 4000, reason: 'session_ended: the session has ended: yes' });
  expect(onEnd.mock.calls[0]?.[0]).toBeInstanceOf(Failure);
  expect(onEnd.mock.calls[0]?.[0]).toMatchObject({
    code: 'session_ended',
    message: 'the session has ended: yes',
  });
});

it('says that bytes were taken only when they are drawn', async () => {
  let drawn: () => void = () => undefined;
  openTerminal(
    () =>
      new Promise((done) => {
        drawn = done;
      }),
  );
  Socket.last.onmessage({ data: new ArrayBuffer(42) });
  await Promise.resolve();
  expect(Socket.last.sent).toHaveLength(1);
  drawn();
  await vi.waitFor(() => expect(Socket.last.sent[1]).toBe('{"taken":42}'));
});
