import { formatPercent } from '@/format/number';
import styles from './kit.module.css';

interface Props {
  label: string;
  value: string;
  /** 0 to 1. */
  share: number;
}

/** How much of something is used. */
export function Meter({ label, value, share }: Props) {
  const bounded = Math.min(1, Math.max(0, share));
  return (
    <div className={styles.meter}>
      <div className={styles.meterText}>
        <span>{label}</span>
        <span className="muted">{value}</span>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a meter element can't take the theme's colours */}
      <div
        className={styles.meterTrack}
        role="meter"
        aria-label={label}
        aria-valuenow={Math.round(bounded * 100)}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuetext={`${value}, ${formatPercent(bounded)}`}
        data-high={bounded > 0.9}
      >
        <div style={{ width: `${bounded * 100}%` }} />
      </div>
    </div>
  );
}
