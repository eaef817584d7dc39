// A login that expires while something is open in the window, and the login after it.
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from '@tanstack/react-router';
import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import { Modal } from 'antd';
import { useState } from 'react';
import { afterEach, expect, it } from 'vitest';
import type { Account } from '@/bridge';
import { readAnew, useCall } from '@/bridge/query';
import { ids } from '@/testids';
import { answerWith, failure, show } from '@/testing/program';
import { Root } from './Root';

afterEach(cleanup);

const account = {
  profile: 'lab',
  endpoint: 'https://manager.lab',
  email: 'me@lab',
} as Account;

/** A page with a dialog over it; something is typed into both. */
function Page() {
  const folders = useCall('folder.list', { trash: false });
  const [asking, setAsking] = useState(false);
  return (
    <>
      <input aria-label="draft" />
      <button type="button" onClick={() => setAsking(true)}>
        ask
      </button>
      <button type="button" onClick={() => void folders.refetch()}>
        {folders.error?.code ?? 'fine'}
      </button>
      <Modal open={asking} title="New folder">
        <input aria-label="name" />
      </Modal>
    </>
  );
}

let refused = false;

async function open() {
  answerWith({
    whoami: () => account,
    'keychain.status': () => ({ store: 'system', state: 'ready', detail: '' }),
    'manager.find': () => ({
      endpoint: 'https://manager.lab',
      mode: 'session',
      manager_version: '26.8.0',
      api_version: 'v9.20250722',
      newer: false,
      ours: false,
    }),
    'folder.list': () => (refused ? failure('login_expired') : { folders: [] }),
    'login.remote': () => {
      refused = false;
      return account;
    },
  });
  const root = createRootRoute({ component: Root });
  const page = createRoute({ getParentRoute: () => root, path: '/', component: Page });
  const router = createRouter({
    routeTree: root.addChildren([page]),
    history: createMemoryHistory(),
  });
  await show(<RouterProvider router={router as never} />);
  type(await screen.findByLabelText('draft'), 'half a thought');
  fireEvent.click(screen.getByText('ask'));
  type(await screen.findByLabelText('name'), 'data');
}

const type = (field: HTMLElement, value: string) => fireEvent.change(field, { target: { value } });

async function expire() {
  refused = true;
  fireEvent.click(screen.getByText('fine'));
  await screen.findByTestId(ids.login.again);
}

function expectDrafts() {
  expect(screen.getByLabelText<HTMLInputElement>('draft').value).toBe('half a thought');
  expect(screen.getByLabelText<HTMLInputElement>('name').value).toBe('data');
}

it('keeps the page, its dialog and what was typed when somebody logs in again', async () => {
  await open();
  await expire();
  type(await screen.findByTestId(ids.login.password), 'secret');
  await waitFor(() =>
    expect(screen.getByTestId<HTMLButtonElement>(ids.login.submit).disabled).toBe(false),
  );
  fireEvent.click(screen.getByTestId(ids.login.submit));
  await waitFor(() => expect(screen.queryByTestId(ids.login.expired)).toBeNull());
  await screen.findByText('fine');
  expectDrafts();
});

it('goes on by itself when somebody has logged in in another program', async () => {
  await open();
  await expire();
  refused = false;
  // What the event of the other login does.
  await readAnew();
  await waitFor(() => expect(screen.queryByTestId(ids.login.expired)).toBeNull());
  await screen.findByText('fine');
  expectDrafts();
});
