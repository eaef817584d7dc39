import {
  Ban,
  CircleCheck,
  CircleDot,
  CircleX,
  Clock,
  LoaderCircle,
  type LucideIcon,
  TriangleAlert,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Session, SessionStatus } from '@/bridge';
import { StatusTag, type Tone } from './StatusTag';

const LOOKS: Record<SessionStatus, [Tone, LucideIcon]> = {
  PENDING: ['idle', Clock],
  DEPRIORITIZING: ['idle', Clock],
  RESERVED: ['idle', Clock],
  SCHEDULED: ['busy', LoaderCircle],
  PREPARING: ['busy', LoaderCircle],
  PULLING: ['busy', LoaderCircle],
  PREPARED: ['busy', LoaderCircle],
  CREATING: ['busy', LoaderCircle],
  RUNNING: ['good', CircleDot],
  RESTARTING: ['busy', LoaderCircle],
  RUNNING_DEGRADED: ['warning', TriangleAlert],
  PREEMPTED: ['warning', TriangleAlert],
  RESCHEDULING: ['busy', LoaderCircle],
  TERMINATING: ['busy', LoaderCircle],
  TERMINATED: ['idle', CircleCheck],
  ERROR: ['bad', CircleX],
  CANCELLED: ['idle', Ban],
};

interface Props {
  session: Pick<Session, 'status' | 'result' | 'status_info' | 'notices'>;
  testId?: string;
}

/** A session's state as its manager said it, with how a batch job ended. */
export function SessionStatusTag({ session, testId }: Props) {
  const { t } = useTranslation();
  const { status, result } = session;
  const ended = status === 'TERMINATED' && result !== 'undefined';
  const [tone, icon] =
    ended && result === 'failure' ? (['bad', CircleX] as const) : (LOOKS[status] ?? LOOKS.ERROR);
  const word = t(`status.${status}`);
  return (
    <StatusTag
      tone={tone}
      icon={icon}
      text={ended ? t(`status.result.${result}`) : word}
      title={session.status_info ?? undefined}
      value={status}
      testId={testId}
    />
  );
}
