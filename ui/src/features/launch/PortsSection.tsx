import { Form, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Image } from '@/bridge';
import { Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';
import { portsProblem } from './rules';

/** Ports of the user's own servers, made reachable from the start. */
export function PortsSection({ image }: { image: Image | undefined }) {
  const { t } = useTranslation();
  return (
    <Section title={t('launch.ports')}>
      <Form.Item<Draft>
        name="preopen_ports"
        extra={t('launch.ports_hint')}
        rules={[
          {
            validator: (_, value: string[]) => {
              const problem = portsProblem(t, value ?? [], image);
              return problem ? Promise.reject(new Error(problem)) : Promise.resolve();
            },
          },
        ]}
      >
        <Select
          mode="tags"
          open={false}
          suffixIcon={null}
          tokenSeparators={[',', ' ']}
          placeholder="8000, 9000:9003"
          aria-label={t('launch.ports')}
          data-testid={ids.launch.ports}
        />
      </Form.Item>
    </Section>
  );
}
