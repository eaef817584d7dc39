import { Checkbox, Form } from 'antd';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';

/** Python environments that the session may read. Ticking one is the user's consent. */
export function EnvironmentsSection({ chosen }: { chosen: readonly string[] }) {
  const { t } = useTranslation();
  const found = useCall('environment.list', {}).data?.environments ?? [];
  // Of an earlier launch, and no longer found: it can still be taken out.
  const gone = chosen.filter((path) => !found.some((one) => one.path === path));
  if (found.length + gone.length === 0) return null;
  return (
    <Section title={t('launch.environments')} text={t('launch.environments_text')}>
      <Form.Item<Draft> name="environments">
        <Checkbox.Group
          style={{ flexDirection: 'column' }}
          options={[
            ...found.map(({ path, kind, python }) => ({
              value: path,
              label: (
                <span data-testid={ids.launch.environment(path)}>
                  <code>{path}</code>{' '}
                  <span className="muted">
                    {t(`launch.environment_kind.${kind}`)}
                    {python && ` · Python ${python}`}
                  </span>
                </span>
              ),
            })),
            ...gone.map((path) => ({ value: path, label: <code>{path}</code> })),
          ]}
        />
      </Form.Item>
    </Section>
  );
}
