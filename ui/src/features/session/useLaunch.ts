import { useEffect, useRef, useState } from 'react';
import { type AppProgress, Failure, type OpenedApp, stream } from '@/bridge';
import { invalidate, queryClient } from '@/bridge/query';

/** How far an app is on its way. */
export type Progress = Extract<AppProgress, { kind: 'stage' }>;

interface State {
  progress: Progress | null;
  /** What it printed last; stays when it has failed. */
  lines: readonly string[];
  opened: OpenedApp | null;
  failure: Failure | null;
}

/** What an app that ended at once had printed: there was no stage to tell it with. */
function printed(failure: Failure): readonly string[] {
  const details = failure.details as { lines?: readonly string[] } | null;
  return details?.lines ?? [];
}

const IDLE: State = { progress: null, lines: [], opened: null, failure: null };

/** Opens an app of a session, and tells how far that is. */
export function useLaunch(session: string, app: string) {
  const [state, setState] = useState<State>(IDLE);
  const [running, setRunning] = useState(false);
  const leave = useRef<(() => void) | null>(null);

  const cancel = () => {
    leave.current?.();
    leave.current = null;
    setRunning(false);
  };
  useEffect(() => () => leave.current?.(), []);

  const start = (limit: number | null, onOpened: (opened: OpenedApp) => void) => {
    cancel();
    setState(IDLE);
    setRunning(true);
    leave.current = stream(
      'app.launch',
      { session, app, guarded: true, limit_s: limit },
      {
        onMessage: (message) => {
          if (message.kind === 'stage') {
            setState({ ...IDLE, progress: message, lines: message.lines });
            return;
          }
          const { kind: _, ...opened } = message;
          setState({ ...IDLE, opened });
          onOpened(opened);
        },
        onEnd: (error) => {
          setRunning(false);
          if (error instanceof Failure)
            setState((before) => ({
              ...before,
              progress: null,
              lines: before.lines.length > 0 ? before.lines : printed(error),
              failure: error,
            }));
          void invalidate(queryClient, 'tunnel');
          void invalidate(queryClient, 'session');
        },
      },
    );
  };
  const clear = () => {
    cancel();
    setState(IDLE);
  };
  return { ...state, running, start, cancel, clear };
}
