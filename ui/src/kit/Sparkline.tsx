import styles from './kit.module.css';

interface Props {
  values: readonly number[];
  /** The value at the upper edge; the largest value when it is left out. */
  max?: number;
  label: string;
}

const WIDTH = 160;
const HEIGHT = 32;
export const SPARK_POINTS = 60;

/** The last minutes of a figure as a line; the figure itself stands beside it as text. */
export function Sparkline({ values, max, label }: Props) {
  const top = Math.max(max ?? 0, ...values, Number.EPSILON);
  const step = WIDTH / (SPARK_POINTS - 1);
  const first = SPARK_POINTS - values.length;
  const points = values
    .map((value, index) => {
      const x = (first + index) * step;
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
  return (
    <svg
      className={styles.spark}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {values.length > 1 && <polyline points={points} />}
    </svg>
  );
}
