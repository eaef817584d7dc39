import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { call, inWindow } from '@/bridge';
import { queryClient } from '@/bridge/query';
import { SECTIONS } from './sections';

export const isMac = navigator.platform.startsWith('Mac');

export const modifierName = () => (isMac ? '⌘' : 'Ctrl ');

interface Actions {
  openPalette: () => void;
  openHelp: () => void;
}

export const SHORTCUTS = [
  { key: 'palette', keys: ['mod', 'K'] },
  { key: 'launch', keys: ['mod', 'N'] },
  { key: 'sections', keys: ['mod', '1…8'] },
  { key: 'refresh', keys: ['mod', 'R'] },
  { key: 'find', keys: ['mod', 'F'] },
  { key: 'settings', keys: ['mod', ','] },
  { key: 'quit', keys: ['mod', 'Q'] },
  { key: 'help', keys: ['?'] },
  { key: 'rows', keys: ['↑', '↓'] },
  { key: 'open', keys: ['Enter'] },
  { key: 'select', keys: ['Space'] },
  { key: 'extend', keys: ['Shift', '↑ ↓'] },
  { key: 'close', keys: ['Esc'] },
] as const;

const PAGES: Record<string, '/launch' | '/settings'> = { KeyN: '/launch', Comma: '/settings' };

/** Reads every answer in sight again. Tunnels and transfers live outside the page and go on. */
export function refresh(): void {
  void queryClient.invalidateQueries();
}

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

const inTerminal = (target: EventTarget | null) =>
  target instanceof Element && target.closest('.xterm') !== null;

/**
 * The program's keys. Letters go by their place on the keyboard (`code`), since with a Hangul or
 * Kana layout `key` is another letter.
 */
export function useShortcuts({ openPalette, openHelp }: Actions): void {
  const navigate = useNavigate();

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      // A terminal needs Ctrl-R, Ctrl-N and Ctrl-K for itself.
      if (event.isComposing || event.altKey || inTerminal(event.target)) return;
      const mod = isMac ? event.metaKey : event.ctrlKey;
      if (!mod) {
        if (event.key === '?' && !isTyping(event.target)) {
          event.preventDefault();
          openHelp();
        } else if (event.code === 'F5') {
          event.preventDefault();
          refresh();
        }
        return;
      }
      if (event.shiftKey) return;
      const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
      const section = digit ? SECTIONS[Number(digit) - 1] : undefined;
      const page = section?.to ?? PAGES[event.code];
      if (page) void navigate({ to: page });
      else if (event.code === 'KeyK') openPalette();
      else if (event.code === 'KeyR') refresh();
      else if (event.code === 'KeyQ' && inWindow()) void call('app.leave', { choice: 'ask' });
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, [navigate, openPalette, openHelp]);
}
