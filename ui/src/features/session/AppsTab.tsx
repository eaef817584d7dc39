import { Skeleton } from 'antd';
import { LayoutGrid } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AppState, Session } from '@/bridge';
import { useCall } from '@/bridge/query';
import { EmptyState, ErrorState } from '@/kit';
import { AppCard } from './AppCard';
import { InstallPanel } from './InstallPanel';
import { PortsPanel } from './PortsPanel';
import styles from './session.module.css';

// The SSH server has a tab of its own.
const ELSEWHERE = new Set(['sshd']);

/** What can be opened in the session. */
export function AppsTab({ session }: { session: Session }) {
  const { t } = useTranslation();
  const query = useCall('app.list', { session: session.id });
  const [installing, setInstalling] = useState<AppState | null>(null);
  if (query.error && !query.data) {
    return <ErrorState failure={query.error} onRetry={() => void query.refetch()} />;
  }
  if (!query.data) return <Skeleton active />;
  const apps = query.data.apps.filter((app) => !ELSEWHERE.has(app.name));
  if (apps.length === 0) {
    return <EmptyState icon={LayoutGrid} title={t('apps.empty')} text={t('apps.empty_text')} />;
  }
  return (
    <>
      <div className={styles.apps}>
        {apps.map((app) => (
          <AppCard
            key={app.name}
            app={app}
            session={session}
            busy={installing !== null}
            onInstall={() => setInstalling(app)}
          />
        ))}
      </div>
      <PortsPanel session={session} />
      {installing && (
        <InstallPanel
          key={installing.name}
          app={installing}
          session={session}
          onClose={() => {
            setInstalling(null);
            void query.refetch();
          }}
        />
      )}
    </>
  );
}
