import type { Streams } from './generated/commands';
import type { CommandName, Request, Response, StreamName } from './types';

/** One message of a stream: JSON, or bytes (a terminal's output). */
export type StreamMessage<N extends StreamName> = Streams[N]['message'];

export interface StreamHandlers<N extends StreamName> {
  onMessage: (message: StreamMessage<N>) => void;
  /** May return a promise that is fulfilled when the bytes are drawn: more are sent only then. */
  onBytes?: (bytes: Uint8Array) => unknown;
  /** Called once, when the other side ended the stream; with a failure when it did not end well. */
  onEnd?: (failure: Error | null) => void;
}

/** Files of this computer that come from outside of the window. */
export interface DraggedFiles {
  what: 'over' | 'drop' | 'leave';
  /** Absolute paths; empty while they are only moved about. */
  paths: readonly string[];
  /** Where, in CSS pixels of the page. */
  x: number;
  y: number;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** The user has said yes to a command that reaches out to this computer. */
  confirmed?: boolean;
}

export interface Transport {
  readonly kind: 'window' | 'http';
  call<N extends CommandName>(
    name: N,
    payload: Request<N>,
    options: CallOptions,
  ): Promise<Response<N>>;
  /** Opens a stream; the returned function closes it. */
  stream<N extends StreamName>(
    name: N,
    payload: Streams[N]['request'],
    handlers: StreamHandlers<N>,
  ): () => void;
  /** Calls back when the shell (its tray, a link) asks for a place such as "#/settings". */
  onPlace(go: (place: string) => void): () => void;
  /** Calls back when the user wants to quit while something is under way. */
  onLeave(ask: () => void): () => void;
  /** Calls back while files of the desktop are dragged over the window, and when they are dropped. */
  onFiles(tell: (files: DraggedFiles) => void): () => void;
}
