import { formatNumber } from './number';

// Binary units throughout: the manager's "g" is 2^30 bytes, so showing anything else would lie.
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

export const KIB = 1024;
export const MIB = KIB * 1024;
export const GIB = MIB * 1024;

export function formatSize(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  // 1023.95 would be written as "1,024.0": the next unit is due a little before 1024.
  while (unit < UNITS.length - 1 && value >= 1023.95) {
    value /= 1024;
    unit += 1;
  }
  const sign = bytes < 0 ? -1 : 1;
  return `${formatNumber(sign * value, unit === 0 || value >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

export const formatSpeed = (bytesPerSecond: number) => `${formatSize(bytesPerSecond)}/s`;

const FACTORS: Record<string, number> = { '': 1, k: 1, m: 2, g: 3, t: 4, p: 5, e: 6 };

/** Reads "4g", "512 MiB", "1.5GB" or a plain number of bytes; null for anything else. */
export function parseSize(text: string): number | null {
  const match = /^\s*(\d+(?:[.,]\d+)?)\s*([kmgtpe]?)(?:i?b)?\s*$/i.exec(text);
  if (!match?.[1]) return null;
  const unit = (match[2] ?? '').toLowerCase();
  const power = unit === '' ? 0 : (FACTORS[unit] ?? 0);
  return Math.round(Number(match[1].replace(',', '.')) * 1024 ** power);
}
