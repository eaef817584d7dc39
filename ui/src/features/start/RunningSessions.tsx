import { Link, useNavigate } from '@tanstack/react-router';
import { Button, Skeleton } from 'antd';
import { FolderOpen, LayoutGrid, Play, SquareTerminal } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Session, SessionList } from '@/bridge';
import { hasEnded } from '@/bridge/sessions';
import { Elapsed, EmptyState, IconButton, Section, SessionStatusTag } from '@/kit';
import { ids } from '@/testids';
import styles from './start.module.css';

const SHOWN = 6;
const SHORTCUTS = [
  { tab: 'terminal', icon: SquareTerminal },
  { tab: 'files', icon: FolderOpen },
  { tab: 'apps', icon: LayoutGrid },
] as const;

export function RunningSessions({ list }: { list: SessionList | undefined }) {
  const { t } = useTranslation();
  const live = (list?.sessions ?? []).filter((session) => !hasEnded(session));
  return (
    <Section
      title={t('start.running')}
      extra={
        (list?.total ?? 0) > SHOWN && (
          <Link to="/sessions">{t('start.all_sessions', { count: list?.total ?? 0 })}</Link>
        )
      }
    >
      {!list && <Skeleton active title={false} />}
      {list && live.length === 0 && (
        <EmptyState
          icon={Play}
          title={t('sessions.empty.running')}
          text={t('start.nothing_runs')}
          actions={
            <Link to="/launch">
              <Button type="primary" tabIndex={-1}>
                {t('action.launch')}
              </Button>
            </Link>
          }
        />
      )}
      <div className={styles.list}>
        {live.slice(0, SHOWN).map((session) => (
          <SessionRow key={session.id} session={session} />
        ))}
      </div>
    </Section>
  );
}

function SessionRow({ session }: { session: Session }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  return (
    <div className={styles.session} data-testid={ids.start.session(session.name)}>
      <Link to="/sessions" search={{ open: session.id }} className="truncate" title={session.name}>
        {session.name}
      </Link>
      <SessionStatusTag session={session} />
      <span className="muted">
        <Elapsed from={session.created_at} />
      </span>
      <span className={styles.buttons}>
        {SHORTCUTS.map(({ tab, icon: Icon }) => (
          <IconButton
            key={tab}
            label={t(`session.tab.${tab}`)}
            icon={<Icon size={15} />}
            size="small"
            disabled={!session.actions.open_app.allowed}
            onClick={() => void navigate({ to: '/sessions', search: { open: session.id, tab } })}
          />
        ))}
      </span>
    </div>
  );
}
