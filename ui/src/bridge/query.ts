// TanStack Query over the command table: one key per command and payload, invalidated by tag.
import {
  QueryCache,
  QueryClient,
  queryOptions,
  type UseQueryOptions,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import { type CommandName, call, type Failure, type Request, type Response, type Tag } from '.';
import { table } from './generated/commands';

/** Whether the manager has refused the login since the last one. */
let expired = false;
const watchers = new Set<() => void>();
export const expiry = {
  current: () => expired,
  subscribe: (watcher: () => void) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  },
};

function setExpired(now: boolean) {
  if (expired === now) return;
  expired = now;
  for (const watcher of watchers) watcher();
}

const EXPIRED = new Set<Failure['code']>(['login_expired', 'bad_credentials']);

const queryCache = new QueryCache({
  onError: (error) => {
    if (EXPIRED.has((error as Failure).code)) setExpired(true);
  },
});

export const queryClient = new QueryClient({
  queryCache,
  defaultOptions: {
    queries: { retry: false, staleTime: 5_000, refetchOnWindowFocus: true, networkMode: 'always' },
    mutations: { networkMode: 'always' },
  },
});

const isCommand = (name: unknown): name is CommandName => typeof name === 'string' && name in table;

/** Makes everything that shows the tag old; what is in sight is read again at once. */
export function invalidate(client: QueryClient, tag: Tag): Promise<void> {
  return client.invalidateQueries({
    predicate: ({ queryKey: [name] }) => isCommand(name) && table[name].tags.includes(tag),
  });
}

type CallOptions<N extends CommandName> = Omit<
  UseQueryOptions<Response<N>, Failure>,
  'queryKey' | 'queryFn'
>;

/** The query that reads through a command, for those who need several at once. */
export const callQuery = <N extends CommandName>(name: N, payload: Request<N>) =>
  queryOptions<Response<N>, Failure>({
    queryKey: [name, payload],
    queryFn: ({ signal }) => call(name, payload, signal),
  });

/** Reads through a command; the answer is shared by everyone who asks the same. */
export function useCall<N extends CommandName>(
  name: N,
  payload: Request<N>,
  options: CallOptions<N> = {},
) {
  return useQuery<Response<N>, Failure>({
    queryKey: [name, payload],
    queryFn: ({ signal }) => call(name, payload, signal),
    ...options,
  });
}

/** Forgets all that was read; what is in sight is read anew. For a change of account. */
export function forgetAll() {
  setExpired(false);
  return queryClient.resetQueries();
}

/**
 * Reads all that is in sight anew and keeps what is shown until then: somebody has logged in again,
 * here or in another program. Pages, dialogs and what was typed into them stay.
 */
export function readAnew() {
  setExpired(false);
  return queryClient.invalidateQueries();
}

/** Changes something through a command and reads again what the table says it touches. */
export function useAction<N extends CommandName>(name: N) {
  const client = useQueryClient();
  return useMutation<Response<N>, Failure, Request<N>>({
    mutationKey: [name],
    mutationFn: (payload) => call(name, payload),
    onSettled: () => {
      for (const tag of table[name].tags) void invalidate(client, tag);
    },
  });
}
