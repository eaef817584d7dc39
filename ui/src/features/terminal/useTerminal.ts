import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';
import { call, Failure, stream } from '@/bridge';
import { attachKeys } from './keys';
import type { TerminalRecord } from './terminals';
import { terminalTheme } from './theme';

export type TerminalViewState = 'connecting' | 'open' | 'ended';

const RESIZE_REST_MS = 60;

const base64 = (text: string): string => {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
};

/** A shell of a session on an xterm.js screen in `box`, from mounting to unmounting. */
export function useTerminal(
  session: string,
  record: TerminalRecord,
  active: boolean,
  turn: number,
) {
  const box = useRef<HTMLDivElement>(null);
  const screen = useRef<{ terminal: Terminal; fit: FitAddon } | null>(null);
  const [state, setState] = useState<TerminalViewState>('connecting');
  const [failure, setFailure] = useState<Failure | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the turn asks for a new connection
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    setState('connecting');
    setFailure(null);
    const terminal = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--font-mono'),
      fontSize: 13,
      scrollback: 20_000,
      theme: terminalTheme(),
      allowProposedApi: false,
      macOptionIsMeta: true,
      cursorBlink: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(element);
    fit.fit();
    screen.current = { terminal, fit };
    attachKeys(terminal);
    // Journeys read the screen from here: what is drawn on a canvas can't be read from the page.
    Object.assign(element, { terminal });

    // Keys go out one after another, or a slow answer would let two of them change places.
    // The first waits until the shell is there, or what is typed at once would be lost.
    let shellIsThere: () => void = () => undefined;
    let sending: Promise<unknown> = new Promise<void>((there) => {
      shellIsThere = there;
    });
    const send = (text: string) => {
      sending = sending
        .then(
          async () => {
            const id = record.terminalId;
            if (id) await call('terminal.write', { terminal_id: id, data: base64(text) });
          },
          () => undefined,
        )
        .catch(() => undefined);
    };

    const close = stream(
      'terminal.open',
      { session, rows: terminal.rows, cols: terminal.cols, terminal_id: record.terminalId },
      {
        onMessage: ({ terminal_id }) => {
          record.terminalId = terminal_id;
          shellIsThere();
          setState('open');
        },
        onBytes: (bytes) => new Promise<void>((drawn) => terminal.write(bytes, drawn)),
        onEnd: (error) => {
          record.terminalId = error ? record.terminalId : null;
          setFailure(error instanceof Failure ? error : null);
          setState('ended');
        },
      },
    );

    const typed = terminal.onData(send);
    let resting: number | undefined;
    const resized = terminal.onResize(({ rows, cols }) => {
      window.clearTimeout(resting);
      resting = window.setTimeout(() => {
        const id = record.terminalId;
        if (id) call('terminal.resize', { terminal_id: id, rows, cols }).catch(() => undefined);
      }, RESIZE_REST_MS);
    });
    const watch = new ResizeObserver(() => {
      // A hidden tab has no size; fitting to it would shrink the shell to nothing.
      if (element.clientWidth > 0) fit.fit();
    });
    watch.observe(element);
    const themes = new MutationObserver(() => {
      terminal.options.theme = terminalTheme();
    });
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });

    return () => {
      window.clearTimeout(resting);
      watch.disconnect();
      themes.disconnect();
      typed.dispose();
      resized.dispose();
      close();
      terminal.dispose();
      screen.current = null;
    };
  }, [session, record, turn]);

  useEffect(() => {
    if (!active || state !== 'open') return;
    screen.current?.fit.fit();
    screen.current?.terminal.focus();
  }, [active, state]);

  return { box, state, failure };
}
