import { Input, Modal } from 'antd';
import { SearchX } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Failure, type FilesFound, type FoundFile, type Location, stream } from '@/bridge';
import { formatNumber } from '@/format/number';
import { Bytes, type Column, DataTable, EmptyState, ErrorState, useSettled } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';

interface Props {
  location: Location;
  hidden: boolean;
  onClose: () => void;
  onFound: (path: string) => void;
}

const SETTLE_MS = 250;

interface Found {
  files: FoundFile[];
  seen: number;
  unread: number;
  full: boolean;
  over: boolean;
  failure: Failure | null;
}

const NOTHING: Found = { files: [], seen: 0, unread: 0, full: false, over: true, failure: null };

/** Files by name in a directory and all below it, as they are found. */
export function SearchDialog({ location, hidden, onClose, onFound }: Props) {
  const { t } = useTranslation();
  const [query, setQuery] = useState('');
  const wanted = useSettled(query.trim(), SETTLE_MS);
  const found = useSearch(location, wanted, hidden);
  const columns = useMemo<Column<FoundFile>[]>(
    () => [
      {
        key: 'path',
        title: t('files.column.name'),
        width: '1fr',
        render: ({ path }) => (
          <span className="truncate" title={path}>
            {path}
          </span>
        ),
      },
      {
        key: 'size',
        title: t('files.column.size'),
        width: '96px',
        align: 'end',
        render: ({ entry }) => <Bytes value={entry.kind === 'directory' ? null : entry.size} />,
      },
    ],
    [t],
  );
  return (
    <Modal
      open
      title={t('files.search_title', { place: location.path || '/' })}
      width="min(760px, 86vw)"
      footer={null}
      onCancel={onClose}
    >
      <div className={styles.search}>
        <Input
          autoFocus
          allowClear
          value={query}
          spellCheck={false}
          placeholder={t('files.search_hint')}
          aria-label={t('files.search_hint')}
          onChange={(event) => setQuery(event.target.value)}
          data-testid={ids.files.searchField}
        />
        {found.failure && <ErrorState failure={found.failure} />}
        <DataTable
          rows={found.files}
          columns={columns}
          rowKey={({ path }) => path}
          label={t('files.verb.search')}
          onOpen={({ path }) => onFound(path)}
          rowTestId={({ path }) => ids.files.foundRow(path)}
          empty={
            wanted !== '' && found.over && !found.failure ? (
              <EmptyState icon={SearchX} title={t('sessions.empty.search', { query: wanted })} />
            ) : null
          }
        />
        <small className="muted" data-testid={ids.files.searchState} data-over={found.over}>
          {wanted !== '' &&
            [
              t(found.over ? 'files.search_done' : 'files.search_goes', {
                found: formatNumber(found.files.length),
                seen: formatNumber(found.seen),
              }),
              found.full && t('files.search_full'),
              found.unread > 0 && t('files.search_unread', { count: found.unread }),
            ]
              .filter(Boolean)
              .join(' · ')}
        </small>
      </div>
    </Modal>
  );
}

function useSearch(location: Location, query: string, hidden: boolean): Found {
  const [found, setFound] = useState(NOTHING);
  const where = JSON.stringify(location);
  useEffect(() => {
    setFound({ ...NOTHING, over: query === '' });
    if (query === '') return;
    const add = ({ found: more, seen, unread, full }: FilesFound) =>
      setFound((now) => ({ ...now, files: [...now.files, ...more], seen, unread, full }));
    return stream(
      'file.search',
      { location: JSON.parse(where) as Location, query, hidden },
      {
        onMessage: add,
        onEnd: (failure) =>
          setFound((now) => ({
            ...now,
            over: true,
            failure: failure instanceof Failure ? failure : null,
          })),
      },
    );
  }, [where, query, hidden]);
  return found;
}
