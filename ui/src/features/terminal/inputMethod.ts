import type { Terminal } from '@xterm/xterm';

/**
 * Words of an input method that shows what is not decided yet in a window of its own, as in the
 * desktop app on Linux: the page is told of a word when it is decided, with an end of a composition
 * that never began. xterm.js takes such an end for that of the composition before it and sends the
 * word twice, so these ends are kept from it. Returns what undoes it.
 */
export function attachInputMethod(terminal: Terminal, element: HTMLElement): () => void {
  let composing = false;
  let before = '';
  const onStart = () => {
    composing = true;
  };
  const onBefore = (event: InputEvent) => {
    if (event.inputType === 'insertFromComposition' && terminal.textarea) {
      before = terminal.textarea.value;
    }
  };
  const onEnd = (event: CompositionEvent) => {
    if (composing) {
      composing = false;
      return;
    }
    event.stopPropagation();
    // As it was: xterm.js also looks for what has come into its field.
    if (terminal.textarea) terminal.textarea.value = before;
    if (event.data) terminal.input(event.data);
  };
  const undo = new AbortController();
  // On their way down, before xterm.js sees them.
  const options = { capture: true, signal: undo.signal };
  element.addEventListener('compositionstart', onStart, options);
  element.addEventListener('beforeinput', onBefore, options);
  element.addEventListener('compositionend', onEnd, options);
  return () => undo.abort();
}
