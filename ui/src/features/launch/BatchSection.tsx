import { Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';
import { timeoutProblem } from './rules';

/** The command of a batch session. */
export function BatchSection() {
  const { t } = useTranslation();
  return (
    <Section title={t('launch.job')} text={t('launch.job_text')}>
      <Form.Item<Draft>
        name="command"
        label={t('launch.command')}
        rules={[{ required: true, whitespace: true, message: t('launch.rule.command') }]}
      >
        <Input.TextArea
          className="mono"
          autoSize={{ minRows: 2, maxRows: 10 }}
          spellCheck={false}
          placeholder="python3 train.py --epochs 10"
          data-testid={ids.launch.command}
        />
      </Form.Item>
      <Form.Item<Draft>
        name="timeout"
        label={t('launch.timeout')}
        extra={t('launch.timeout_hint')}
        rules={[
          {
            validator: (_, value: string) => {
              const problem = timeoutProblem(t, value ?? '');
              return problem ? Promise.reject(new Error(problem)) : Promise.resolve();
            },
          },
        ]}
      >
        <Input placeholder="30m" style={{ width: 140 }} data-testid={ids.launch.timeout} />
      </Form.Item>
    </Section>
  );
}
