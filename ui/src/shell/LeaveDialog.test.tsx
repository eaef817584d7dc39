import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FileEdit, setTransport, type Transfer, type Tunnel } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, lastTransport, show } from '@/testing/program';
import { LeaveDialog } from './LeaveDialog';

const tunnel = { id: 't', app: 'jupyterlab', session_name: 'work', local_port: 8888 } as Tunnel;
const transfer = {
  id: 'f',
  state: 'running',
  src: { kind: 'local', path: '/home/me/data.tar' },
} as Transfer;

const edit = {
  id: 'e',
  state: 'same',
  location: { kind: 'session', session: 's', path: '/home/work/notes.md' },
} as FileEdit;

let quit: () => void = () => undefined;
let waiting = false;

beforeEach(() => {
  waiting = false;
});
afterEach(cleanup);

async function open(transfers: Transfer[], edits: FileEdit[] = []) {
  const calls = answerWith({
    'tunnel.list': () => ({ tunnels: [tunnel] }),
    'transfer.list': () => ({ transfers }),
    'file.edits': () => ({ edits }),
    'app.leaving': () => ({ waiting }),
    'app.leave': ({ choice }) => {
      waiting = choice === 'wait';
      return { waiting };
    },
  });
  setTransport({
    ...lastTransport(),
    onLeave: (ask) => {
      quit = ask;
      return () => undefined;
    },
  });
  await show(<LeaveDialog />);
  act(() => quit());
  return calls;
}

it('lists what is under way, and waits for transfers when that is chosen', async () => {
  const calls = await open([transfer]);
  const dialog = await screen.findByTestId(ids.leave.dialog);
  expect(dialog.textContent).toContain('jupyterlab');
  expect(dialog.textContent).toContain('data.tar');
  fireEvent.click(screen.getByTestId(ids.leave.wait));
  await screen.findByTestId(ids.leave.waiting);
  expect(calls).toContainEqual({ name: 'app.leave', payload: { choice: 'wait' } });
  // Thought better of it.
  fireEvent.click(screen.getByTestId(ids.leave.stay));
  await expect.poll(() => screen.queryByTestId(ids.leave.waiting), { timeout: 10_000 }).toBeNull();
});

it('offers no waiting for what never ends by itself', async () => {
  const calls = await open([]);
  await screen.findByTestId(ids.leave.dialog);
  expect(screen.queryByTestId(ids.leave.wait)).toBeNull();
  fireEvent.click(screen.getByTestId(ids.leave.stop));
  await expect
    .poll(() => calls.some(({ payload }) => JSON.stringify(payload) === '{"choice":"stop"}'), {
      timeout: 10_000,
    })
    .toBe(true);
});

it('lists files that are open in an editor, and waits only for what was saved', async () => {
  await open([], [edit]);
  const dialog = await screen.findByTestId(ids.leave.dialog);
  await expect.poll(() => dialog.textContent, { timeout: 10_000 }).toContain('notes.md');
  expect(screen.queryByTestId(ids.leave.wait)).toBeNull();
});

it('waits for what was saved in an editor', async () => {
  const calls = await open([], [{ ...edit, state: 'saving' }]);
  fireEvent.click(await screen.findByTestId(ids.leave.wait));
  await screen.findByTestId(ids.leave.waiting);
  expect(calls).toContainEqual({ name: 'app.leave', payload: { choice: 'wait' } });
});
