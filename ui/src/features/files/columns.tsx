import type { TFunction } from 'i18next';
import { File, FileQuestion, FileSymlink, Folder } from 'lucide-react';
import type { FileEntry } from '@/bridge';
import { Ago, Bytes, type Column } from '@/kit';

const ICONS = { file: File, directory: Folder, symlink: FileSymlink, other: FileQuestion };

export function fileColumns(t: TFunction): Column<FileEntry>[] {
  return [
    {
      key: 'name',
      title: t('files.column.name'),
      width: 'minmax(110px, 1fr)',
      sortBy: (entry) => entry.name,
      render: (entry) => {
        const Icon = ICONS[entry.kind];
        return (
          <>
            <Icon size={15} strokeWidth={1.6} aria-label={t(`files.kind.${entry.kind}`)} />
            <span className="truncate" title={entry.target ?? entry.name}>
              {entry.name}
            </span>
          </>
        );
      },
    },
    {
      key: 'size',
      title: t('files.column.size'),
      width: '84px',
      align: 'end',
      sortBy: (entry) => (entry.kind === 'directory' ? -1 : entry.size),
      render: (entry) => <Bytes value={entry.kind === 'directory' ? null : entry.size} />,
    },
    {
      key: 'modified',
      title: t('files.column.modified'),
      width: '128px',
      align: 'end',
      sortBy: (entry) => Date.parse(entry.modified ?? '') || 0,
      render: (entry) => (
        <span className="muted truncate">
          <Ago at={entry.modified} />
        </span>
      ),
    },
  ];
}
