import { Form, InputNumber, Slider } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { formatNumber } from '@/format/number';
import type { Bounds, Draft } from './draft';
import styles from './launch.module.css';

interface Props {
  name: 'cpu' | 'mem' | 'shmem' | 'gpu';
  label: string;
  unit: string;
  bounds: Bounds;
  onEdit: () => void;
  extra: ReactNode;
  testId: string;
  /** May be left to the manager. */
  optional?: boolean;
}

/** An amount by slider or by number, with its limits checked as it is typed. */
export function AmountField(props: Props) {
  const { name, label, bounds, extra, optional = false } = props;
  const { t } = useTranslation();
  const { min, max } = bounds;
  return (
    <Form.Item<Draft>
      name={name}
      label={label}
      extra={extra}
      rules={[
        ...(optional ? [] : [{ required: true, message: t('launch.rule.amount') }]),
        {
          validator: (_, value: number | null) => {
            if (value === null || value === undefined) return Promise.resolve();
            if (value < min) {
              return Promise.reject(
                new Error(t('launch.rule.least', { amount: formatNumber(min, 3) })),
              );
            }
            if (value > max) {
              return Promise.reject(
                new Error(t('launch.rule.most', { amount: formatNumber(max, 2) })),
              );
            }
            return Promise.resolve();
          },
        },
      ]}
    >
      <Amount {...props} />
    </Form.Item>
  );
}

interface AmountProps extends Props {
  id?: string;
  value?: number | null;
  onChange?: (value: number | null) => void;
}

function Amount({
  id,
  value,
  onChange,
  onEdit,
  bounds,
  unit,
  label,
  testId,
  optional,
}: AmountProps) {
  const { t } = useTranslation();
  const { min, max, step } = bounds;
  const change = (next: number | null) => {
    onEdit();
    onChange?.(next);
  };
  return (
    <div className={styles.amount}>
      <Slider
        min={min}
        max={max}
        step={step}
        value={value ?? min}
        onChange={change}
        ariaLabelForHandle={label}
        tooltip={{ formatter: null }}
        tabIndex={-1}
      />
      {/* No min and max here: the field would change what was typed instead of saying why not. */}
      <InputNumber
        id={id}
        step={step}
        value={value}
        onChange={change}
        formatter={(shown, { userTyping, input }) =>
          userTyping || String(shown ?? '') === '' ? input : String(Number(shown))
        }
        suffix={unit}
        placeholder={optional ? t('launch.automatic') : undefined}
        data-testid={testId}
        style={{ width: 132 }}
      />
    </div>
  );
}
