import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { FileEntry, Location } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, type Call, show } from '@/testing/program';
import { TwoPanes } from './TwoPanes';

const entry = (name: string, kind: FileEntry['kind'] = 'file'): FileEntry => ({
  name,
  kind,
  size: 1,
  modified: null,
  mode: 0o644,
  target: null,
});

const FILES: Record<string, FileEntry[]> = {
  '/home/me': [entry('sub', 'directory'), entry('alpha'), entry('beta'), entry('.hidden')],
  '/home/me/sub': [entry('inner')],
  '/home/work': [entry('there')],
};

/** A build machine may be busy. */
const PATIENCE = { timeout: 10_000 };
const there = (side: string, name: string) =>
  screen.findByTestId(ids.files.row(side, name), {}, PATIENCE);

const SESSION: Location = { kind: 'session', session: 's', path: '/home/work' };
let calls: Call[];
let keep = 0;

beforeEach(async () => {
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  for (const side of ['offsetHeight', 'clientHeight', 'offsetWidth', 'clientWidth'] as const) {
    vi.spyOn(HTMLElement.prototype, side, 'get').mockReturnValue(700);
  }
  calls = answerWith({
    'file.places': () => ({
      places: [{ name: 'home', location: { kind: 'local', path: '/home/me' } }],
    }),
    'file.list': ({ location }) => ({ location, entries: FILES[location.path] ?? [] }),
    'file.edits': () => ({ edits: [] }),
    'folder.list': () => ({ folders: [] }),
    'transfer.list': () => ({ transfers: [] }),
    'transfer.start': () => ({ transfers: [] }),
    'file.remove': () => ({}),
    'file.mkdir': () => ({}),
  });
  keep += 1;
  await show(<TwoPanes keep={`test-${keep}`} right={SESSION} />);
  await there('local', 'alpha');
  await there('remote', 'there');
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const grid = (side: string) => {
  const found = screen.getByTestId(ids.files.pane(side)).querySelector('[role="grid"]');
  if (!(found instanceof HTMLElement)) throw new Error('no list');
  return found;
};
const press = (side: string, key: string, more: object = {}) =>
  fireEvent.keyDown(grid(side), { key, code: key, ...more });
const started = () => calls.filter(({ name }) => name === 'transfer.start');
const row = (side: string, name: string) => screen.queryByTestId(ids.files.row(side, name));

it('copies to the other pane with F5: what is marked, else where the keys are', async () => {
  fireEvent.focus(grid('local'));
  press('local', 'b');
  press('local', 'F5');
  await expect.poll(() => started().length, PATIENCE).toBe(1);
  expect(started()[0]?.payload).toMatchObject({
    items: [
      {
        src: { kind: 'local', path: '/home/me/beta' },
        dst: { kind: 'session', session: 's', path: '/home/work/beta' },
      },
    ],
    remove_source: false,
  });
  press('local', 'Home');
  press('local', 'Insert');
  press('local', 'Insert');
  press('local', 'F5');
  await expect.poll(() => started().length, PATIENCE).toBe(2);
  expect(started()[1]?.payload).toMatchObject({
    items: [{ src: { path: '/home/me/sub' } }, { src: { path: '/home/me/alpha' } }],
  });
});

it('goes into a directory and up again, back to where it was', async () => {
  fireEvent.focus(grid('local'));
  press('local', 'Home');
  press('local', 'Enter');
  await there('local', 'inner');
  press('local', 'Backspace');
  await expect.poll(() => row('local', 'sub')?.dataset.active, PATIENCE).toBe('true');
});

it('changes panes with Tab, shows hidden files, and asks before it deletes', async () => {
  grid('local').focus();
  press('local', 'Tab');
  expect(document.activeElement).toBe(grid('remote'));
  expect(row('local', '.hidden')).toBeNull();
  press('local', 'h', { code: 'KeyH', ctrlKey: true });
  await there('local', '.hidden');
  press('local', 'a');
  press('local', 'Delete');
  fireEvent.click(await screen.findByTestId(ids.files.removeConfirm, {}, PATIENCE));
  await expect
    .poll(() => calls.find(({ name }) => name === 'file.remove')?.payload, PATIENCE)
    .toEqual({ locations: [{ kind: 'local', path: '/home/me/alpha' }] });
});

it('copies links as chosen, and remembers the choice', async () => {
  const choose = async (name: string) => {
    const select = screen.getByTestId(ids.files.links);
    fireEvent.mouseDown(select.querySelector('.ant-select-selector') ?? select);
    fireEvent.click(await screen.findByText(name, { selector: '.ant-select-item-option-content' }));
  };
  fireEvent.focus(grid('local'));
  press('local', 'b');
  await choose('Follow links');
  press('local', 'F5');
  await expect.poll(() => started().length, PATIENCE).toBe(1);
  expect(started()[0]?.payload).toMatchObject({ links: 'follow' });
  expect(window.localStorage.getItem('gangway.copy-links')).toBe('follow');
  window.localStorage.clear();
});
