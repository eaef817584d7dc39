import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';
import { call, Failure, stream } from '@/bridge';
import { attachInputMethod } from './inputMethod';
import { attachKeys } from './keys';
import type { TerminalRecord } from './terminals';
import { terminalTheme } from './theme';

export type TerminalViewState = 'connecting' | 'open' | 'ended';

const RESIZE_REST_MS = 60;
/** Panes get their sizes in several steps. */
const SETTLE_MS = 80;
const FONT_SIZE = 13;
/** A connection that breaks (sleep, another network) is made again by itself, ever more slowly. */
const AGAIN_MS = [500, 1_000, 2_000, 4_000, 8_000] as const;

const base64 = (text: string): string => {
  let binary = '';
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
};

export interface TerminalTools {
  terminal: Terminal;
  search: SearchAddon;
}

interface Options {
  session: string;
  record: TerminalRecord;
  /** Whether the keys go here. */
  active: boolean;
  turn: number;
  onOpened: () => void;
  onTitle: (title: string) => void;
  onSearch: () => void;
  onLink: (address: string) => void;
}

/** A shell of a session on an xterm.js screen in `box`, from mounting to unmounting. */
export function useTerminal({ session, record, active, turn, ...events }: Options) {
  const box = useRef<HTMLDivElement>(null);
  const tools = useRef<(TerminalTools & { fit: FitAddon }) | null>(null);
  const [state, setState] = useState<TerminalViewState>('connecting');
  const [failure, setFailure] = useState<Failure | null>(null);
  const told = useRef(events);
  told.current = events;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the turn asks for a new connection
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    setState('connecting');
    setFailure(null);
    const terminal = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--font-mono'),
      fontSize: FONT_SIZE,
      scrollback: 20_000,
      theme: terminalTheme(),
      // The search marks what it finds.
      allowProposedApi: true,
      macOptionIsMeta: true,
      cursorBlink: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
    });
    const fit = new FitAddon();
    const search = new SearchAddon();
    terminal.loadAddon(fit);
    terminal.loadAddon(search);
    terminal.loadAddon(
      new WebLinksAddon((event, address) => {
        event.preventDefault();
        told.current.onLink(address);
      }),
    );
    terminal.open(element);
    fit.fit();
    tools.current = { terminal, search, fit };
    attachKeys(terminal, () => told.current.onSearch());
    const detachInputMethod = attachInputMethod(terminal, element);
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

    let gone = false;
    let tries = 0;
    let timer: number | undefined;
    let close: () => void = () => undefined;
    const connect = () => {
      close = stream(
        'terminal.open',
        { session, rows: terminal.rows, cols: terminal.cols, terminal_id: record.terminalId },
        {
          onMessage: ({ terminal_id }) => {
            // What is shown already comes again, from the beginning.
            if (tries > 0) terminal.reset();
            tries = 0;
            record.terminalId = terminal_id;
            shellIsThere();
            setFailure(null);
            setState('open');
            told.current.onOpened();
          },
          onBytes: (bytes) => new Promise<void>((drawn) => terminal.write(bytes, drawn)),
          onEnd: (error) => {
            if (gone) return;
            const wait = AGAIN_MS[tries];
            // Only a shell that was there can be taken up again.
            if (error && record.terminalId && wait !== undefined) {
              tries += 1;
              setState('connecting');
              timer = window.setTimeout(connect, wait);
              return;
            }
            record.terminalId = error ? record.terminalId : null;
            setFailure(error instanceof Failure ? error : null);
            setState('ended');
          },
        },
      );
    };
    // First the screen gets its size: a shell that is taken up at another one draws its last line
    // anew, over what was there.
    let settling: number | undefined;
    let begun = false;
    const begin = () => {
      if (begun || element.clientWidth === 0) return;
      begun = true;
      fit.fit();
      connect();
    };

    const typed = terminal.onData(send);
    const titled = terminal.onTitleChange((title) => told.current.onTitle(title));
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
      window.clearTimeout(settling);
      if (!begun) settling = window.setTimeout(begin, SETTLE_MS);
    });
    watch.observe(element);
    const themes = new MutationObserver(() => {
      terminal.options.theme = terminalTheme();
    });
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] });

    return () => {
      gone = true;
      window.clearTimeout(timer);
      window.clearTimeout(resting);
      window.clearTimeout(settling);
      watch.disconnect();
      themes.disconnect();
      detachInputMethod();
      typed.dispose();
      titled.dispose();
      resized.dispose();
      close();
      terminal.dispose();
      tools.current = null;
    };
  }, [session, record, turn]);

  useEffect(() => {
    if (!active || state !== 'open') return;
    tools.current?.fit.fit();
    tools.current?.terminal.focus();
  }, [active, state]);

  return { box, state, failure, tools };
}
