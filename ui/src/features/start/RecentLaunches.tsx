import { Link, useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { Pin, Play } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Launch } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { Ago, Section, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './start.module.css';

const SHOWN = 5;

export function RecentLaunches() {
  const { t } = useTranslation();
  const launches = useCall('history.list', {}).data?.launches ?? [];
  if (launches.length === 0) return null;
  return (
    <Section title={t('nav.history')} extra={<Link to="/history">{t('start.all_launches')}</Link>}>
      <div className={styles.list}>
        {launches.slice(0, SHOWN).map((launch) => (
          <LaunchRow key={launch.id} launch={launch} />
        ))}
      </div>
    </Section>
  );
}

function LaunchRow({ launch }: { launch: Launch }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const toast = useToast();
  const relaunch = useAction('history.relaunch');
  const start = () =>
    relaunch.mutate(
      { id: launch.id, wait: false },
      {
        onSuccess: ({ id }) => void navigate({ to: '/sessions', search: { open: id } }),
        onError: toast.failed,
      },
    );
  return (
    <div className={styles.session} data-testid={ids.start.recent(launch.name)}>
      <Link to="/launch" search={{ from: launch.id }} className="truncate" title={launch.name}>
        {launch.title ?? launch.name}
      </Link>
      <span className="muted truncate">
        {launch.pinned && <Pin size={12} aria-label={t('history.pinned')} />}{' '}
        {launch.request.image?.split('/').at(-1)}
      </span>
      <span className="muted">
        <Ago at={launch.launched_at} />
      </span>
      <span className={styles.buttons}>
        <Button size="small" icon={<Play size={13} />} loading={relaunch.isPending} onClick={start}>
          {t('history.relaunch')}
        </Button>
      </span>
    </div>
  );
}
