import { Channel, invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import { toFailure } from './failure';
import type { StreamMessage, Transport } from './transport';

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
};
