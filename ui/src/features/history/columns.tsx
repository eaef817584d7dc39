import type { TFunction } from 'i18next';
import { Pin } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Launch } from '@/bridge';
import { formatNumber } from '@/format/number';
import { Ago, Bytes, type Column } from '@/kit';

interface Options {
  t: TFunction;
  actions: (launch: Launch) => ReactNode;
}

const foldersOf = (request: Launch['request']) =>
  request.mounts?.map(({ folder }) => folder).join(', ') ?? '';

export function historyColumns({ t, actions }: Options): Column<Launch>[] {
  return [
    {
      key: 'name',
      title: t('history.column.name'),
      width: 'minmax(150px, 1.6fr)',
      render: (launch) => (
        <>
          {launch.pinned && <Pin size={13} aria-label={t('history.pinned')} />}
          <span
            className="truncate"
            title={launch.title ? `${launch.title} ${launch.name}` : launch.name}
          >
            <strong>{launch.title ?? launch.name}</strong>
            {launch.title && <span className="muted"> {launch.name}</span>}
          </span>
        </>
      ),
    },
    {
      key: 'image',
      title: t('sessions.column.image'),
      width: 'minmax(110px, 1.2fr)',
      render: ({ request }) => (
        <span className="truncate" title={request.image ?? ''}>
          {request.image?.split('/').at(-1) ?? '–'}
        </span>
      ),
    },
    {
      key: 'cpu',
      title: t('sessions.column.cpu'),
      width: '64px',
      align: 'end',
      render: ({ request }) => (request.cpu ? formatNumber(request.cpu, 2) : '–'),
    },
    {
      key: 'mem',
      title: t('sessions.column.mem'),
      width: '88px',
      align: 'end',
      render: ({ request }) => <Bytes value={request.mem ?? null} />,
    },
    {
      key: 'mounts',
      title: t('history.column.folders'),
      width: 'minmax(90px, 1fr)',
      render: ({ request }) => (
        <span className="truncate" title={foldersOf(request)}>
          {foldersOf(request) || '–'}
        </span>
      ),
    },
    {
      key: 'launched',
      title: t('history.column.launched'),
      width: '128px',
      align: 'end',
      render: (launch) => <Ago at={launch.launched_at} />,
    },
    {
      key: 'actions',
      title: t('table.actions'),
      titleHidden: true,
      width: '250px',
      align: 'end',
      render: actions,
    },
  ];
}
