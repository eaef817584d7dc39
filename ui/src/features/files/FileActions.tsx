import { App } from 'antd';
import {
  Eye,
  EyeOff,
  FilePen,
  FilePlus,
  FolderPlus,
  LockKeyhole,
  type LucideIcon,
  Pencil,
  RefreshCw,
  ScanSearch,
  Search,
  Trash2,
} from 'lucide-react';
import { type RefObject, useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location } from '@/bridge';
import { useAction } from '@/bridge/query';
import { IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';
import { ModeDialog } from './ModeDialog';
import { NameDialog } from './NameDialog';
import { child } from './paths';
import { QuickLook } from './QuickLook';
import { SearchDialog } from './SearchDialog';

export type FileVerb =
  | 'view'
  | 'edit'
  | 'copy'
  | 'move'
  | 'mkdir'
  | 'create'
  | 'rename'
  | 'mode'
  | 'remove'
  | 'search';

type Dialog = 'mkdir' | 'create' | 'rename' | 'mode' | 'view' | 'search';

interface Props {
  side: string;
  location: Location;
  selected: ReadonlySet<string>;
  /** What the keys work on while nothing is selected. */
  active: FileEntry | null;
  entries: readonly FileEntry[] | undefined;
  hidden: boolean;
  onHidden: (hidden: boolean) => void;
  /** Something was changed; the name is what should be in sight now. */
  onChanged: (focus: string | null) => void;
  onReload: () => void;
  onCopy: (names: readonly string[]) => void;
  onMove: (names: readonly string[]) => void;
  onFound: (path: string) => void;
  readOnly: boolean;
  /** Set to what runs a verb, for the keys. */
  verbs: RefObject<(verb: FileVerb) => void>;
  onClosed: () => void;
}

/** What can be done with files of one directory: buttons, and the dialogs that keys open too. */
export function FileActions(props: Props) {
  const { side, location, selected, active, entries, hidden, onHidden, readOnly, verbs } = props;
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const toast = useToast();
  const mkdir = useAction('file.mkdir');
  const create = useAction('file.create');
  const rename = useAction('file.rename');
  const remove = useAction('file.remove');
  const edit = useAction('file.edit');
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const names = useMemo(() => new Set((entries ?? []).map((entry) => entry.name)), [entries]);

  const chosen = selected.size > 0 ? [...selected] : active ? [active.name] : [];
  const [only] = chosen.length === 1 ? chosen : [];
  const one = only === undefined ? undefined : entries?.find((entry) => entry.name === only);

  const close = () => {
    setDialog(null);
    props.onClosed();
  };
  const done = (focus: string | null) => ({
    onSuccess: () => {
      close();
      props.onChanged(focus);
    },
    onError: toast.failed,
  });
  const confirmRemove = () =>
    modal.confirm({
      title: t('files.remove_title', { count: chosen.length }),
      content: t('files.remove_text', { names: chosen.slice(0, 8).join(', ') }),
      okText: t('action.delete'),
      okButtonProps: { danger: true, 'data-testid': ids.files.removeConfirm },
      afterClose: props.onClosed,
      onOk: () =>
        remove
          .mutateAsync({ locations: chosen.map((name) => child(location, name)) })
          .then(() => props.onChanged(null), toast.failed),
    });

  const can: Record<FileVerb, boolean> = {
    view: one !== undefined,
    edit: one !== undefined && one.kind !== 'directory',
    copy: chosen.length > 0,
    move: chosen.length > 0 && !readOnly,
    mkdir: !readOnly,
    create: !readOnly,
    rename: one !== undefined && !readOnly,
    mode: chosen.length > 0 && !readOnly && location.kind !== 'folder',
    remove: chosen.length > 0 && !readOnly,
    search: true,
  };
  const run = (verb: FileVerb) => {
    if (!can[verb]) return;
    if (verb === 'copy') props.onCopy(chosen);
    else if (verb === 'move') props.onMove(chosen);
    else if (verb === 'remove') confirmRemove();
    else if (verb === 'edit') {
      if (only === undefined) return;
      edit.mutate({ location: child(location, only) }, { onError: toast.failed });
    } else setDialog(verb);
  };
  useEffect(() => {
    verbs.current = run;
  });

  const button = (
    verb: Exclude<FileVerb, 'copy' | 'move'>,
    icon: LucideIcon,
    testId: string,
    key = '',
  ) => {
    const Icon = icon;
    const label = t(`files.verb.${verb}`);
    return (
      <IconButton
        label={key ? `${label} (${key})` : label}
        icon={<Icon size={14} />}
        size="small"
        disabled={!can[verb]}
        loading={verb === 'edit' && edit.isPending}
        onClick={() => run(verb)}
        testId={testId}
      />
    );
  };

  return (
    <div className={styles.actions}>
      {button('view', ScanSearch, ids.files.view(side), 'F3')}
      {button('edit', FilePen, ids.files.edit(side), 'F4')}
      {button('mkdir', FolderPlus, ids.files.mkdir(side), 'F7')}
      {button('create', FilePlus, ids.files.create(side), '⇧F4')}
      {button('rename', Pencil, ids.files.rename(side), 'F2')}
      {button('mode', LockKeyhole, ids.files.mode(side))}
      {button('remove', Trash2, ids.files.remove(side), 'F8')}
      {button('search', Search, ids.files.search(side))}
      <IconButton
        label={hidden ? t('files.hide_hidden') : t('files.show_hidden')}
        icon={hidden ? <EyeOff size={14} /> : <Eye size={14} />}
        size="small"
        onClick={() => onHidden(!hidden)}
        testId={ids.files.hidden(side)}
      />
      <IconButton
        label={t('action.refresh')}
        icon={<RefreshCw size={14} />}
        size="small"
        onClick={props.onReload}
      />
      {(dialog === 'mkdir' || dialog === 'create') && (
        <NameDialog
          title={t(`files.verb.${dialog}`)}
          initial=""
          taken={names}
          busy={mkdir.isPending || create.isPending}
          onCancel={close}
          onSubmit={(name) =>
            (dialog === 'mkdir' ? mkdir : create).mutate(
              { location: child(location, name) },
              done(name),
            )
          }
        />
      )}
      {dialog === 'rename' && only !== undefined && (
        <NameDialog
          title={t('action.rename')}
          initial={only}
          taken={names}
          busy={rename.isPending}
          onCancel={close}
          onSubmit={(name) =>
            rename.mutate(
              { location: child(location, only), to: child(location, name).path },
              done(name),
            )
          }
        />
      )}
      {dialog === 'mode' && (
        <ModeDialog
          locations={chosen.map((name) => child(location, name))}
          name={only ?? t('files.items', { count: chosen.length })}
          initial={one?.mode ?? entries?.find(({ name }) => name === chosen[0])?.mode ?? null}
          onClose={close}
          onDone={() => done(only ?? null).onSuccess()}
        />
      )}
      {dialog === 'view' && one && (
        <QuickLook
          location={child(location, one.name)}
          entry={one}
          onEdit={() => {
            close();
            run('edit');
          }}
          onClose={close}
        />
      )}
      {dialog === 'search' && (
        <SearchDialog
          location={location}
          hidden={hidden}
          onClose={close}
          onFound={(path) => {
            close();
            props.onFound(path);
          }}
        />
      )}
    </div>
  );
}
