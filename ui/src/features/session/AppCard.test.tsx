import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import { type AppProgress, type AppState, Failure, type Session } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, lastTransport, show } from '@/testing/program';
import { AppCard } from './AppCard';

afterEach(cleanup);

const app: AppState = {
  name: 'lab',
  title: 'Lab',
  protocol: 'http',
  ports: [8888],
  state: 'ready',
  installable: false,
  needs: null,
  shareable: false,
};
const session = { id: '0190', name: 'work' } as unknown as Session;

const stage = (elapsed_ms: number): AppProgress => ({
  kind: 'stage',
  stage: 'port',
  elapsed_ms,
  limit_ms: 60_000,
  lines: ['loading'],
});

/** Lets the test say what comes of each launch. */
function launches() {
  const asked: {
    payload: unknown;
    say: (message: AppProgress) => void;
    end: (e?: Failure) => void;
  }[] = [];
  lastTransport().stream = (_name, payload, { onMessage, onEnd }) => {
    asked.push({
      payload,
      say: (message) => onMessage(message as never),
      end: (error) => onEnd?.(error ?? null),
    });
    return () => undefined;
  };
  return asked;
}

it('tells how far an app is, lets its user wait longer, and copies what was tried', async () => {
  const calls = answerWith({
    'settings.get': () => ({ start_limits: { lab: 60 } }) as never,
    'settings.set': (settings) => settings,
    'tunnel.report': () => ({ text: 'hop app failed' }),
    'app.stop': () => ({}),
  });
  const asked = launches();
  await show(<AppCard app={app} session={session} busy={false} onInstall={() => undefined} />);
  fireEvent.click(screen.getByTestId(ids.drawer.appOpen('lab')));
  await expect.poll(() => asked.length).toBe(1);
  asked[0]?.say(stage(12_000));
  const told = await screen.findByTestId(ids.drawer.appStage('lab'));
  expect(told.dataset.stage).toBe('port');
  expect(told.textContent).toContain('12 of 60 s');
  expect(screen.getByTestId(ids.drawer.appLines('lab')).textContent).toBe('loading');

  const late = new Failure({
    code: 'app_timeout',
    message: 'late',
    hint: null,
    details: { failed_launch: 'one' },
    retryable: true,
  });
  asked[0]?.end(late);
  let copied = '';
  Object.defineProperty(navigator, 'clipboard', {
    configurable: true,
    value: {
      writeText: async (text: string) => {
        copied = text;
      },
    },
  });
  fireEvent.click(await screen.findByTestId(ids.drawer.launchReport));
  await expect.poll(() => copied).toBe('hop app failed');
  expect(calls).toContainEqual({ name: 'tunnel.report', payload: { id: 'one' } });
  // What it printed last stays in sight.
  expect(screen.getByTestId(ids.drawer.appLines('lab')).textContent).toBe('loading');
  fireEvent.click(screen.getByTestId(ids.drawer.appWait('lab')));
  await expect.poll(() => asked.length).toBe(2);
  expect(asked[1]?.payload).toMatchObject({ session: '0190', app: 'lab', guarded: true });
});

it('shares a web app where there is an app proxy, with whom its user names', async () => {
  const calls = answerWith({
    'app.share': () => ({ url: 'http://apps.example:10205/', app: 'lab', session: '0190' }),
  });
  const shared = { ...app, shareable: true };
  await show(<AppCard app={shared} session={session} busy={false} onInstall={() => undefined} />);
  fireEvent.click(screen.getByTestId(ids.drawer.appShare('lab')));
  const allow = await screen.findByTestId(ids.share.allow);
  expect(calls).toEqual([]);
  fireEvent.change(allow, { target: { value: '10.1.0.0/16, 10.2.3.4' } });
  fireEvent.click(screen.getByTestId(ids.share.submit));
  const url = await screen.findByTestId(ids.share.url);
  expect(url.textContent).toBe('http://apps.example:10205/');
  const payload = {
    session: '0190',
    app: 'lab',
    allowed: ['10.1.0.0/16', '10.2.3.4'],
    subdomain: null,
  };
  expect(calls).toEqual([{ name: 'app.share', payload }]);
});

it('offers no sharing where there is no app proxy', async () => {
  answerWith({});
  await show(<AppCard app={app} session={session} busy={false} onInstall={() => undefined} />);
  expect(screen.queryByTestId(ids.drawer.appShare('lab'))).toBeNull();
});

it('shows why an app ended at once, with what it printed', async () => {
  answerWith({ 'settings.get': () => ({ start_limits: {} }) as never });
  const asked = launches();
  await show(<AppCard app={app} session={session} busy={false} onInstall={() => undefined} />);
  fireEvent.click(screen.getByTestId(ids.drawer.appOpen('lab')));
  await expect.poll(() => asked.length).toBe(1);
  asked[0]?.end(
    new Failure({
      code: 'app_failed',
      message: 'lab: the process did not start properly',
      hint: null,
      details: { lines: ['no module named six'] },
      retryable: false,
    }),
  );
  const lines = await screen.findByTestId(ids.drawer.appLines('lab'));
  expect(lines.textContent).toBe('no module named six');
  expect(screen.getByText('lab: the process did not start properly')).toBeTruthy();
});
