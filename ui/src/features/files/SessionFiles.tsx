import { useState } from 'react';
import type { Location, Session } from '@/bridge';
import { TwoPanes } from './TwoPanes';

const HOME = '/home/work';
const kept = new Map<string, Location>();

/** The files of a session beside those of this computer. */
export function SessionFiles({ session }: { session: Session }) {
  const [remote, setRemote] = useState<Location>(
    () => kept.get(session.id) ?? { kind: 'session', session: session.id, path: HOME },
  );
  return (
    <TwoPanes
      remote={remote}
      remoteName={session.name}
      home={HOME}
      onRemote={(location) => {
        kept.set(session.id, location);
        setRemote(location);
      }}
    />
  );
}
