import { useNavigate } from '@tanstack/react-router';
import { Button } from 'antd';
import { Clock, PowerOff } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { EmptyState, useToast } from '@/kit';

const ENDED = new Set<Session['status']>(['TERMINATED', 'TERMINATING', 'CANCELLED', 'ERROR']);

/** Stands where apps, terminal and files will be, while the session does not run. */
export function NotOpen({ session }: { session: Session }) {
  const { t } = useTranslation();
  const ended = ENDED.has(session.status);
  return (
    <EmptyState
      icon={ended ? PowerOff : Clock}
      title={ended ? t('session.ended') : t('session.starting')}
      text={ended ? t('session.ended_text') : t('session.starting_text')}
      actions={ended && <LaunchAgain session={session} />}
    />
  );
}

/** Starts a new session like this one, where its launch is remembered. */
function LaunchAgain({ session }: { session: Session }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const toast = useToast();
  const launches = useCall('history.list', {}).data?.launches ?? [];
  const relaunch = useAction('history.relaunch');
  const launch = launches.find(({ session_id }) => session_id === session.id);
  if (!launch) return null;
  return (
    <Button
      type="primary"
      loading={relaunch.isPending}
      onClick={() =>
        relaunch.mutate(
          { id: launch.id, wait: false },
          {
            onSuccess: ({ id }) => void navigate({ to: '/sessions', search: { open: id } }),
            onError: toast.failed,
          },
        )
      }
    >
      {t('history.relaunch')}
    </Button>
  );
}
