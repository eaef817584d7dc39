import i18next from 'i18next';

/** Why something may not be done now, in the user's language. */
export function reasonText(reason: string | null): string {
  const key = `reason.${reason ?? ''}`;
  return i18next.exists(key) ? String(i18next.t(key as 'reason.other')) : i18next.t('reason.other');
}
