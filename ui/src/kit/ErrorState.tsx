import { Alert, Button } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { FailureBody } from '@/bridge';
import { failureHint, failureReason, failureText } from '@/i18n/failure';
import { ids } from '@/testids';
import { CopyButton } from './CopyButton';
import styles from './kit.module.css';

interface Props {
  failure: FailureBody;
  onRetry?: () => void;
  onClose?: () => void;
  /** What else can be done about it. */
  actions?: ReactNode;
  testId?: string;
}

/** The text that "copy" gives: what a search or a report needs, and no more. */
function report(failure: FailureBody): string {
  const details = failure.details ? `\n${JSON.stringify(failure.details, null, 2)}` : '';
  return `${failure.code}: ${failure.message}${details}`;
}

/** A refused call, in place: what happened, what to do, the code, a way to try again. */
export function ErrorState({ failure, onRetry, onClose, actions, testId }: Props) {
  const { t } = useTranslation();
  const hint = failureHint(failure);
  const reason = failureReason(failure);
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      data-testid={testId ?? ids.kit.error}
      title={failureText(failure)}
      {...(onClose ? { closable: { onClose } } : {})}
      description={
        <div className={styles.error}>
          {reason && <p>{reason}</p>}
          {hint && <p>{hint}</p>}
          <details>
            <summary>
              {t('error.details')} <code data-testid={ids.kit.errorCode}>{failure.code}</code>
            </summary>
            <pre>{report(failure)}</pre>
          </details>
          <div className={styles.errorActions}>
            {onRetry && (
              <Button size="small" onClick={onRetry} data-testid={ids.kit.retry}>
                {t('action.retry')}
              </Button>
            )}
            {actions}
            <CopyButton text={report(failure)} label={t('error.copy')} />
          </div>
        </div>
      }
    />
  );
}
