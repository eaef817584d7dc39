import { Input } from 'antd';
import { Pencil } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { IconButton, isSessionName, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

const NAME_MAX = 64;

/** The session's name; the pencil makes it a field. */
export function NameField({ session }: { session: Session }) {
  const { t } = useTranslation();
  const toast = useToast();
  const rename = useAction('session.rename');
  const [draft, setDraft] = useState<string | null>(null);

  if (draft === null) {
    return (
      <>
        <strong
          className={`truncate ${styles.name}`}
          title={session.name}
          data-testid={ids.drawer.name}
        >
          {session.name}
        </strong>
        {session.actions.rename.allowed && (
          <IconButton
            label={t('session.rename')}
            icon={<Pencil size={13} />}
            size="small"
            onClick={() => setDraft(session.name)}
            testId={ids.drawer.rename}
          />
        )}
      </>
    );
  }

  const bad = !isSessionName(draft);
  const save = () => {
    if (bad) return;
    setDraft(null);
    if (draft !== session.name) {
      rename.mutate({ session: session.id, name: draft }, { onError: toast.failed });
    }
  };
  return (
    <Input
      autoFocus
      size="small"
      value={draft}
      maxLength={NAME_MAX}
      spellCheck={false}
      status={bad ? 'error' : ''}
      title={bad ? t('launch.rule.name_length', { min: 4, max: NAME_MAX }) : undefined}
      aria-label={t('session.rename')}
      style={{ width: 220 }}
      onChange={(event) => setDraft(event.target.value.trim())}
      onBlur={() => setDraft(null)}
      onKeyDown={(event) => {
        if (event.nativeEvent.isComposing) return;
        if (event.key === 'Enter') save();
        if (event.key === 'Escape') {
          event.stopPropagation();
          setDraft(null);
        }
      }}
      data-testid={ids.drawer.nameField}
    />
  );
}
