import { cached } from './locale';

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** "3 minutes ago", "yesterday": rounded down to the largest whole unit. */
export function formatAgo(iso: string, now: number = Date.now()): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  const format = cached(
    'ago',
    (locale) => new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'long' }),
  );
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, 'second');
}

export function formatDateTime(iso: string): string {
  return cached(
    'datetime',
    (locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }),
  ).format(Date.parse(iso));
}

export function formatDate(iso: string): string {
  return cached(
    'date',
    (locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium' }),
  ).format(Date.parse(iso));
}

export function formatTime(iso: string): string {
  return cached(
    'time',
    (locale) => new Intl.DateTimeFormat(locale, { timeStyle: 'medium' }),
  ).format(Date.parse(iso));
}

type DurationUnit = 'day' | 'hour' | 'minute' | 'second';

/** "2 hr 5 min": the two largest units that are not zero. */
export function formatDuration(seconds: number): string {
  const total = Math.max(0, Math.round(seconds));
  const parts: [number, DurationUnit][] = [
    [Math.floor(total / 86_400), 'day'],
    [Math.floor(total / 3_600) % 24, 'hour'],
    [Math.floor(total / 60) % 60, 'minute'],
    [total % 60, 'second'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = first < 0 ? parts.slice(-1) : parts.slice(first, first + 2);
  return shown
    .filter(([value], index) => value > 0 || index === 0)
    .map(([value, unit]) =>
      cached(
        `duration:${unit}`,
        (locale) => new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }),
      ).format(value),
    )
    .join(' ');
}
