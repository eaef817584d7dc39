import type { TFunction } from 'i18next';
import type { Session } from '@/bridge';
import { formatNumber } from '@/format/number';
import { Ago, Bytes, type Column, Elapsed, parseSort, SessionStatusTag } from '@/kit';
import { ids } from '@/testids';
import { shortImage, slot } from './sessions';

interface Options {
  t: TFunction;
  finished: boolean;
  /** Few columns, while a session is open beside the list. */
  narrow: boolean;
  onOpen: (session: Session) => void;
}

/** What the manager calls the columns; the longest run is the oldest start. */
const FIELDS: Record<string, string> = {
  name: 'name',
  status: 'status',
  image: 'image',
  type: 'type',
  ended: 'terminated_at',
  elapsed: '-created_at',
};

/** The sort of an address in the manager's words; empty for its own order, newest first. */
export function orderOf(sort: string | undefined): string {
  const { key, descending } = parseSort(sort) ?? { key: '', descending: false };
  const field = FIELDS[key];
  if (!field) return '';
  return descending ? (field.startsWith('-') ? field.slice(1) : `-${field}`) : field;
}

export function sessionColumns({ t, finished, narrow, onOpen }: Options): Column<Session>[] {
  const name: Column<Session> = {
    key: 'name',
    title: t('sessions.column.name'),
    width: 'minmax(120px, 2fr)',
    sortable: true,
    render: (session) => (
      <button
        type="button"
        className="link truncate"
        title={session.name}
        onClick={() => onOpen(session)}
      >
        {session.name}
      </button>
    ),
  };
  const status: Column<Session> = {
    key: 'status',
    title: t('sessions.column.status'),
    width: narrow ? '112px' : 'minmax(120px, 1fr)',
    sortable: true,
    render: (session) => (
      <SessionStatusTag session={session} testId={ids.sessions.status(session.name)} />
    ),
  };
  if (narrow) return [name, status];
  return [
    name,
    status,
    {
      key: 'image',
      title: t('sessions.column.image'),
      width: 'minmax(120px, 1.6fr)',
      sortable: true,
      render: (session) => (
        <span className="truncate" title={session.image}>
          {shortImage(session.image)}
        </span>
      ),
    },
    {
      key: 'type',
      title: t('sessions.column.type'),
      width: '104px',
      sortable: true,
      render: (session) => t(`session_type.${session.type}`),
    },
    {
      key: 'cpu',
      title: t('sessions.column.cpu'),
      width: '72px',
      align: 'end',
      render: (session) => formatNumber(slot(session, 'cpu') ?? 0, 2),
    },
    {
      key: 'mem',
      title: t('sessions.column.mem'),
      width: '96px',
      align: 'end',
      render: (session) => <Bytes value={slot(session, 'mem')} />,
    },
    finished
      ? {
          key: 'ended',
          title: t('sessions.column.ended'),
          width: '132px',
          align: 'end',
          sortable: true,
          render: (session) => <Ago at={session.terminated_at} />,
        }
      : {
          key: 'elapsed',
          title: t('sessions.column.elapsed'),
          width: '132px',
          align: 'end',
          sortable: true,
          render: (session) => <Elapsed from={session.created_at} />,
        },
  ];
}
