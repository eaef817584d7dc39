import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { Plus } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { useLiveSessions, useNewestSessions } from '@/bridge/sessions';
import { formatNumber } from '@/format/number';
import { formatSize } from '@/format/size';
import { ErrorState, Meter, Page, Section } from '@/kit';
import { ids } from '@/testids';
import { NextSteps } from './NextSteps';
import { RecentLaunches } from './RecentLaunches';
import { RunningSessions } from './RunningSessions';
import styles from './start.module.css';

/** What runs, what was launched lately, what to do next. */
export function Start() {
  const { t } = useTranslation();
  const list = useLiveSessions();
  const newest = useNewestSessions().data?.sessions;
  return (
    <Page
      title={t('start.title')}
      testId={ids.start.page}
      actions={
        <Link to="/launch" data-testid={ids.start.launch}>
          <Button type="primary" icon={<Plus size={15} />} tabIndex={-1}>
            {t('action.launch')}
          </Button>
        </Link>
      }
    >
      <div className={styles.columns}>
        <div>
          {list.error && !list.data ? (
            <ErrorState failure={list.error} onRetry={() => void list.refetch()} />
          ) : (
            <RunningSessions list={list.data} />
          )}
          <RecentLaunches />
        </div>
        <aside>
          <NextSteps sessions={newest} />
          <Resources />
        </aside>
      </div>
    </Page>
  );
}

/** How much of the account's share is in use. */
function Resources() {
  const { t } = useTranslation();
  const limits = useCall('resource.limits', {}).data;
  const slots = (limits?.slots ?? []).filter(({ max }) => max !== null && max > 0);
  if (slots.length === 0) return null;
  return (
    <Section title={t('start.resources')}>
      <div className={styles.meters}>
        {slots.map(({ name, unit, used, max }) => {
          const text = (value: number) =>
            unit === 'bytes' ? formatSize(value) : formatNumber(value, 2);
          return (
            <Meter
              key={name}
              label={name === 'cpu' || name === 'mem' ? t(`slot.${name}`) : name}
              value={t('session.stats.of', { value: text(used), total: text(max ?? 0) })}
              share={used / (max ?? 1)}
            />
          );
        })}
      </div>
    </Section>
  );
}
