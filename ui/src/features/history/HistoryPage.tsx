import { useNavigate, useSearch } from '@tanstack/react-router';
import { App, Button, Skeleton } from 'antd';
import { History } from 'lucide-react';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { Launch } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { DataTable, EmptyState, ErrorState, Page, SearchField, useToast } from '@/kit';
import { ids } from '@/testids';
import { historyColumns } from './columns';
import { LaunchActions } from './LaunchActions';

/** Every launch, kept to be done again. */
export function HistoryPage() {
  const { t } = useTranslation();
  const toast = useToast();
  const { modal } = App.useApp();
  const navigate = useNavigate({ from: '/history' });
  const { q } = useSearch({ from: '/history' });
  const list = useCall('history.list', {});
  const clear = useAction('history.clear');
  const launches = list.data?.launches;
  const edit = (launch: Launch) => void navigate({ to: '/launch', search: { from: launch.id } });
  const columns = useMemo(
    () => historyColumns({ t, actions: (launch) => <LaunchActions launch={launch} /> }),
    [t],
  );
  const rows = useMemo(() => {
    const wanted = q?.toLowerCase() ?? '';
    return (launches ?? []).filter((one) =>
      `${one.name} ${one.title ?? ''} ${one.request.image ?? ''}`.toLowerCase().includes(wanted),
    );
  }, [launches, q]);

  const confirmClear = () =>
    modal.confirm({
      title: t('history.clear_title'),
      content: t('history.clear_text'),
      okText: t('history.clear'),
      okButtonProps: { danger: true },
      onOk: () => clear.mutateAsync({}).catch(toast.failed),
    });

  return (
    <Page
      fill
      title={t('nav.history')}
      testId={ids.history.page}
      actions={
        launches !== undefined &&
        launches.length > 0 && <Button onClick={confirmClear}>{t('history.clear')}</Button>
      }
      toolbar={
        <SearchField
          value={q ?? ''}
          onChange={(text) => void navigate({ search: { q: text || undefined }, replace: true })}
          placeholder={t('history.search')}
        />
      }
    >
      {list.error && !list.data && (
        <ErrorState failure={list.error} onRetry={() => void list.refetch()} />
      )}
      {(list.data || list.isPending) && (
        <DataTable
          rows={rows}
          columns={columns}
          rowKey={(launch) => launch.id}
          label={t('nav.history')}
          onOpen={edit}
          rowTestId={(launch) => ids.history.row(launch.name)}
          empty={
            list.isPending ? (
              <Skeleton active title={false} style={{ padding: 20 }} />
            ) : (
              <EmptyState
                icon={History}
                title={q ? t('history.empty_search') : t('history.empty')}
                text={t('history.empty_text')}
                actions={
                  !q && (
                    <Button type="primary" onClick={() => void navigate({ to: '/launch' })}>
                      {t('action.launch')}
                    </Button>
                  )
                }
              />
            )
          }
        />
      )}
    </Page>
  );
}
