import { App } from 'antd';
import { useMemo } from 'react';
import type { FailureBody } from '@/bridge';
import { failureReason, failureText } from '@/i18n/failure';

const told = (failure: FailureBody) =>
  [failureText(failure), failureReason(failure), `(${failure.code})`].filter(Boolean).join(' ');

/** Short notices: done, or a failure with its code. */
export function useToast() {
  const { message } = App.useApp();
  return useMemo(
    () => ({
      done: (text: string) => void message.success(text),
      note: (text: string) => void message.info(text),
      /** Says what to do instead: more to read. */
      advise: (text: string) => void message.warning(text, 8),
      failed: (failure: FailureBody) => void message.error(told(failure), 8),
    }),
    [message],
  );
}
