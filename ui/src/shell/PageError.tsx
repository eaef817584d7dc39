import type { ErrorComponentProps } from '@tanstack/react-router';
import { Failure, toFailure } from '@/bridge';
import { ErrorState } from '@/kit';
import styles from './shell.module.css';

/** A page that broke: the others go on, and what happened can be copied. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const { message, hint, details, retryable, code } = toFailure(error);
  return (
    <div className={styles.broken}>
      <ErrorState
        failure={{
          message,
          hint,
          details,
          retryable,
          code: error instanceof Failure ? code : 'internal',
        }}
        onRetry={reset}
      />
    </div>
  );
}
