import type { LucideIcon } from 'lucide-react';
import styles from './kit.module.css';

export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'idle';

interface Props {
  tone: Tone;
  icon: LucideIcon;
  text: string;
  title?: string;
  testId?: string;
  /** The state's own name, for journeys that must not depend on the language. */
  value?: string;
}

/** A state as shape, word and colour; never colour alone. */
export function StatusTag({ tone, icon: Icon, text, title, testId, value }: Props) {
  return (
    <span
      className={styles.status}
      data-tone={tone}
      data-state={value}
      data-testid={testId}
      title={title}
    >
      <Icon size={13} aria-hidden className={tone === 'busy' ? styles.turning : undefined} />
      <span className="truncate">{text}</span>
    </span>
  );
}
