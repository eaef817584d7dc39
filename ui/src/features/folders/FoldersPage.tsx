import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Segmented, Skeleton } from 'antd';
import { Folder as FolderIcon, FolderPlus, Trash2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Folder } from '@/bridge';
import { useCall } from '@/bridge/query';
import { DataTable, EmptyState, ErrorState, Page, SearchField, type Sort, sortRows } from '@/kit';
import { ids } from '@/testids';
import { CreateFolderDialog } from './CreateFolderDialog';
import { folderColumns } from './columns';
import { FolderActions } from './FolderActions';
import { FolderBrowser } from './FolderBrowser';

/** Data folders: make, browse, move files in and out, trash. */
export function FoldersPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: '/folders' });
  const search = useSearch({ from: '/folders' });
  const trash = search.trash ?? false;
  const list = useCall('folder.list', { trash });
  const [sort, setSort] = useState<Sort | null>(null);
  const [creating, setCreating] = useState(false);
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (now) => ({ ...now, ...change }), replace: true });
  const open = (folder: Folder) => void navigate({ search: { open: folder.name } });

  const columns = useMemo(
    () =>
      folderColumns({
        t,
        onOpen: trash ? null : (folder) => void navigate({ search: { open: folder.name } }),
        actions: (folder) => <FolderActions folder={folder} trash={trash} />,
      }),
    [t, trash, navigate],
  );
  const folders = list.data?.folders;
  const rows = useMemo(() => {
    const wanted = search.q?.toLowerCase() ?? '';
    const found = (folders ?? []).filter(({ name }) => name.toLowerCase().includes(wanted));
    return sortRows(found, columns, sort);
  }, [folders, search.q, columns, sort]);

  if (search.open !== undefined) {
    const folder = folders?.find(({ name, id }) => name === search.open || id === search.open);
    return (
      <FolderBrowser
        key={search.open}
        name={search.open}
        folder={folder}
        onBack={() => set({ open: undefined })}
      />
    );
  }

  return (
    <Page
      fill
      title={t('nav.folders')}
      testId={ids.folders.page}
      actions={
        <Button
          type="primary"
          icon={<FolderPlus size={15} />}
          onClick={() => setCreating(true)}
          data-testid={ids.folders.create}
        >
          {t('folders.create')}
        </Button>
      }
      toolbar={
        <>
          <Segmented
            value={trash ? 'trash' : 'live'}
            onChange={(value) => set({ trash: value === 'trash' ? true : undefined })}
            options={[
              { value: 'live', label: t('folders.live') },
              { value: 'trash', label: t('folders.trash') },
            ]}
            data-testid={ids.folders.show}
          />
          <SearchField
            value={search.q ?? ''}
            onChange={(q) => set({ q: q || undefined })}
            placeholder={t('folders.search')}
          />
        </>
      }
    >
      {list.error && !list.data && (
        <ErrorState failure={list.error} onRetry={() => void list.refetch()} />
      )}
      {(list.data || list.isPending) && (
        <DataTable
          rows={rows}
          columns={columns}
          rowKey={(folder) => folder.id}
          label={t('nav.folders')}
          sort={sort}
          onSort={setSort}
          {...(trash ? {} : { onOpen: open })}
          rowTestId={(folder) => ids.folders.row(folder.name)}
          testId={ids.folders.table}
          empty={
            list.isPending ? (
              <Skeleton active title={false} style={{ padding: 20 }} />
            ) : trash ? (
              <EmptyState icon={Trash2} title={t('folders.empty_trash')} />
            ) : (
              <EmptyState
                icon={FolderIcon}
                title={search.q ? t('folders.empty_search') : t('folders.empty')}
                text={t('folders.empty_text')}
                actions={
                  !search.q && (
                    <Button type="primary" onClick={() => setCreating(true)}>
                      {t('folders.create')}
                    </Button>
                  )
                }
              />
            )
          }
        />
      )}
      {creating && <CreateFolderDialog onClose={() => setCreating(false)} />}
    </Page>
  );
}
