import i18next from 'i18next';
import type { FailureBody } from '@/bridge';

/** What went wrong, in the user's language; the code's own text, or the general one. */
export function failureText(failure: FailureBody): string {
  const key = `failure.${failure.code}`;
  return i18next.exists(key)
    ? String(i18next.t(key as 'failure.unknown'))
    : i18next.t('failure.unknown');
}

/** What the user can do about it, when the catalogue or the failure says so. */
export function failureHint(failure: FailureBody): string | null {
  const key = `failure_hint.${failure.code}`;
  return i18next.exists(key) ? String(i18next.t(key as 'failure.unknown')) : failure.hint;
}
