import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { FailedLaunch, Tunnel } from '@/bridge';
import { answerWith, show } from '@/testing/program';
import { TunnelList } from './TunnelList';

afterEach(cleanup);

const tunnel: Tunnel = {
  id: 'one',
  profile: 'lab',
  session: '0190',
  session_name: 'work',
  app: 'jupyterlab',
  remote_port: null,
  local_port: 20_001,
  url: 'http://127.0.0.1:20001/',
  named_url: 'http://jupyterlab.work.lab.localhost:20001/',
  state: 'open',
  connections: 1,
  bytes_up: 0,
  bytes_down: 0,
  rate_up: 0,
  rate_down: 0,
  latency_ms: null,
  last_error: null,
  created_at: '2026-11-22T00:00:00Z',
  keep: false,
  public: null,
  guarded: true,
};

const failed: FailedLaunch = {
  id: 'two',
  profile: 'local',
  session: '0190',
  session_name: 'work',
  app: 'tensorboard',
  tunnel_id: null,
  failed_at: '2026-11-22T00:00:00Z',
  hop: 'app',
  code: 'app_failed',
  message: 'it did not start',
  text: 'hop app failed after 3 ms',
};

it('names the manager, follows the counters and copies an address that opens', async () => {
  let looks = 0;
  const calls = answerWith({
    'tunnel.list': () => {
      looks += 1;
      return { tunnels: [{ ...tunnel, bytes_down: looks * 1024 }] };
    },
    'tunnel.address': () => ({
      url: 'http://jupyterlab.work.lab.localhost:20001/?gangway-ticket=x',
    }),
    'tunnel.failures': () => ({ launches: [] }),
    'tunnel.at_login': () => ({ supported: false, wanted: null, entry: '', state: 'absent' }),
  });
  let copied = '';
  Object.defineProperty(navigator, 'clipboard', {
    configurable: true,
    value: {
      writeText: async (text: string) => {
        copied = text;
      },
    },
  });
  await show(<TunnelList />);
  await screen.findByText('jupyterlab · work · lab');
  await expect.poll(() => looks, { timeout: 5_000 }).toBeGreaterThan(2);
  fireEvent.click(screen.getByRole('button', { name: 'Copy' }));
  await expect.poll(() => copied).toContain('gangway-ticket=');
  expect(calls).toContainEqual({ name: 'tunnel.address', payload: { id: 'one' } });
});

it('shows what failed when no tunnel is open any more, to be copied and forgotten', async () => {
  let launches: FailedLaunch[] = [failed];
  answerWith({
    'tunnel.list': () => ({ tunnels: [] }),
    'tunnel.failures': () => ({ launches }),
    'tunnel.forget_failures': () => {
      launches = [];
      return { launches };
    },
  });
  let copied = '';
  Object.defineProperty(navigator, 'clipboard', {
    configurable: true,
    value: {
      writeText: async (text: string) => {
        copied = text;
      },
    },
  });
  await show(<TunnelList />);
  await screen.findByText(/tensorboard · work/);
  fireEvent.click(screen.getByRole('button', { name: 'Copy the report' }));
  await expect.poll(() => copied).toBe(failed.text);
  fireEvent.click(screen.getByRole('button', { name: 'Forget' }));
  await expect.poll(() => screen.queryByText(/tensorboard · work/)).toBeNull();
});
