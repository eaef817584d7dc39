import { Channel, invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import { toFailure } from './failure';
import type { DraggedFiles, StreamMessage, Transport } from './transport';

/** The page's own event for files from outside; journeys send it where no pointer can drag. */
const FILES = 'shell:files';

/** What the shell tells of a drag; a position counts physical pixels. */
interface Dragged {
  paths: string[];
  position: { x: number; y: number };
}

let lastCall = 0;
const nextCallId = () => `${performance.timeOrigin.toString(36)}-${(++lastCall).toString(36)}`;

const cancel = (callId: string) => {
  // A call that has just ended can no longer be cancelled; that is no failure.
  invoke('cancel', { callId }).catch(() => undefined);
};

export const tauriTransport: Transport = {
  kind: 'window',

  async call(name, payload, { signal }) {
    const callId = nextCallId();
    const stop = () => cancel(callId);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await invoke('call', { name, payload, callId });
    } catch (thrown) {
      throw toFailure(thrown);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  },

  stream(name, payload, handlers) {
    const callId = nextCallId();
    const channel = new Channel<unknown>();
    let open = true;
    let arrived = 0;
    // The answer may overtake the last messages; it says how many there are.
    let expected = Number.POSITIVE_INFINITY;
    const end = (failure: Error | null) => {
      if (!open) return;
      open = false;
      handlers.onEnd?.(failure);
    };
    channel.onmessage = (message) => {
      if (!open) return;
      if (message instanceof ArrayBuffer) {
        const bytes = message.byteLength;
        const taken = () => void invoke('ack', { callId, bytes }).catch(() => undefined);
        Promise.resolve(handlers.onBytes?.(new Uint8Array(message))).then(taken, taken);
      } else {
        handlers.onMessage(message as StreamMessage<typeof name>);
      }
      arrived += 1;
      if (arrived >= expected) end(null);
    };
    invoke<number>('stream', { name, payload, channel, callId }).then(
      (sent) => {
        expected = sent;
        if (arrived >= expected) end(null);
      },
      (thrown) => end(toFailure(thrown)),
    );
    return () => {
      if (!open) return;
      open = false;
      cancel(callId);
    };
  },

  onPlace(go) {
    const listening = listen<string>('shell:navigate', ({ payload }) => go(payload));
    return () => void listening.then((stop) => stop());
  },

  onLeave(ask) {
    const listening = listen('shell:leave', () => ask());
    return () => void listening.then((stop) => stop());
  },

  onFiles(tell) {
    const hear = (event: Event) => tell((event as CustomEvent<DraggedFiles>).detail);
    window.addEventListener(FILES, hear);
    const stops = (['enter', 'over', 'drop', 'leave'] as const).map((kind) =>
      listen<Partial<Dragged>>(`tauri://drag-${kind}`, ({ payload }) => {
        const detail: DraggedFiles = {
          what: kind === 'enter' ? 'over' : kind,
          paths: kind === 'drop' ? (payload.paths ?? []) : [],
          x: (payload.position?.x ?? 0) / window.devicePixelRatio,
          y: (payload.position?.y ?? 0) / window.devicePixelRatio,
        };
        window.dispatchEvent(new CustomEvent(FILES, { detail }));
      }),
    );
    return () => {
      window.removeEventListener(FILES, hear);
      for (const stop of stops) void stop.then((end) => end());
    };
  },
};
