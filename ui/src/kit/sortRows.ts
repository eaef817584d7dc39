import type { Column } from './DataTable';
import type { Sort } from './useGrid';

/** The sort of an address: "name", or "-name" for the other way round. */
export const parseSort = (text: string | undefined): Sort | null =>
  text ? { key: text.replace(/^-/, ''), descending: text.startsWith('-') } : null;

export const printSort = (sort: Sort | null): string | undefined =>
  sort ? `${sort.descending ? '-' : ''}${sort.key}` : undefined;

/** The rows in the order of a column; as they came when the column can't be sorted. */
export function sortRows<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  sort: Sort | null,
): readonly T[] {
  const by = sort && columns.find((column) => column.key === sort.key)?.sortBy;
  if (!by) return rows;
  const sign = sort.descending ? -1 : 1;
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  return rows.toSorted((a, b) => {
    const [left, right] = [by(a), by(b)];
    const order =
      typeof left === 'number' && typeof right === 'number'
        ? left - right
        : compare(String(left), String(right));
    return order * sign;
  });
}
