import { useQueryClient } from '@tanstack/react-query';
import { Button, Skeleton } from 'antd';
import { FolderOpen } from 'lucide-react';
import { type DragEvent, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location, Place } from '@/bridge';
import { useCall } from '@/bridge/query';
import { DataTable, EmptyState, ErrorState, type Sort, sortRows } from '@/kit';
import { ids } from '@/testids';
import { fileColumns } from './columns';
import { FileActions } from './FileActions';
import styles from './files.module.css';
import { PathBar } from './PathBar';
import { at, child, isDirectory, parentPath } from './paths';

interface Props {
  side: 'local' | 'remote';
  title: string;
  location: Location;
  places: readonly Place[];
  onGo: (location: Location) => void;
  selected: ReadonlySet<string>;
  onSelect: (names: ReadonlySet<string>) => void;
  /** Files of the other pane were dropped here. */
  onDropNames: (names: readonly string[]) => void;
  /** A file was opened: it goes to the other side. */
  onSend: (entry: FileEntry) => void;
  readOnly?: boolean;
}

const DRAGGED = 'application/x-gangway-files';

interface Dragged {
  side: Props['side'];
  names: string[];
}

/** One directory: go into and up, select, drag to the other pane, rename, remove. */
export function FilePane(props: Props) {
  const { side, title, location, places, onGo, selected, onSelect, onDropNames, onSend } = props;
  const { t } = useTranslation();
  const client = useQueryClient();
  const [hidden, setHidden] = useState(false);
  const [sort, setSort] = useState<Sort | null>(null);
  const [over, setOver] = useState(false);
  const query = useCall('file.list', { location }, { staleTime: 1_000 });
  const columns = useMemo(() => fileColumns(t), [t]);
  const entries = query.data?.entries;
  const rows = useMemo(() => {
    const seen = (entries ?? []).filter((entry) => hidden || !entry.name.startsWith('.'));
    return sortRows(seen, columns, sort);
  }, [entries, hidden, columns, sort]);
  const here = query.data?.location ?? location;

  const go = (path: string) => {
    onSelect(new Set());
    onGo(at(location, path));
  };
  const reload = () => void client.invalidateQueries({ queryKey: ['file.list'] });
  const open = (entry: FileEntry) =>
    isDirectory(entry) ? go(child(here, entry.name).path) : onSend(entry);

  const onDrop = (event: DragEvent) => {
    setOver(false);
    const text = event.dataTransfer.getData(DRAGGED);
    if (!text) return;
    event.preventDefault();
    const dragged = JSON.parse(text) as Dragged;
    if (dragged.side !== side) onDropNames(dragged.names);
  };

  return (
    <section
      className={styles.pane}
      aria-label={title}
      data-over={over}
      data-testid={ids.files.pane(side)}
      onDragOver={(event) => {
        if (!event.dataTransfer.types.includes(DRAGGED) || props.readOnly) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      <header className={styles.paneHead}>
        <h2 className="truncate">{title}</h2>
        <FileActions
          side={side}
          location={here}
          selected={selected}
          entries={rows}
          hidden={hidden}
          onHidden={setHidden}
          onChanged={() => {
            onSelect(new Set());
            reload();
          }}
          onReload={reload}
          readOnly={props.readOnly ?? false}
        />
      </header>
      <PathBar side={side} location={here} places={places} onGo={go} onPlace={onGo} />
      {query.error && <ErrorState failure={query.error} onRetry={() => void query.refetch()} />}
      {!query.error && (
        <DataTable
          rows={rows}
          columns={columns}
          rowKey={(entry) => entry.name}
          label={title}
          sort={sort}
          onSort={setSort}
          selected={selected}
          onSelect={onSelect}
          onOpen={open}
          onKey={(event) => {
            if (event.key === 'Backspace') go(parentPath(here.path));
          }}
          rowTestId={(entry) => ids.files.row(side, entry.name)}
          rowProps={(entry) => ({
            draggable: true,
            onDragStart: (event) => {
              const names = selected.has(entry.name) ? [...selected] : [entry.name];
              event.dataTransfer.setData(DRAGGED, JSON.stringify({ side, names }));
              event.dataTransfer.effectAllowed = 'copy';
            },
          })}
          empty={
            query.isPending ? (
              <Skeleton active title={false} style={{ padding: 12 }} />
            ) : (
              <EmptyState
                icon={FolderOpen}
                title={entries?.length ? t('files.only_hidden') : t('files.empty')}
                actions={
                  entries?.length ? (
                    <Button onClick={() => setHidden(true)}>{t('files.show_hidden')}</Button>
                  ) : null
                }
              />
            )
          }
        />
      )}
    </section>
  );
}
