import type { TFunction } from 'i18next';
import { Folder as FolderIcon, FolderLock } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Folder } from '@/bridge';
import { formatNumber } from '@/format/number';
import { Ago, Bytes, type Column } from '@/kit';

interface Options {
  t: TFunction;
  onOpen: ((folder: Folder) => void) | null;
  actions: (folder: Folder) => ReactNode;
}

export function folderColumns({ t, onOpen, actions }: Options): Column<Folder>[] {
  return [
    {
      key: 'name',
      title: t('folders.column.name'),
      width: 'minmax(160px, 2fr)',
      sortBy: (folder) => folder.name,
      render: (folder) => {
        const Icon = folder.permission === 'ro' ? FolderLock : FolderIcon;
        return (
          <>
            <Icon size={15} strokeWidth={1.6} aria-hidden />
            {onOpen ? (
              <button
                type="button"
                className="link truncate"
                title={folder.name}
                onClick={() => onOpen(folder)}
              >
                {folder.name}
              </button>
            ) : (
              <span className="truncate" title={folder.name}>
                {folder.name}
              </span>
            )}
            {folder.name.startsWith('.') && <span className="muted">{t('folders.automatic')}</span>}
          </>
        );
      },
    },
    {
      key: 'permission',
      title: t('folders.column.permission'),
      width: 'minmax(104px, 1fr)',
      sortBy: (folder) => folder.permission,
      render: (folder) => t(`folders.permission.${folder.permission}`),
    },
    {
      key: 'host',
      title: t('folders.column.host'),
      width: 'minmax(100px, 1fr)',
      sortBy: (folder) => folder.host,
      render: (folder) => <span className="truncate">{folder.host}</span>,
    },
    {
      key: 'files',
      title: t('folders.column.files'),
      width: '84px',
      align: 'end',
      sortBy: (folder) => folder.files ?? -1,
      render: (folder) => (folder.files === null ? '–' : formatNumber(folder.files)),
    },
    {
      key: 'size',
      title: t('folders.column.size'),
      width: '96px',
      align: 'end',
      sortBy: (folder) => folder.used_bytes ?? -1,
      render: (folder) => <Bytes value={folder.used_bytes} />,
    },
    {
      key: 'created',
      title: t('folders.column.created'),
      width: '132px',
      align: 'end',
      sortBy: (folder) => Date.parse(folder.created_at ?? '') || 0,
      render: (folder) => <Ago at={folder.created_at} />,
    },
    {
      key: 'actions',
      title: t('table.actions'),
      titleHidden: true,
      width: '124px',
      align: 'end',
      render: actions,
    },
  ];
}
