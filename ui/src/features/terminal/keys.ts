import type { Terminal } from '@xterm/xterm';
import { copyText } from '@/kit';

const isMac = navigator.platform.startsWith('Mac');

/**
 * Copy, paste and search as terminals have them: Ctrl-Shift-C, V and F, by their place on the
 * keyboard, since with a Hangul or Kana layout `key` is another letter.
 */
export function attachKeys(terminal: Terminal, onSearch: () => void): void {
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type !== 'keydown' || event.isComposing) return true;
    const mod = isMac ? event.metaKey : event.ctrlKey && event.shiftKey;
    if (mod && event.code === 'KeyC' && terminal.hasSelection()) {
      event.preventDefault();
      void copyText(terminal.getSelection());
      return false;
    }
    if (mod && event.code === 'KeyF') {
      event.preventDefault();
      onSearch();
      return false;
    }
    // The web view pastes by itself; the terminal only has to let the key pass.
    return !(mod && event.code === 'KeyV');
  });
}
