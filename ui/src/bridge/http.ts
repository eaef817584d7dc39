import { Failure, toFailure } from './failure';
import type { FailureCode } from './generated/FailureCode';
import type { StreamMessage, Transport } from './transport';

const unreachable = (cause: unknown) =>
  new Failure({
    code: 'bridge_unreachable',
    message: cause instanceof Error ? cause.message : String(cause),
    hint: null,
    details: null,
    retryable: true,
  });

/** The status of a page that was not opened by the one-time address, or whose server is another. */
const NO_SESSION = 401;

const closed = () =>
  new Failure({
    code: 'bridge_closed',
    message: 'this page has no session with the program',
    hint: null,
    details: null,
    retryable: false,
  });

/** The close code of a stream that ended with a failure; the reason is `<code>: <message>`. */
const STREAM_FAILED = 4000;

function streamEnd(code: number, reason: string): Failure | null {
  if (code === 1000 || code === 1005) return null;
  if (code === STREAM_FAILED) {
    const told = /^([a-z_]+): ([\s\S]*)$/.exec(reason);
    if (!told) return toFailure(reason);
    return new Failure({
      code: told[1] as FailureCode,
      message: told[2] ?? '',
      hint: null,
      details: null,
      retryable: true,
    });
  }
  return unreachable(reason || `closed with code ${code}`);
}

/** Trades the one-time token of the address for a session cookie and takes it out of the address. */
export async function enter(): Promise<void> {
  const match = /^#t=([\w.~-]+)/.exec(window.location.hash);
  const token = match?.[1];
  if (!token) return;
  window.history.replaceState(null, '', `${window.location.pathname}#/`);
  const answer = await fetch('/api/enter', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    credentials: 'same-origin',
    body: JSON.stringify({ token }),
  });
  if (answer.status === NO_SESSION) throw closed();
  if (!answer.ok) throw toFailure(await answer.json().catch(() => answer.statusText));
}

export const httpTransport: Transport = {
  kind: 'http',

  async call(name, payload, { signal, confirmed }) {
    let answer: globalThis.Response;
    try {
      answer = await fetch(`/api/call/${name}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(confirmed ? { 'x-gangway-confirmed': 'yes' } : {}),
        },
        credentials: 'same-origin',
        body: JSON.stringify(payload),
        signal: signal ?? null,
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw unreachable(cause);
    }
    if (answer.status === NO_SESSION) throw closed();
    const body: unknown = await answer.json().catch(() => null);
    if (!answer.ok) throw toFailure(body ?? `${answer.status} ${answer.statusText}`);
    return body as never;
  },

  stream(name, payload, handlers) {
    const scheme = window.location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${window.location.host}/api/stream/${name}`);
    socket.binaryType = 'arraybuffer';
    let open = true;
    const end = (failure: Error | null) => {
      if (!open) return;
      open = false;
      handlers.onEnd?.(failure);
    };
    socket.onopen = () => socket.send(JSON.stringify(payload));
    socket.onmessage = ({ data }) => {
      if (!open) return;
      if (data instanceof ArrayBuffer) {
        // More is sent only when this was taken, or a flood would fill the browser's memory.
        const taken = () => {
          if (socket.readyState === WebSocket.OPEN) {
            socket.send(JSON.stringify({ taken: data.byteLength }));
          }
        };
        Promise.resolve(handlers.onBytes?.(new Uint8Array(data))).then(taken, taken);
      } else handlers.onMessage(JSON.parse(String(data)) as StreamMessage<typeof name>);
    };
    socket.onclose = ({ code, reason }) => end(streamEnd(code, reason));
    return () => {
      open = false;
      socket.close();
    };
  },

  // There is no shell around a page in the user's browser.
  onPlace: () => () => undefined,
  onLeave: () => () => undefined,
  onFiles: () => () => undefined,
};
