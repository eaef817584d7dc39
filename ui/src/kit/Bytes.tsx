import { formatNumber } from '@/format/number';
import { formatSize } from '@/format/size';

/** A size; the exact count is in the tooltip. */
export function Bytes({ value }: { value: number | null }) {
  if (value === null) return <span className="muted">–</span>;
  return <span title={`${formatNumber(value)} B`}>{formatSize(value)}</span>;
}
