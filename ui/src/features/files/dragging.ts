// What is being dragged, for as long as the pointer holds it. Not in the drag's own data: a drag
// that the desktop shell took over carries none that a page could read.
import { inWindow } from '@/bridge';

export interface Dragged {
  side: 'local' | 'remote';
  names: readonly string[];
}

let held: Dragged | null = null;

export const heldFiles = () => held;

export function hold(files: Dragged) {
  held = files;
}

export function letGo() {
  held = null;
}

/** For a drop that this page is told of in its own time: pointers move again only after the drag. */
export function letGoLater() {
  const files = held;
  const later = () => {
    if (held === files) letGo();
  };
  window.addEventListener('pointermove', later, { once: true, capture: true });
}

/** Whether files that are not on this computer can be dragged onto the desktop. */
export const leavesWindow = () => inWindow() && navigator.userAgent.includes('Linux');
