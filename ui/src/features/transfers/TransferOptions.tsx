import { Select, Space } from 'antd';
import { useTranslation } from 'react-i18next';
import type { OnFinish } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { formatSpeed, MIB } from '@/format/size';
import { useToast } from '@/kit';
import { ids } from '@/testids';

const LIMITS = [1, 2, 5, 10, 20, 50, 100].map((each) => each * MIB);

/** What holds for all transfers together: a speed limit, and what happens at the end. */
export function TransferOptions() {
  const { t } = useTranslation();
  const toast = useToast();
  const options = useCall('transfer.options', {}).data;
  const set = useAction('transfer.set_options');
  if (!options) return null;
  const limit = options.limit_bps ?? 0;
  // One that was chosen in a terminal is offered as well.
  const limits = [...new Set([...LIMITS, limit])].filter((each) => each > 0).sort((a, b) => a - b);
  const change = (changed: { limit_bps?: number | null; on_finish?: OnFinish }) =>
    set.mutate({ ...options, ...changed }, { onError: toast.failed });
  return (
    <Space wrap>
      <Select<number>
        aria-label={t('transfers.limit')}
        value={limit}
        loading={set.isPending}
        onChange={(value) => change({ limit_bps: value === 0 ? null : value })}
        options={[
          { value: 0, label: t('transfers.limit_none') },
          ...limits.map((value) => ({
            value,
            label: t('transfers.limit_of', { speed: formatSpeed(value) }),
          })),
        ]}
        popupMatchSelectWidth={false}
        data-testid={ids.transfers.limit}
      />
      <Select<OnFinish>
        aria-label={t('transfers.on_finish.label')}
        value={options.on_finish ?? 'nothing'}
        onChange={(value) => change({ on_finish: value })}
        options={(['nothing', 'quit'] as const).map((value) => ({
          value,
          label: `${t('transfers.on_finish.label')}: ${t(`transfers.on_finish.${value}`)}`,
        }))}
        popupMatchSelectWidth={false}
        data-testid={ids.transfers.onFinish}
      />
    </Space>
  );
}
