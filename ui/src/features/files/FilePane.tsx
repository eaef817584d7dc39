import { useQueryClient } from '@tanstack/react-query';
import { Button, Skeleton } from 'antd';
import { FolderOpen } from 'lucide-react';
import {
  type DragEvent,
  type KeyboardEvent,
  type RefObject,
  useMemo,
  useRef,
  useState,
} from 'react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location } from '@/bridge';
import { useCall } from '@/bridge/query';
import { DataTable, EmptyState, ErrorState, type Sort, sortRows, type Want } from '@/kit';
import { ids } from '@/testids';
import { fileColumns } from './columns';
import { heldFiles, hold, leavesWindow, letGo } from './dragging';
import { FileActions, type FileVerb } from './FileActions';
import styles from './files.module.css';
import { PathBar } from './PathBar';
import { at, baseName, child, isDirectory, joinPath, parentPath } from './paths';
import { useFinder } from './useFinder';
import type { usePlaces } from './usePlaces';

export type Side = 'local' | 'remote';

interface Props {
  side: Side;
  location: Location;
  places: ReturnType<typeof usePlaces>;
  onGo: (location: Location) => void;
  selected: ReadonlySet<string>;
  onSelect: (names: ReadonlySet<string>) => void;
  /** Files go to the other pane. */
  onCopy: (names: readonly string[]) => void;
  onMove: (names: readonly string[]) => void;
  /** Files of the other pane were dropped here. */
  onDropNames: (names: readonly string[]) => void;
  /** Files that are not on this computer are dragged, perhaps out of the window. */
  onDragOut: (from: Location, entries: readonly FileEntry[]) => void;
  /** The other pane is wanted (Tab). */
  onOther: () => void;
  gridRef: RefObject<HTMLDivElement | null>;
  /** Files of the desktop are held over this pane. */
  over: boolean;
}

/** Says that there is something; what, `heldFiles` knows. */
const DRAGGED = 'application/x-gangway-files';

/** Keys of the well-known file managers, and what they do. */
const VERBS: Record<string, FileVerb> = {
  F2: 'rename',
  F3: 'view',
  F4: 'edit',
  F5: 'copy',
  F6: 'move',
  F7: 'mkdir',
  F8: 'remove',
  Delete: 'remove',
};

/** One directory: go into and up, select, look, edit, arrange, drag to the other pane. */
export function FilePane(props: Props) {
  const { side, location, places, onGo, selected, onSelect, onDropNames, gridRef } = props;
  const { t } = useTranslation();
  const client = useQueryClient();
  const [hidden, setHidden] = useState(false);
  const [sort, setSort] = useState<Sort | null>(null);
  const [dragged, setDragged] = useState(false);
  const [want, setWant] = useState<Want>({ key: null });
  const [active, setActive] = useState<FileEntry | null>(null);
  const verbs = useRef<(verb: FileVerb) => void>(() => undefined);
  const query = useCall('file.list', { location }, { staleTime: 1_000 });
  const columns = useMemo(() => fileColumns(t), [t]);
  const entries = query.data?.entries;
  const rows = useMemo(() => {
    const all = entries ?? [];
    const seen = hidden ? all : all.filter((entry) => !entry.name.startsWith('.'));
    return sortRows(seen, columns, sort);
  }, [entries, hidden, columns, sort]);
  const here = query.data?.location ?? location;
  const title = places.title(here);
  const readOnly = places.isReadOnly(here);
  const finder = useFinder(rows, (name) => setWant({ key: name }));

  const goTo = (next: Location, focus: string | null = null) => {
    onSelect(new Set());
    setWant({ key: focus });
    onGo(next);
  };
  const up = () => {
    const above = parentPath(here.path);
    if (above !== here.path) goTo(at(here, above), baseName(here.path));
  };
  const reload = () => void client.invalidateQueries({ queryKey: ['file.list'] });
  const open = (entry: FileEntry) =>
    isDirectory(entry) ? goTo(child(here, entry.name)) : verbs.current('view');

  const onKey = (event: KeyboardEvent, row: FileEntry | null) => {
    const mod = event.ctrlKey || event.metaKey;
    const verb = event.key === 'F4' && event.shiftKey ? 'create' : VERBS[event.key];
    if (verb && !mod && !event.altKey) verbs.current(verb);
    else if (event.key === 'Backspace' || (event.altKey && event.key === 'ArrowUp')) up();
    else if (event.key === 'Tab' && !mod && !event.altKey && !event.shiftKey) props.onOther();
    else if (event.key === 'Escape' && selected.size > 0) onSelect(new Set());
    else if (mod && event.code === 'KeyH') setHidden(!hidden);
    else if (mod && event.code === 'KeyF') verbs.current('search');
    else if (mod && event.code === 'KeyD') places.toggleBookmark(here);
    else if (mod || event.altKey || !finder.take(event.key, row)) return;
    // F5 and Ctrl-F mean something else to the rest of the program.
    event.preventDefault();
    event.stopPropagation();
  };

  const onDrop = (event: DragEvent) => {
    setDragged(false);
    const files = heldFiles();
    if (!files) return;
    event.preventDefault();
    if (files.side !== side) onDropNames(files.names);
  };

  return (
    <section
      className={styles.pane}
      aria-label={title}
      data-over={dragged || props.over}
      data-pane={side}
      data-testid={ids.files.pane(side)}
      // Where there is no list (an empty directory, a failure) the keys work as well.
      onKeyDown={(event) => {
        if (rows.length === 0 && event.target === gridRef.current) onKey(event, null);
      }}
      onDragOver={(event) => {
        if (!heldFiles() || readOnly) return;
        event.preventDefault();
        setDragged(true);
      }}
      onDragLeave={() => setDragged(false)}
      onDrop={onDrop}
    >
      <header className={styles.paneHead}>
        <h2 className="truncate">{title}</h2>
        <FileActions
          side={side}
          location={here}
          selected={selected}
          active={active}
          entries={entries}
          hidden={hidden}
          onHidden={setHidden}
          onChanged={(focus) => {
            onSelect(new Set());
            if (focus) setWant({ key: focus });
            reload();
          }}
          onReload={reload}
          onCopy={props.onCopy}
          onMove={props.onMove}
          onFound={(path) => goTo(at(here, parentPath(joinPath(here.path, path))), baseName(path))}
          readOnly={readOnly}
          verbs={verbs}
          onClosed={() => gridRef.current?.focus()}
        />
      </header>
      <PathBar side={side} location={here} places={places} onGo={goTo} onUp={up} />
      {query.error && <ErrorState failure={query.error} onRetry={() => void query.refetch()} />}
      {!query.error && (
        <DataTable
          gridRef={gridRef}
          rows={rows}
          columns={columns}
          rowKey={nameOf}
          label={title}
          sort={sort}
          onSort={setSort}
          selected={selected}
          onSelect={onSelect}
          onActive={setActive}
          want={want}
          onOpen={open}
          onKey={onKey}
          rowTestId={(entry) => ids.files.row(side, entry.name)}
          rowProps={(entry) => ({
            draggable: true,
            onDragStart: (event) => {
              const taken = selected.has(entry.name) ? selected : new Set([entry.name]);
              const names = [...taken];
              hold({ side, names });
              if (here.kind !== 'local' && leavesWindow()) {
                event.preventDefault();
                const all = entries ?? [];
                props.onDragOut(
                  here,
                  all.filter(({ name }) => taken.has(name)),
                );
                return;
              }
              event.dataTransfer.setData(DRAGGED, names.join('\n'));
              // Other programs of the desktop understand addresses of files.
              if (here.kind === 'local') {
                const urls = names.map((name) => fileUrl(child(here, name).path));
                event.dataTransfer.setData('text/uri-list', urls.join('\r\n'));
              }
              event.dataTransfer.effectAllowed = 'copy';
            },
            onDragEnd: letGo,
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
      {finder.typed && <output className={styles.typed}>{finder.typed}</output>}
    </section>
  );
}

const nameOf = (entry: FileEntry) => entry.name;

const fileUrl = (path: string) => `file://${path.split('/').map(encodeURIComponent).join('/')}`;
