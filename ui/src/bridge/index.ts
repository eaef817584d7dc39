// The one door to the Rust side. Which transport stands behind it is decided once, at the start.
import { toFailure } from './failure';
import type { Streams } from './generated/commands';
import type { DraggedFiles, StreamHandlers, Transport } from './transport';
import type { CommandName, Request, Response, StreamName, Tag } from './types';

export { Failure, type FailureBody, toFailure } from './failure';
export type { DraggedFiles, StreamHandlers } from './transport';
export type * from './types';

let transport: Transport | null = null;

function current(): Transport {
  if (!transport) throw new Error('The bridge was used before it was opened.');
  return transport;
}

/** Chooses the transport; to be awaited before the first call. */
export async function openBridge(): Promise<void> {
  if ('__TAURI_INTERNALS__' in window) {
    transport = (await import('./tauri')).tauriTransport;
    return;
  }
  const http = await import('./http');
  await http.enter();
  transport = http.httpTransport;
}

/** Puts another transport in place; for tests. */
export function setTransport(other: Transport): void {
  transport = other;
}

/** Whether this is the desktop window (true) or a page in the user's browser. */
export const inWindow = (): boolean => current().kind === 'window';

type Ask = (name: CommandName) => Promise<boolean>;
let ask: Ask | null = null;

/** Says how to ask the user when a command that reaches out to this computer wants a yes first. */
export function askBeforeHost(how: Ask): () => void {
  ask = how;
  return () => {
    ask = null;
  };
}

export async function call<N extends CommandName>(
  name: N,
  payload: Request<N>,
  signal?: AbortSignal,
): Promise<Response<N>> {
  try {
    return await current().call(name, payload, { signal });
  } catch (thrown) {
    const failure = toFailure(thrown);
    if (failure.code !== 'confirmation_needed' || !ask) throw thrown;
    if (!(await ask(name))) throw failure;
    return current().call(name, payload, { signal, confirmed: true });
  }
}

/** Opens a stream and gives the function that closes it. */
export function stream<N extends StreamName>(
  name: N,
  payload: Streams[N]['request'],
  handlers: StreamHandlers<N>,
): () => void {
  return current().stream(name, payload, handlers);
}

/** Calls back when the shell around the page asks for a place of it. */
export const onPlace = (go: (place: string) => void): (() => void) => current().onPlace(go);

/** Calls back when the user wants to quit while something is under way. */
export const onLeave = (ask: () => void): (() => void) => current().onLeave(ask);

/** Calls back while files of the desktop are dragged over the window, and when they are dropped. */
export const onFiles = (tell: (files: DraggedFiles) => void): (() => void) =>
  current().onFiles(tell);

const RECONNECT_MS = 2_000;

/** Calls back for every change the Rust side announces, over reconnects, until stopped. */
export function listen(onChange: (tag: Tag, id: string | null) => void): () => void {
  let stopped = false;
  let close: () => void = () => undefined;
  let timer: number | undefined;
  const open = () => {
    close = stream(
      'events',
      {},
      {
        onMessage: ({ tag, id }) => onChange(tag, id),
        onEnd: () => {
          if (!stopped) timer = window.setTimeout(open, RECONNECT_MS);
        },
      },
    );
  };
  open();
  return () => {
    stopped = true;
    window.clearTimeout(timer);
    close();
  };
}
