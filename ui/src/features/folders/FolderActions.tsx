import { useNavigate } from '@tanstack/react-router';
import { App, Input } from 'antd';
import { ArchiveRestore, Pencil, Play, Trash2 } from 'lucide-react';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Folder } from '@/bridge';
import { useAction } from '@/bridge/query';
import { IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import { RenameFolderDialog } from './RenameFolderDialog';

/** What can be done with one folder, in its row. */
export function FolderActions({ folder, trash }: { folder: Folder; trash: boolean }) {
  const { t } = useTranslation();
  return trash ? <Trashed folder={folder} /> : <Live folder={folder} t={t} />;
}

function Live({ folder, t }: { folder: Folder; t: ReturnType<typeof useTranslation>['t'] }) {
  const navigate = useNavigate();
  const toast = useToast();
  const { modal } = App.useApp();
  const remove = useAction('folder.remove');
  const [renaming, setRenaming] = useState(false);
  const confirm = () =>
    modal.confirm({
      title: t('folders.remove_title', { name: folder.name }),
      content: t('folders.remove_text'),
      okText: t('folders.to_trash'),
      okButtonProps: { danger: true },
      onOk: () => remove.mutateAsync({ folder: folder.id }).catch(toast.failed),
    });
  return (
    <>
      <IconButton
        label={t('folders.launch')}
        icon={<Play size={14} />}
        size="small"
        onClick={() => void navigate({ to: '/launch', search: { folder: folder.name } })}
      />
      <IconButton
        label={t('action.rename')}
        icon={<Pencil size={14} />}
        size="small"
        disabled={!folder.is_owner}
        onClick={() => setRenaming(true)}
      />
      <IconButton
        label={t('folders.to_trash')}
        icon={<Trash2 size={14} />}
        size="small"
        disabled={!folder.is_owner}
        onClick={confirm}
        testId={ids.folders.remove(folder.name)}
      />
      {renaming && <RenameFolderDialog folder={folder} onClose={() => setRenaming(false)} />}
    </>
  );
}

function Trashed({ folder }: { folder: Folder }) {
  const { t } = useTranslation();
  const toast = useToast();
  const { modal } = App.useApp();
  const restore = useAction('folder.restore');
  const purge = useAction('folder.purge');
  const typed = useRef('');
  const confirm = () => {
    typed.current = '';
    modal.confirm({
      title: t('folders.purge_title', { name: folder.name }),
      content: (
        <>
          <p>{t('folders.purge_text', { name: folder.name })}</p>
          <Input
            aria-label={t('folders.column.name')}
            onChange={(event) => {
              typed.current = event.target.value;
            }}
          />
        </>
      ),
      okText: t('folders.purge'),
      okButtonProps: { danger: true },
      onOk: () =>
        typed.current === folder.name
          ? purge.mutateAsync({ folder: folder.id }).catch(toast.failed)
          : Promise.reject(new Error('the name differs')),
    });
  };
  return (
    <>
      <IconButton
        label={t('folders.restore')}
        icon={<ArchiveRestore size={14} />}
        size="small"
        loading={restore.isPending}
        onClick={() => restore.mutate({ folder: folder.id }, { onError: toast.failed })}
      />
      <IconButton
        label={t('folders.purge')}
        icon={<Trash2 size={14} />}
        size="small"
        onClick={confirm}
      />
    </>
  );
}
