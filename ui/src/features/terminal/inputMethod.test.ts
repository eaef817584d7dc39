import type { Terminal } from '@xterm/xterm';
import { expect, it, vi } from 'vitest';
import { attachInputMethod } from './inputMethod';

function field() {
  const element = document.createElement('div');
  const textarea = document.createElement('textarea');
  element.append(textarea);
  const input = vi.fn();
  const end = vi.fn();
  textarea.addEventListener('compositionend', end);
  const undo = attachInputMethod({ textarea, input } as unknown as Terminal, element);
  const fire = (type: string, data = '') => {
    const event = new Event(type, { bubbles: true });
    textarea.dispatchEvent(Object.assign(event, { data }));
  };
  /** A word comes into the field, as the web view puts it there. */
  const decide = (word: string) => {
    const event = new Event('beforeinput', { bubbles: true });
    textarea.dispatchEvent(Object.assign(event, { inputType: 'insertFromComposition' }));
    textarea.value += word;
    fire('compositionend', word);
  };
  return { textarea, input, end, undo, fire, decide };
}

it('sends a word once that comes without a beginning', () => {
  const { textarea, input, end, decide } = field();
  textarea.value = 'left over';
  decide('한');
  decide('글');
  expect(input.mock.calls).toEqual([['한'], ['글']]);
  expect(end).not.toHaveBeenCalled();
  expect(textarea.value).toBe('left over');
});

it('leaves a composition that has begun to the terminal', () => {
  const { input, end, fire, decide } = field();
  fire('compositionstart');
  decide('日本語');
  expect(input).not.toHaveBeenCalled();
  expect(end).toHaveBeenCalledOnce();
});

it('listens no longer when the terminal is gone', () => {
  const { input, undo, decide } = field();
  undo();
  decide('한');
  expect(input).not.toHaveBeenCalled();
});
