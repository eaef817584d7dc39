import type { TFunction } from 'i18next';
import type { Session } from '@/bridge';
import { formatNumber } from '@/format/number';
import { Ago, Bytes, type Column, Elapsed, SessionStatusTag } from '@/kit';
import { ids } from '@/testids';
import { shortImage, slot } from './sessions';

interface Options {
  t: TFunction;
  finished: boolean;
  /** Few columns, while a session is open beside the list. */
  narrow: boolean;
  onOpen: (session: Session) => void;
}

export function sessionColumns({ t, finished, narrow, onOpen }: Options): Column<Session>[] {
  const name: Column<Session> = {
    key: 'name',
    title: t('sessions.column.name'),
    width: 'minmax(120px, 2fr)',
    sortBy: (session) => session.name,
    render: (session) => (
      <button type="button" className="link truncate" onClick={() => onOpen(session)}>
        {session.name}
      </button>
    ),
  };
  const status: Column<Session> = {
    key: 'status',
    title: t('sessions.column.status'),
    width: narrow ? '112px' : 'minmax(120px, 1fr)',
    sortBy: (session) => session.status,
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
      sortBy: (session) => shortImage(session.image),
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
      sortBy: (session) => session.type,
      render: (session) => t(`session_type.${session.type}`),
    },
    {
      key: 'cpu',
      title: t('sessions.column.cpu'),
      width: '72px',
      align: 'end',
      sortBy: (session) => slot(session, 'cpu') ?? 0,
      render: (session) => formatNumber(slot(session, 'cpu') ?? 0, 2),
    },
    {
      key: 'mem',
      title: t('sessions.column.mem'),
      width: '96px',
      align: 'end',
      sortBy: (session) => slot(session, 'mem') ?? 0,
      render: (session) => <Bytes value={slot(session, 'mem')} />,
    },
    finished
      ? {
          key: 'ended',
          title: t('sessions.column.ended'),
          width: '132px',
          align: 'end',
          sortBy: (session) => Date.parse(session.terminated_at ?? '') || 0,
          render: (session) => <Ago at={session.terminated_at} />,
        }
      : {
          key: 'elapsed',
          title: t('sessions.column.elapsed'),
          width: '132px',
          align: 'end',
          sortBy: (session) => -(Date.parse(session.created_at ?? '') || 0),
          render: (session) => <Elapsed from={session.created_at} />,
        },
  ];
}
