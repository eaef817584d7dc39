import type { Session } from '@/bridge';
import { TwoPanes } from './TwoPanes';
import { SESSION_HOME } from './usePlaces';

/** The files of a session beside those of this computer. */
export function SessionFiles({ session }: { session: Session }) {
  return (
    <TwoPanes
      keep={`session:${session.id}`}
      right={{ kind: 'session', session: session.id, path: SESSION_HOME }}
    />
  );
}
