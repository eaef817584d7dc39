import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, it } from 'vitest';
import type { TunnelsAtLogin } from '@/bridge';
import { ids } from '@/testids';
import { answerWith, show } from '@/testing/program';
import { AtLoginOffer } from './AtLoginOffer';

afterEach(cleanup);

it('asks once and takes a no for an answer', async () => {
  let shown: TunnelsAtLogin = { supported: true, wanted: null, entry: '', state: 'absent' };
  const calls = answerWith({
    'tunnel.at_login': () => shown,
    'tunnel.set_at_login': ({ wanted }) => {
      shown = { ...shown, wanted };
      return shown;
    },
  });
  await show(<AtLoginOffer />);
  fireEvent.click(await screen.findByTestId(ids.status.atLoginNo));
  await expect.poll(() => screen.queryByTestId(ids.status.atLoginOffer)).toBeNull();
  expect(calls).toContainEqual({ name: 'tunnel.set_at_login', payload: { wanted: false } });
});
