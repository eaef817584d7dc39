import { afterEach, describe, expect, it } from 'vitest';
import { formatAgo, formatDate, formatDateTime, formatDuration, formatTime } from './date';
import { setLocale } from './locale';
import { formatSize, GIB, MIB, parseSize } from './size';

afterEach(() => setLocale('en'));

describe('sizes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1,023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [MIB - 1, '1 MiB'],
    [4 * GIB, '4 GiB'],
    [150.4 * GIB, '150 GiB'],
  ])('writes %d bytes as %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));

  it.each([
    ['4g', 4 * GIB],
    ['512 MiB', 512 * MIB],
    ['1.5GB', 1.5 * GIB],
    ['100', 100],
  ])('reads %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'four', '-1g', '1x'])('refuses %j', (text) => expect(parseSize(text)).toBeNull());
});

describe('times', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');

  it('says how long ago in the language that is set', () => {
    expect(formatAgo('2026-11-21T11:57:00Z', now)).toBe('3 minutes ago');
    setLocale('ko');
    expect(formatAgo('2026-11-21T11:57:00Z', now)).toBe('3분 전');
    setLocale('ja');
    expect(formatAgo('2026-11-21T11:57:00Z', now)).toBe('3 分前');
  });

  it('shows what is no date as it came', () => {
    for (const format of [formatAgo, formatDate, formatDateTime, formatTime]) {
      expect(format('2026-01-01 0:00:00.0 +00:00:00')).toBe('2026-01-01 0:00:00.0 +00:00:00');
    }
  });

  it('keeps the two largest units of a duration', () => {
    expect(formatDuration(0)).toBe('0 sec');
    expect(formatDuration(7_503)).toBe('2 hr 5 min');
    expect(formatDuration(90_000)).toBe('1 day 1 hr');
  });
});
