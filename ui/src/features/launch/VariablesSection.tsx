import { Button, Form, Input } from 'antd';
import { Plus, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { IconButton, Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';
import styles from './launch.module.css';
import { variableProblem } from './rules';

/** Environment variables, row by row. */
export function VariablesSection({ draft }: { draft: Draft }) {
  const { t } = useTranslation();
  return (
    <Section title={t('launch.variables')}>
      <Form.List name="environ">
        {(rows, { add, remove }) => (
          <>
            {rows.map((row) => (
              <div key={row.key} className={styles.variable}>
                <Form.Item
                  name={[row.name, 'name']}
                  rules={[
                    {
                      validator: (_, value: string) => {
                        const problem = variableProblem(t, value ?? '', row.name, draft);
                        return problem ? Promise.reject(new Error(problem)) : Promise.resolve();
                      },
                    },
                  ]}
                >
                  <Input
                    className="mono"
                    spellCheck={false}
                    autoComplete="off"
                    placeholder={t('launch.variable_name')}
                    aria-label={t('launch.variable_name')}
                    data-testid={`launch.variable-name.${row.name}`}
                  />
                </Form.Item>
                <Form.Item name={[row.name, 'value']}>
                  <Input
                    className="mono"
                    spellCheck={false}
                    autoComplete="off"
                    placeholder={t('launch.variable_value')}
                    aria-label={t('launch.variable_value')}
                    data-testid={`launch.variable-value.${row.name}`}
                  />
                </Form.Item>
                <IconButton
                  label={t('action.remove')}
                  icon={<X size={14} />}
                  size="small"
                  onClick={() => remove(row.name)}
                />
              </div>
            ))}
            <Button
              icon={<Plus size={14} />}
              onClick={() => add({ name: '', value: '' })}
              data-testid={ids.launch.variableAdd}
            >
              {t('launch.variable_add')}
            </Button>
          </>
        )}
      </Form.List>
    </Section>
  );
}
