import { cached } from './locale';

/** A count, grouped as the language groups it. */
export function formatNumber(value: number, digits = 0): string {
  return cached(
    `number:${digits}`,
    (locale) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits }),
  ).format(value);
}

/** A share between 0 and 1. */
export function formatPercent(share: number): string {
  return cached(
    'percent',
    (locale) => new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 }),
  ).format(share);
}
