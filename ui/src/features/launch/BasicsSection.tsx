import { Form, Input, Radio, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Image } from '@/bridge';
import { Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';
import { NAME_MAX, nameProblem } from './rules';

interface Props {
  images: readonly Image[];
  /** Names of live sessions. */
  taken: ReadonlySet<string>;
}

/** What for, what it is called, what it starts from. */
export function BasicsSection({ images, taken }: Props) {
  const { t } = useTranslation();
  return (
    <Section title={t('launch.basics')}>
      <Form.Item<Draft> name="type" label={t('launch.type')}>
        <Radio.Group data-testid={ids.launch.type}>
          <Radio value="interactive">
            {t('session_type.interactive')} <span className="muted">{t('launch.interactive')}</span>
          </Radio>
          <Radio value="batch">
            {t('session_type.batch')} <span className="muted">{t('launch.batch')}</span>
          </Radio>
        </Radio.Group>
      </Form.Item>
      <Form.Item<Draft>
        name="name"
        label={t('launch.name')}
        validateFirst
        rules={[
          {
            validator: (_, value: string) => {
              const problem = nameProblem(t, value ?? '', taken);
              return problem ? Promise.reject(new Error(problem)) : Promise.resolve();
            },
          },
        ]}
        extra={t('launch.name_hint')}
      >
        <Input
          autoComplete="off"
          spellCheck={false}
          maxLength={NAME_MAX + 16}
          placeholder={t('launch.name_made_up')}
          data-testid={ids.launch.name}
        />
      </Form.Item>
      <Form.Item<Draft>
        name="image"
        label={t('launch.image')}
        rules={[{ required: true, message: t('launch.rule.image') }]}
        extra={images.length === 0 ? t('launch.no_images') : undefined}
      >
        <Select
          showSearch={{ optionFilterProp: 'search' }}
          data-testid={ids.launch.image}
          options={images.map((image) => ({
            value: image.name,
            search: `${image.title} ${image.name}`,
            label: (
              <>
                {image.title} <span className="muted">{image.name}</span>
              </>
            ),
          }))}
        />
      </Form.Item>
    </Section>
  );
}
