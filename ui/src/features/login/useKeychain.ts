import { useState } from 'react';
import type { KeychainKind } from '@/bridge';
import { useCall } from '@/bridge/query';

const PASSPHRASE_MIN = 8;

/** Where the secret of a login will be kept, as far as it is chosen. */
export function useKeychain() {
  const query = useCall('keychain.status', {}, { refetchInterval: 5_000 });
  const status = query.data;
  const usual: KeychainKind = status?.store ?? 'system';
  const [chosen, setChosen] = useState<KeychainKind | null>(null);
  const [passphrase, setPassphrase] = useState('');

  // With no usable keychain nothing is chosen for the user: each way left has a price.
  const fallback = usual === 'system' && status && status.state !== 'ready' ? null : usual;
  const store = chosen ?? fallback;
  const short = store === 'file' && passphrase.length < PASSPHRASE_MIN;
  return {
    store,
    passphrase,
    // What is shown below moves the button: nobody can press it before that is there.
    ready: store !== null && !short && (status !== undefined || query.isError),
    error: query.error,
    /** What the choice on the page needs. */
    choice: {
      status,
      store,
      onStore: setChosen,
      passphrase,
      onPassphrase: setPassphrase,
      minimum: PASSPHRASE_MIN,
    },
  };
}
