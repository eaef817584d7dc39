import type { ReactNode } from 'react';
import styles from './kit.module.css';

interface Props {
  title: string;
  text?: ReactNode;
  extra?: ReactNode;
  children?: ReactNode;
}

/** A titled group of things on a page or in a drawer. */
export function Section({ title, text, extra, children }: Props) {
  return (
    <section className={styles.section} aria-label={title}>
      <header className={styles.sectionHeader}>
        <div>
          <h2>{title}</h2>
          {text && <p className="muted">{text}</p>}
        </div>
        {extra}
      </header>
      {children}
    </section>
  );
}

interface FactsProps {
  items: readonly (readonly [label: string, value: ReactNode])[];
}

/** Names and values in two columns. */
export function Facts({ items }: FactsProps) {
  return (
    <dl className={styles.facts}>
      {items.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
