import { Progress } from 'antd';
import {
  ArrowLeftRight,
  Ban,
  CircleCheck,
  CircleHelp,
  CirclePause,
  CircleX,
  Clock,
  Hourglass,
  type LucideIcon,
  Pause,
  Play,
  RotateCcw,
  X,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Location, Session, Transfer, TransferState } from '@/bridge';
import { useAction } from '@/bridge/query';
import { useNewestSessions } from '@/bridge/sessions';
import { formatDuration } from '@/format/date';
import { formatNumber } from '@/format/number';
import { formatSize, formatSpeed } from '@/format/size';
import { failureText } from '@/i18n/failure';
import { ids } from '@/testids';
import { ConflictChoice } from './ConflictChoice';
import { IconButton } from './IconButton';
import { StatusTag, type Tone } from './StatusTag';
import styles from './transfer.module.css';
import { useToast } from './useToast';

const LOOKS: Record<TransferState, [Tone, LucideIcon]> = {
  queued: ['idle', Clock],
  running: ['good', ArrowLeftRight],
  paused: ['idle', CirclePause],
  waiting: ['warning', Hourglass],
  done: ['good', CircleCheck],
  failed: ['bad', CircleX],
  cancelled: ['idle', Ban],
  conflict: ['warning', CircleHelp],
};

/** A place as people write it: a path, a session's path, a folder's path. */
function placeText(location: Location, sessions: readonly Session[]): string {
  switch (location.kind) {
    case 'local':
      return location.path;
    case 'session':
      return `${
        sessions.find(({ id }) => id === location.session)?.name ?? location.session
      }:${location.path}`;
    case 'folder':
      return `${location.folder}/${location.path.replace(/^\//, '')}`;
  }
}

const lastName = (path: string) => path.replace(/\/+$/, '').split('/').at(-1) ?? path;

/** One transfer: how far it is, how fast, and what can be done with it. */
export function TransferLine({ transfer }: { transfer: Transfer }) {
  const { t } = useTranslation();
  const { id, state, bytes, total } = transfer;
  const [tone, icon] = LOOKS[state];
  const share = state === 'done' ? 1 : total ? bytes / total : 0;
  const sessions = useNewestSessions().data?.sessions ?? [];
  const route = `${placeText(transfer.src, sessions)} → ${placeText(transfer.dst, sessions)}`;
  return (
    <article className={styles.line} data-testid={ids.transfers.row(id)} data-state={state}>
      <div className={styles.what}>
        <strong className="truncate" title={transfer.src.path}>
          {lastName(transfer.src.path)}
        </strong>
        <small className="muted truncate" title={route}>
          {route}
        </small>
      </div>
      <div className={styles.how}>
        <Progress
          percent={Math.floor(share * 100)}
          size="small"
          showInfo={false}
          status={state === 'failed' ? 'exception' : 'normal'}
          aria-label={lastName(transfer.src.path)}
        />
        <small className="muted truncate">
          <Figures transfer={transfer} />
        </small>
        {transfer.failure && (
          <small className={styles.failure}>
            {failureText(transfer.failure)} <code>{transfer.failure.code}</code>
          </small>
        )}
      </div>
      <StatusTag
        tone={tone}
        icon={icon}
        text={t(`transfers.state.${state}`)}
        testId={ids.transfers.state(id)}
        value={state}
      />
      <Actions transfer={transfer} />
      {state === 'conflict' && <ConflictChoice transfer={transfer} />}
    </article>
  );
}

function Figures({ transfer }: { transfer: Transfer }) {
  const { t } = useTranslation();
  const { bytes, total, files, files_total, speed, eta_s, state, seconds, sha256, skipped } =
    transfer;
  const stays = transfer.source_left;
  const parts = [
    total === null || state === 'done'
      ? formatSize(bytes)
      : t('transfers.of', { bytes: formatSize(bytes), total: formatSize(total) }),
  ];
  if (files_total !== null && files_total > 1) {
    parts.push(t('transfers.files', { done: formatNumber(files), count: files_total }));
  }
  if (state === 'running' && speed !== null) parts.push(formatSpeed(speed));
  if (state === 'running' && eta_s !== null) {
    parts.push(t('transfers.left', { time: formatDuration(eta_s) }));
  }
  if (skipped > 0) parts.push(t('transfers.skipped', { count: skipped }));
  if (stays > 0) parts.push(t('transfers.source_left', { count: stays }));
  if (state === 'done') parts.push(formatDuration(seconds));
  if (sha256) parts.push(t('transfers.checked'));
  return parts.join(' · ');
}

type Verb = 'pause' | 'resume' | 'retry' | 'cancel';

const VERBS: Record<TransferState, readonly Verb[]> = {
  queued: ['pause', 'cancel'],
  running: ['pause', 'cancel'],
  waiting: ['pause', 'cancel'],
  conflict: ['cancel'],
  paused: ['resume', 'cancel'],
  failed: ['retry', 'cancel'],
  cancelled: ['retry'],
  done: [],
};

const ICONS = { pause: Pause, resume: Play, retry: RotateCcw, cancel: X };

function Actions({ transfer }: { transfer: Transfer }) {
  return (
    <div className={styles.actions}>
      {VERBS[transfer.state].map((verb) => (
        <Action key={verb} verb={verb} transfer={transfer} />
      ))}
    </div>
  );
}

function Action({ verb, transfer }: { verb: Verb; transfer: Transfer }) {
  const { t } = useTranslation();
  const toast = useToast();
  const action = useAction(`transfer.${verb}`);
  const Icon = ICONS[verb];
  return (
    <IconButton
      label={t(`transfers.${verb}`)}
      icon={<Icon size={14} />}
      size="small"
      loading={action.isPending}
      onClick={() => action.mutate({ id: transfer.id }, { onError: toast.failed })}
      testId={ids.transfers.action(verb, transfer.id)}
    />
  );
}
