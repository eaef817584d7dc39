import type { Terminal } from '@xterm/xterm';
import { copyText } from '@/kit';

const isMac = navigator.platform.startsWith('Mac');

/** Copy and paste as terminals have them: Ctrl-Shift-C and V, by their place on the keyboard. */
export function attachKeys(terminal: Terminal): void {
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type !== 'keydown' || event.isComposing) return true;
    const mod = isMac ? event.metaKey : event.ctrlKey && event.shiftKey;
    if (mod && event.code === 'KeyC' && terminal.hasSelection()) {
      event.preventDefault();
      void copyText(terminal.getSelection());
      return false;
    }
    // The web view pastes by itself; the terminal only has to let the key pass.
    return !(mod && event.code === 'KeyV');
  });
}
