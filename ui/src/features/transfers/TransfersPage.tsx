import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Segmented, Skeleton } from 'antd';
import { ArrowLeftRight } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Transfer } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { formatNumber } from '@/format/number';
import { EmptyState, ErrorState, Page, useToast } from '@/kit';
import { ids } from '@/testids';
import { TransferOptions } from './TransferOptions';
import { TransferTable } from './TransferTable';

const OVER = new Set<Transfer['state']>(['done', 'cancelled']);
const MOVING = new Set<Transfer['state']>(['queued', 'running', 'waiting']);

/** Everything that moves or has moved between this computer, sessions and folders. */
export function TransfersPage() {
  const { t } = useTranslation();
  const toast = useToast();
  const navigate = useNavigate({ from: '/transfers' });
  const { show = 'active' } = useSearch({ from: '/transfers' });
  const list = useCall(
    'transfer.list',
    {},
    {
      refetchInterval: ({ state }) =>
        state.data?.transfers.some((one) => MOVING.has(one.state)) ? 700 : 10_000,
    },
  );
  const clear = useAction('transfer.clear');
  const all = list.data?.transfers ?? [];
  const active = all.filter((transfer) => !OVER.has(transfer.state));
  const done = all.filter((transfer) => OVER.has(transfer.state));
  const rows = show === 'active' ? active : done;

  return (
    <Page
      fill
      title={t('nav.transfers')}
      testId={ids.transfers.page}
      actions={
        done.length > 0 && (
          <Button
            onClick={() => clear.mutate({}, { onError: toast.failed })}
            loading={clear.isPending}
            data-testid={ids.transfers.clear}
          >
            {t('transfers.clear')}
          </Button>
        )
      }
      toolbar={
        <>
          <Segmented
            value={show}
            onChange={(value) => void navigate({ search: { show: value }, replace: true })}
            options={[
              {
                value: 'active' as const,
                label: `${t('transfers.active')} ${formatNumber(active.length)}`,
              },
              {
                value: 'done' as const,
                label: `${t('transfers.over')} ${formatNumber(done.length)}`,
              },
            ]}
          />
          <TransferOptions />
        </>
      }
    >
      {list.error && !list.data && (
        <ErrorState failure={list.error} onRetry={() => void list.refetch()} />
      )}
      {list.isPending && <Skeleton active />}
      {list.data && rows.length === 0 && (
        <EmptyState
          icon={ArrowLeftRight}
          title={show === 'active' ? t('transfers.empty') : t('transfers.empty_done')}
          text={t('transfers.empty_text')}
        />
      )}
      {rows.length > 0 && <TransferTable transfers={rows} sortable={show === 'active'} />}
    </Page>
  );
}
