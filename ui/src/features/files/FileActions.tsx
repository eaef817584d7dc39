import { App } from 'antd';
import { Eye, EyeOff, FolderPlus, Pencil, RefreshCw, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location } from '@/bridge';
import { useAction } from '@/bridge/query';
import { IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';
import { NameDialog } from './NameDialog';
import { child } from './paths';

interface Props {
  side: string;
  location: Location;
  selected: ReadonlySet<string>;
  entries: readonly FileEntry[];
  hidden: boolean;
  onHidden: (hidden: boolean) => void;
  onChanged: () => void;
  onReload: () => void;
  readOnly: boolean;
}

export function FileActions(props: Props) {
  const { side, location, selected, entries, hidden, onHidden, onChanged, readOnly } = props;
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const toast = useToast();
  const mkdir = useAction('file.mkdir');
  const rename = useAction('file.rename');
  const remove = useAction('file.remove');
  const [asking, setAsking] = useState<'mkdir' | 'rename' | null>(null);
  const names = new Set(entries.map((entry) => entry.name));
  const [only] = selected;

  const done = {
    onSuccess: () => {
      setAsking(null);
      onChanged();
    },
    onError: toast.failed,
  };
  const confirmRemove = () =>
    modal.confirm({
      title: t('files.remove_title', { count: selected.size }),
      content: t('files.remove_text', { names: [...selected].slice(0, 8).join(', ') }),
      okText: t('action.delete'),
      okButtonProps: { danger: true },
      onOk: () =>
        remove
          .mutateAsync({ locations: [...selected].map((name) => child(location, name)) })
          .then(onChanged, toast.failed),
    });

  return (
    <div className={styles.actions}>
      <IconButton
        label={t('files.mkdir')}
        icon={<FolderPlus size={15} />}
        size="small"
        disabled={readOnly}
        onClick={() => setAsking('mkdir')}
        testId={ids.files.mkdir(side)}
      />
      <IconButton
        label={t('action.rename')}
        icon={<Pencil size={14} />}
        size="small"
        disabled={selected.size !== 1 || readOnly}
        onClick={() => setAsking('rename')}
        testId={ids.files.rename(side)}
      />
      <IconButton
        label={t('action.delete')}
        icon={<Trash2 size={14} />}
        size="small"
        disabled={selected.size === 0 || readOnly}
        onClick={confirmRemove}
        testId={ids.files.remove(side)}
      />
      <IconButton
        label={hidden ? t('files.hide_hidden') : t('files.show_hidden')}
        icon={hidden ? <EyeOff size={14} /> : <Eye size={14} />}
        size="small"
        onClick={() => onHidden(!hidden)}
      />
      <IconButton
        label={t('action.refresh')}
        icon={<RefreshCw size={14} />}
        size="small"
        onClick={props.onReload}
      />
      {asking === 'mkdir' && (
        <NameDialog
          title={t('files.mkdir')}
          initial=""
          taken={names}
          busy={mkdir.isPending}
          onCancel={() => setAsking(null)}
          onSubmit={(name) => mkdir.mutate({ location: child(location, name) }, done)}
        />
      )}
      {asking === 'rename' && only !== undefined && (
        <NameDialog
          title={t('action.rename')}
          initial={only}
          taken={names}
          busy={rename.isPending}
          onCancel={() => setAsking(null)}
          onSubmit={(name) =>
            rename.mutate({ location: child(location, only), to: child(location, name).path }, done)
          }
        />
      )}
    </div>
  );
}
