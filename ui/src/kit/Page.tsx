import { type ReactNode, useEffect } from 'react';
import styles from './kit.module.css';

interface Props {
  title: string;
  /** A line under the title. */
  subtitle?: ReactNode;
  actions?: ReactNode;
  /** Search and filters. */
  toolbar?: ReactNode;
  /** Whether the content scrolls by itself (a table) instead of the page. */
  fill?: boolean;
  testId: string;
  children: ReactNode;
}

export function Page({ title, subtitle, actions, toolbar, fill = false, testId, children }: Props) {
  useEffect(() => {
    document.title = `${title} – Gangway`;
  }, [title]);
  return (
    <section className={styles.page} data-testid={testId} aria-label={title}>
      <span role="status" className="visually-hidden">
        {title}
      </span>
      <header className={styles.pageHeader}>
        <div className="truncate">
          <h1>{title}</h1>
          {subtitle && <div className="muted">{subtitle}</div>}
        </div>
        {actions && <div className={styles.row}>{actions}</div>}
      </header>
      {toolbar && <div className={styles.toolbar}>{toolbar}</div>}
      <div className={fill ? styles.pageFill : styles.pageScroll}>{children}</div>
    </section>
  );
}
