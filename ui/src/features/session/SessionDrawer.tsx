import { Button, Skeleton, Tabs, Tooltip } from 'antd';
import { CircleStop, Maximize2, Minimize2, X } from 'lucide-react';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useSession } from '@/bridge/sessions';
import { reasonText } from '@/i18n/reason';
import { ErrorState, IconButton, SessionStatusTag } from '@/kit';
import { ids } from '@/testids';
import { AppsTab } from './AppsTab';
import { LogTab } from './LogTab';
import { NameField } from './NameField';
import { NotOpen } from './NotOpen';
import { Overview } from './Overview';
import { SshTab } from './SshTab';
import styles from './session.module.css';
import { DRAWER_TABS, type DrawerTab } from './tabs';

const TerminalTabs = lazy(async () => ({
  default: (await import('@/features/terminal/TerminalTabs')).TerminalTabs,
}));
const SessionFiles = lazy(async () => ({
  default: (await import('@/features/files/SessionFiles')).SessionFiles,
}));

interface Props {
  id: string;
  /** The session as the list has it, for when it can't be asked for itself. */
  known: Session | undefined;
  tab: DrawerTab;
  onTab: (tab: DrawerTab) => void;
  onClose: () => void;
  onTerminate: (session: Session) => void;
}

/** Everything about one session, beside the list. */
export function SessionDrawer({ id, known, tab, onTab, onClose, onTerminate }: Props) {
  const { t } = useTranslation();
  const [asked, setWide] = useState<boolean | null>(null);
  // Two panes of files need the room; elsewhere the list stays in sight.
  const wide = asked ?? tab === 'files';
  const query = useSession(id);
  const session = query.data ?? known;

  useEffect(() => {
    const close = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      // Esc belongs to the terminal, to fields, and to dialogs before it closes the drawer.
      if (event.key !== 'Escape' || event.defaultPrevented || event.isComposing) return;
      if (target?.closest('.xterm, input, textarea, .ant-modal')) return;
      if (document.querySelector('.ant-modal-wrap:not([style*="display: none"])')) return;
      onClose();
    };
    window.addEventListener('keydown', close);
    return () => window.removeEventListener('keydown', close);
  }, [onClose]);

  return (
    <aside
      className={styles.drawer}
      data-wide={wide}
      data-testid={ids.drawer.panel}
      aria-label={session?.name ?? t('session.label')}
    >
      <header className={styles.header}>
        {session ? (
          <>
            <NameField session={session} />
            <SessionStatusTag session={session} testId={ids.drawer.status} />
          </>
        ) : (
          <h2>{t('session.label')}</h2>
        )}
        <span className={styles.spring} />
        {session && <TerminateButton session={session} onClick={() => onTerminate(session)} />}
        <IconButton
          label={wide ? t('session.narrow') : t('session.widen')}
          icon={wide ? <Minimize2 size={15} /> : <Maximize2 size={15} />}
          onClick={() => setWide(!wide)}
        />
        <IconButton
          label={t('action.close')}
          icon={<X size={16} />}
          onClick={onClose}
          testId={ids.drawer.close}
        />
      </header>
      {query.error && (
        <div className={styles.failure}>
          <ErrorState failure={query.error} onRetry={() => void query.refetch()} />
        </div>
      )}
      {query.isPending && !session && <Skeleton active className={styles.body ?? ''} />}
      {session && (
        <>
          <Tabs
            className={styles.tabs ?? ''}
            activeKey={tab}
            onChange={(key) => onTab(DRAWER_TABS.find((each) => each === key) ?? 'overview')}
            items={DRAWER_TABS.map((key) => ({
              key,
              label: <span data-testid={ids.drawer.tab(key)}>{t(`session.tab.${key}`)}</span>,
            }))}
          />
          <div className={styles.body} data-tab={tab}>
            <Suspense fallback={<Skeleton active />}>
              <TabContent session={session} tab={tab} />
            </Suspense>
          </div>
        </>
      )}
    </aside>
  );
}

function TabContent({ session, tab }: { session: Session; tab: DrawerTab }) {
  const { open_app } = session.actions;
  if (tab === 'overview') return <Overview session={session} />;
  if (tab === 'log') return <LogTab session={session} />;
  // Apps, terminals, files and SSH all need a session that answers.
  if (!open_app.allowed) return <NotOpen session={session} />;
  if (tab === 'apps') return <AppsTab session={session} />;
  if (tab === 'terminal') return <TerminalTabs session={session} />;
  if (tab === 'files') return <SessionFiles session={session} />;
  return <SshTab session={session} />;
}

function TerminateButton({ session, onClick }: { session: Session; onClick: () => void }) {
  const { t } = useTranslation();
  const { allowed, reason } = session.actions.terminate;
  return (
    <Tooltip title={allowed ? undefined : reasonText(reason)}>
      <Button
        danger
        size="small"
        icon={<CircleStop size={13} />}
        disabled={!allowed}
        onClick={onClick}
        data-testid={ids.drawer.terminate}
      >
        {t('action.terminate')}
      </Button>
    </Tooltip>
  );
}
