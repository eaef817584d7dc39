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
  if (Number.isNaN(seconds)) return iso;
  const format = cached(
    'ago',
    (locale) => new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'long' }),
  );
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, 'second');
}

/** A date that can't be read is shown as it came, rather than breaking the page. */
function readable(iso: string, format: Intl.DateTimeFormat): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : format.format(at);
}

export function formatDateTime(iso: string): string {
  return readable(
    iso,
    cached(
      'datetime',
      (locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' }),
    ),
  );
}

export function formatDate(iso: string): string {
  return readable(
    iso,
    cached('date', (locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium' })),
  );
}

export function formatTime(iso: string): string {
  return readable(
    iso,
    cached('time', (locale) => new Intl.DateTimeFormat(locale, { timeStyle: 'medium' })),
  );
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
