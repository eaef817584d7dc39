import { cleanup, fireEvent, render, screen } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { startI18n } from '@/i18n';
import { DataTable } from './DataTable';
import { sortRows } from './sortRows';

const ROWS = Array.from({ length: 10_000 }, (_, index) => ({ id: `row-${index}` }));
const COLUMNS = [
  {
    key: 'id',
    title: 'Name',
    width: '1fr',
    render: (row: { id: string }) => row.id,
    sortBy: (row: { id: string }) => row.id,
  },
];

beforeAll(startI18n);
beforeEach(() => {
  // The test's page has no layout: the list would be of no height, with no row in sight.
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  );
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(600);
  vi.spyOn(HTMLElement.prototype, 'offsetWidth', 'get').mockReturnValue(800);
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(600);
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(800);
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function Table({ onOpen }: { onOpen?: (row: { id: string }) => void }) {
  const [selected, setSelected] = useState<Set<string>>(new Set());
  return (
    <>
      <DataTable
        rows={ROWS}
        columns={COLUMNS}
        rowKey={(row) => row.id}
        label="Rows"
        selected={selected}
        onSelect={setSelected}
        {...(onOpen ? { onOpen } : {})}
      />
      <output>{[...selected].join(' ')}</output>
    </>
  );
}

/** Shows the table and waits until it has measured itself. */
async function showTable(onOpen?: (row: { id: string }) => void) {
  render(<Table {...(onOpen ? { onOpen } : {})} />);
  fireEvent.focus(grid());
  await screen.findByText('row-2');
}

const grid = () => screen.getByRole('grid');
const press = (key: string, more: object = {}) => fireEvent.keyDown(grid(), { key, ...more });
const selection = () => screen.getByRole('status').textContent;

it('draws the rows in sight of ten thousand, and tells how many there are', async () => {
  await showTable();
  expect(grid().getAttribute('aria-rowcount')).toBe('10001');
  const drawn = screen.getAllByRole('row').length;
  expect(drawn).toBeGreaterThan(5);
  expect(drawn).toBeLessThan(60);
});

it('moves, selects, extends and opens by keyboard', async () => {
  const onOpen = vi.fn();
  await showTable(onOpen);
  press('ArrowDown');
  press(' ');
  expect(selection()).toBe('row-1');
  press('ArrowDown', { shiftKey: true });
  press('ArrowDown', { shiftKey: true });
  expect(selection()).toBe('row-1 row-2 row-3');
  press('Enter');
  expect(onOpen).toHaveBeenCalledWith({ id: 'row-3' });
});

it('leaves Enter alone while a syllable is composed', async () => {
  const onOpen = vi.fn();
  await showTable(onOpen);
  press('Enter', { isComposing: true });
  expect(onOpen).not.toHaveBeenCalled();
});

it('extends by Shift and adds by Ctrl with a click', async () => {
  await showTable();
  const row = (name: string) => screen.getByText(name);
  fireEvent.click(row('row-2'));
  fireEvent.click(row('row-4'), { shiftKey: true });
  fireEvent.click(row('row-6'), { ctrlKey: true });
  expect(selection()).toBe('row-2 row-3 row-4 row-6');
});

it('sorts numbers in names as numbers', () => {
  const rows = [{ id: 'a10' }, { id: 'a9' }, { id: 'a1' }];
  const sorted = sortRows(rows, COLUMNS, { key: 'id', descending: false });
  expect(sorted.map(({ id }) => id)).toEqual(['a1', 'a9', 'a10']);
});
