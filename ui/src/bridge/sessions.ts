import { useQueries } from '@tanstack/react-query';
import { useCallback, useRef, useState } from 'react';
import type { Failure } from '.';
import { callQuery, useCall } from './query';
import type { Session, SessionList, SessionStatus } from './types';

const ENDED: ReadonlySet<SessionStatus> = new Set(['TERMINATED', 'CANCELLED', 'ERROR']);
const STEADY: ReadonlySet<SessionStatus> = new Set([...ENDED, 'RUNNING', 'RUNNING_DEGRADED']);

export const hasEnded = (session: Pick<Session, 'status'>) => ENDED.has(session.status);

// Changes are told by events; asking again as well makes up for those that were missed.
const STEADY_MS = 15_000;
const CHANGING_MS = 1_500;
/** Sessions of one request; what a window shows at once fits several times. */
const PAGE = 100;

const pace = (sessions: readonly Session[] | undefined) =>
  sessions?.some(({ status }) => !STEADY.has(status)) ? CHANGING_MS : STEADY_MS;

/** The newest live sessions, kept up to date. */
export const useLiveSessions = () =>
  useCall(
    'session.list',
    { limit: PAGE },
    { refetchInterval: ({ state }) => pace(state.data?.sessions) },
  );

/** The newest sessions, ended ones too: enough to know what people call them. */
export const useNewestSessions = () =>
  useCall('session.list', { all: true, limit: PAGE }, { staleTime: STEADY_MS });

/** How many there are, without what they are. */
export const useSessionCount = (ended: boolean) =>
  useCall('session.list', { ended, limit: 1 }, { refetchInterval: STEADY_MS }).data?.total;

/** One session, kept up to date. */
export const useSession = (id: string) =>
  useCall(
    'session.show',
    { session: id },
    { refetchInterval: ({ state }) => pace(state.data && [state.data]) },
  );

interface Which {
  ended: boolean;
  search: string;
  /** A field of the manager, with "-" for the other way round; newest first when empty. */
  order: string;
}

export interface SessionPages {
  /** As long as the whole list; what was not asked for yet is undefined. */
  rows: readonly (Session | undefined)[];
  total: number;
  /** The first page, with its age; none before it was read. */
  list: SessionList | undefined;
  failure: Failure | null;
  reload: () => void;
  /** Says which rows are in sight. */
  onRange: (first: number, last: number) => void;
}

/** A list of any length, of which only what is in sight is asked for. */
export function useSessionPages({ ended, search, order }: Which): SessionPages {
  const [range, setRange] = useState({ first: 0, last: 0 });
  const wanted = new Set([0, range.first, range.last]);
  const queries = useQueries({
    queries: [...wanted].map((page) => ({
      ...callQuery('session.list', {
        ended,
        limit: PAGE,
        offset: page * PAGE,
        search: search || null,
        order: order || null,
      }),
      refetchInterval: ({ state }: { state: { data?: SessionList | undefined } }) =>
        pace(state.data?.sessions),
    })),
  });
  const [first] = queries;
  const answered = first?.data;
  // Typing into the search field shows what was found before until the new answer is there.
  const before = useRef({ ...NOTHING, ended });
  if (before.current.ended !== ended) before.current = { ...NOTHING, ended };
  if (answered) {
    const rows: (Session | undefined)[] = new Array(answered.total).fill(undefined);
    [...wanted].forEach((page, index) => {
      queries[index]?.data?.sessions.forEach((session, at) => {
        if (page * PAGE + at < rows.length) rows[page * PAGE + at] = session;
      });
    });
    before.current = { rows, total: answered.total, list: answered, ended };
  }
  const onRange = useCallback((from: number, to: number) => {
    const next = { first: Math.floor(from / PAGE), last: Math.floor(to / PAGE) };
    setRange((now) => (now.first === next.first && now.last === next.last ? now : next));
  }, []);
  const { rows, total, list } = before.current;
  return {
    rows,
    total,
    list,
    failure: first?.error ?? null,
    reload: () => {
      for (const query of queries) void query.refetch();
    },
    onRange,
  };
}

const NOTHING: Pick<SessionPages, 'rows' | 'total' | 'list'> = {
  rows: [],
  total: 0,
  list: undefined,
};
