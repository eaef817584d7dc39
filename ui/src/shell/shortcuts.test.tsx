import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from '@tanstack/react-router';
import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { queryClient } from '@/bridge/query';
import { useShortcuts } from './shortcuts';

const openPalette = vi.fn();
const openHelp = vi.fn();

function Keys() {
  useShortcuts({ openPalette, openHelp });
  return (
    <>
      <input aria-label="field" />
      <div className="xterm">
        <textarea aria-label="shell" />
      </div>
    </>
  );
}

let path: () => string;

beforeEach(async () => {
  openPalette.mockClear();
  openHelp.mockClear();
  const root = createRootRoute({ component: Keys });
  const pages = ['/', '/launch', '/sessions'].map((page) =>
    createRoute({ getParentRoute: () => root, path: page, component: () => null }),
  );
  const router = createRouter({
    routeTree: root.addChildren(pages),
    history: createMemoryHistory({ initialEntries: ['/'] }),
  });
  path = () => router.state.location.pathname;
  render(<RouterProvider router={router as never} />);
  await screen.findByLabelText('field');
});
afterEach(cleanup);

it('goes by the place of a key, whatever letter a Hangul layout puts there', () => {
  fireEvent.keyDown(document.body, { key: 'ㅏ', code: 'KeyK', ctrlKey: true });
  expect(openPalette).toHaveBeenCalledOnce();
});

it('goes to sections by number and to the launch form by N', async () => {
  fireEvent.keyDown(document.body, { key: '2', code: 'Digit2', ctrlKey: true });
  await vi.waitFor(() => expect(path()).toBe('/sessions'));
  fireEvent.keyDown(document.body, { key: 'ㅜ', code: 'KeyN', ctrlKey: true });
  await vi.waitFor(() => expect(path()).toBe('/launch'));
});

it('reads the data again on Ctrl-R, and keeps the page from loading anew', () => {
  const again = vi.spyOn(queryClient, 'invalidateQueries');
  const went = fireEvent.keyDown(document.body, { key: 'r', code: 'KeyR', ctrlKey: true });
  expect(went).toBe(false);
  expect(again).toHaveBeenCalledOnce();
});

it('leaves every key of a terminal to the terminal', () => {
  const went = fireEvent.keyDown(screen.getByLabelText('shell'), {
    key: 'r',
    code: 'KeyR',
    ctrlKey: true,
  });
  expect(went).toBe(true);
});

it('lists the shortcuts on "?", but not while something is typed', () => {
  fireEvent.keyDown(screen.getByLabelText('field'), { key: '?' });
  expect(openHelp).not.toHaveBeenCalled();
  fireEvent.keyDown(document.body, { key: '?' });
  expect(openHelp).toHaveBeenCalledOnce();
});

it('does nothing while a syllable is composed', () => {
  fireEvent.keyDown(document.body, { code: 'KeyK', ctrlKey: true, isComposing: true });
  expect(openPalette).not.toHaveBeenCalled();
});
