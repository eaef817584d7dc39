import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { TunnelsAtLogin } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, show } from '@/testing/program';
import { TunnelsSection } from './TunnelsSection';

afterEach(cleanup);

async function open(given: Partial<TunnelsAtLogin>) {
  let shown: TunnelsAtLogin = {
    supported: true,
    wanted: null,
    entry: '/home/me/.config/autostart/gangway-tunnels.desktop',
    state: 'absent',
    ...given,
  };
  const calls = answerWith({
    'tunnel.at_login': () => shown,
    'tunnel.set_at_login': ({ wanted }) => {
      shown = { ...shown, wanted };
      return shown;
    },
  });
  await show(<TunnelsSection />);
  return calls;
}

it('is off until it is switched on', async () => {
  const calls = await open({});
  const toggle = await screen.findByTestId(ids.settings.tunnelsAtLogin);
  expect(toggle.getAttribute('aria-checked')).toBe('false');
  fireEvent.click(toggle);
  await expect
    .poll(() => screen.getByTestId(ids.settings.tunnelsAtLogin).getAttribute('aria-checked'))
    .toBe('true');
  expect(calls).toContainEqual({ name: 'tunnel.set_at_login', payload: { wanted: true } });
});

it('offers no switch where it would do nothing', async () => {
  await open({ supported: false });
  await screen.findByText(/not supported on this system yet/);
  expect(screen.queryByTestId(ids.settings.tunnelsAtLogin)).toBeNull();
});

it('names the file that stands in the way', async () => {
  await open({ wanted: true, state: 'foreign' });
  await screen.findByText(/gangway-tunnels\.desktop is there already/);
});
