/** Where a dragged row comes to lie: the id that it goes before, `null` for the end. */
export function dropTarget(
  order: readonly string[],
  dragged: string,
  over: string,
  below: boolean,
): string | null | undefined {
  const at = order.indexOf(over);
  if (at < 0 || !order.includes(dragged)) return undefined;
  const before = order[at + (below ? 1 : 0)] ?? null;
  // Where it lies already.
  const next = order[order.indexOf(dragged) + 1] ?? null;
  return before === dragged || before === next ? undefined : before;
}

/** The same for one step up or down by the keyboard. */
export function stepTarget(
  order: readonly string[],
  id: string,
  step: -1 | 1,
): string | null | undefined {
  const at = order.indexOf(id);
  const over = order[at + step];
  return at < 0 || over === undefined ? undefined : dropTarget(order, id, over, step > 0);
}
