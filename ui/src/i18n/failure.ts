import i18next from 'i18next';
import type { FailureBody } from '@/bridge';

/** What went wrong, in the user's language; the code's own text, or the general one. */
export function failureText(failure: FailureBody): string {
  const key = `failure.${failure.code}`;
  return i18next.exists(key)
    ? String(i18next.t(key as 'failure.unknown'))
    : i18next.t('failure.unknown');
}

/** Codes whose text says nothing of the cause: the program's own words are needed beside it. */
const SAYS_LITTLE: ReadonlySet<string> = new Set([
  'app_failed',
  'bad_config',
  'conflict',
  'file_failed',
  'internal',
  'invalid_input',
  'manager_failed',
  'manager_rejected',
  'ssh_failed',
  'tunnel_failed',
  'unsupported',
]);

/** Why it went wrong, in the program's words, where the code's text leaves that open. */
export function failureReason(failure: FailureBody): string | null {
  return SAYS_LITTLE.has(failure.code) && failure.message !== '' ? failure.message : null;
}

/** Advice to type a command is for a terminal: whoever reads it here is in the window. */
const FOR_TERMINALS = '`gangway ';

/** What the user can do about it, when the catalogue or the failure says so. */
export function failureHint(failure: FailureBody): string | null {
  const key = `failure_hint.${failure.code}`;
  if (i18next.exists(key)) return String(i18next.t(key as 'failure.unknown'));
  return failure.hint?.includes(FOR_TERMINALS) ? null : failure.hint;
}
