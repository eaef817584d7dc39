import { useCallback, useEffect, useState } from 'react';
import { call, Failure, type Session, stream, toFailure } from '@/bridge';

/** The log: read once, then followed while the session runs and the user wants it. */
export function useLog(session: Session, follow: boolean) {
  const { id } = session;
  const live = follow && session.actions.open_app.allowed;
  const [text, setText] = useState('');
  const [loading, setLoading] = useState(true);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [turn, setTurn] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the turn asks for the log again
  useEffect(() => {
    const stop = new AbortController();
    setFailure(null);
    if (live) {
      // The stream begins with all that was written so far.
      let first = true;
      const close = stream(
        'session.log_follow',
        { session: id },
        {
          onMessage: (message) => {
            const begin = first;
            first = false;
            setLoading(false);
            setText((before) => (begin ? message.text : before + message.text));
          },
          onEnd: (error) => {
            setLoading(false);
            if (error instanceof Failure) setFailure(error);
          },
        },
      );
      return close;
    }
    call('session.logs', { session: id }, stop.signal)
      .then(
        (answer) => setText(answer.text),
        (thrown) => {
          if (!stop.signal.aborted) setFailure(toFailure(thrown));
        },
      )
      .finally(() => setLoading(false));
    return () => stop.abort();
  }, [id, live, turn]);

  const reload = useCallback(() => setTurn((now) => now + 1), []);
  return { text, loading, failure, reload };
}
