// The one place that knows in which language numbers, dates and sizes are written.
let locale = 'en';
const cache = new Map<string, unknown>();

export const currentLocale = () => locale;

export function setLocale(next: string): void {
  locale = next;
  cache.clear();
}

/** Intl objects are slow to build and asked for in every row. */
export function cached<T>(key: string, build: (locale: string) => T): T {
  const found = cache.get(key);
  if (found !== undefined) return found as T;
  const made = build(locale);
  cache.set(key, made);
  return made;
}
