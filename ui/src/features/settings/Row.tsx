import type { ReactNode } from 'react';
import styles from './settings.module.css';

/** One setting: its name, and what sets it. */
export function Row({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className={styles.row}>
      <span>{label}</span>
      {children}
    </div>
  );
}
