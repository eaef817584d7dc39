import { call, type Tunnel } from '@/bridge';
import { CopyButton } from '@/kit';

type Reached = Pick<Tunnel, 'id' | 'url' | 'guarded' | 'local_port'>;

/** Copies where a tunnel begins on this computer. */
export function CopyAddress({ tunnel }: { tunnel: Reached }) {
  const { id, url, guarded, local_port } = tunnel;
  // The address of a page with a secret lets one browser in: each copy needs a new one.
  const fresh = () => call('tunnel.address', { id }).then((address) => address.url);
  return <CopyButton text={guarded ? fresh : (url ?? `127.0.0.1:${local_port}`)} />;
}
