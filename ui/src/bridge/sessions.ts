import { useCall } from './query';
import type { Session, SessionStatus } from './types';

const ENDED: ReadonlySet<SessionStatus> = new Set(['TERMINATED', 'CANCELLED', 'ERROR']);
const STEADY: ReadonlySet<SessionStatus> = new Set([...ENDED, 'RUNNING', 'RUNNING_DEGRADED']);

export const hasEnded = (session: Pick<Session, 'status'>) => ENDED.has(session.status);

// Changes are told by events; asking again as well makes up for those that were missed.
const STEADY_MS = 15_000;
const CHANGING_MS = 1_500;

const pace = (sessions: readonly Session[] | undefined) =>
  sessions?.some(({ status }) => !STEADY.has(status)) ? CHANGING_MS : STEADY_MS;

/** All sessions, ended ones too, kept up to date. */
export const useSessions = () =>
  useCall(
    'session.list',
    { all: true },
    { refetchInterval: ({ state }) => pace(state.data?.sessions) },
  );

/** One session, kept up to date. */
export const useSession = (id: string) =>
  useCall(
    'session.show',
    { session: id },
    { refetchInterval: ({ state }) => pace(state.data && [state.data]) },
  );
