import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import { ids } from '@/testids';
import styles from './kit.module.css';

interface Props {
  icon: LucideIcon;
  title: string;
  text?: string;
  actions?: ReactNode;
  testId?: string;
}

/** What stands where a list would be: why it is empty, and the one thing to do next. */
export function EmptyState({ icon: Icon, title, text, actions, testId }: Props) {
  return (
    <div className={styles.empty} data-testid={testId ?? ids.kit.empty}>
      <Icon size={28} strokeWidth={1.4} aria-hidden />
      <h2>{title}</h2>
      {text && <p className="muted">{text}</p>}
      {actions && <div className={styles.emptyActions}>{actions}</div>}
    </div>
  );
}
