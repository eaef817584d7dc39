import type { UseQueryResult } from '@tanstack/react-query';
import { Form, type FormInstance, Select } from 'antd';
import i18next from 'i18next';
import { useTranslation } from 'react-i18next';
import type { Failure, Image, Limits } from '@/bridge';
import { formatNumber } from '@/format/number';
import { formatSize, GIB } from '@/format/size';
import { ErrorState, Section } from '@/kit';
import { ids } from '@/testids';
import { AmountField } from './AmountField';
import { boundsOf, type Draft, presetAmounts } from './draft';
import styles from './launch.module.css';

interface Props {
  form: FormInstance<Draft>;
  draft: Draft;
  image: Image | undefined;
  limits: UseQueryResult<Limits, Failure>;
}

/** How much of the machine, between what the image needs and what the account may have. */
export function ResourcesSection({ form, draft, image, limits }: Props) {
  const { t } = useTranslation();
  const { presets = [], resource_groups: groups = [] } = limits.data ?? {};
  const cpu = boundsOf('cpu', limits.data, image);
  const mem = boundsOf('mem', limits.data, image);
  const gpu = boundsOf('gpu', limits.data, image);
  const own = () => form.setFieldValue('preset', undefined);

  const choose = (name: string | undefined) => {
    const preset = presets.find((one) => one.name === name);
    if (preset) form.setFieldsValue(presetAmounts(preset));
  };

  return (
    <Section title={t('launch.resources')}>
      {limits.error && <ErrorState failure={limits.error} onRetry={() => void limits.refetch()} />}
      <div className={styles.pair}>
        {groups.length > 1 && (
          <Form.Item<Draft> name="resource_group" label={t('launch.resource_group')}>
            <Select
              allowClear
              placeholder={t('launch.resource_group_default')}
              options={groups.map((value) => ({ value, label: value }))}
              data-testid={ids.launch.resourceGroup}
            />
          </Form.Item>
        )}
        {presets.length > 0 && (
          <Form.Item<Draft> name="preset" label={t('launch.preset')}>
            <Select
              allowClear
              placeholder={t('launch.preset_own')}
              onChange={choose}
              options={presets.map((preset) => ({
                value: preset.name,
                disabled: !preset.allocatable,
                label: presetLabel(preset),
              }))}
              data-testid={ids.launch.preset}
            />
          </Form.Item>
        )}
      </div>
      <AmountField
        name="cpu"
        label={t('slot.cpu')}
        unit={t('launch.cores')}
        bounds={cpu}
        onEdit={own}
        testId={ids.launch.cpu}
        extra={hint(formatNumber(cpu.free, 2), draft.cpu > cpu.free)}
      />
      <AmountField
        name="mem"
        label={t('slot.mem')}
        unit="GiB"
        bounds={mem}
        onEdit={own}
        testId={ids.launch.mem}
        extra={hint(formatSize(mem.free * GIB), draft.mem > mem.free)}
      />
      <AmountField
        name="shmem"
        label={t('launch.shmem')}
        unit="GiB"
        bounds={{ min: 0, max: draft.mem, free: draft.mem, step: 0.0625 }}
        onEdit={own}
        optional
        testId={ids.launch.shmem}
        extra={t('launch.shmem_hint')}
      />
      {gpu.max > 0 && (
        <AmountField
          name="gpu"
          label={t('launch.gpu')}
          unit={t('launch.devices')}
          bounds={gpu}
          onEdit={own}
          testId="launch.gpu"
          extra={hint(formatNumber(gpu.free, 2), draft.gpu > gpu.free)}
        />
      )}
    </Section>
  );
}

const hint = (free: string, over: boolean) =>
  over ? i18next.t('launch.waits', { free }) : i18next.t('launch.free', { free });

function presetLabel(preset: Limits['presets'][number]): string {
  const { cpu, mem } = presetAmounts(preset);
  return `${preset.name} · ${formatNumber(cpu, 2)} CPU · ${formatSize(mem * GIB)}`;
}
