import { Form, type FormInstance, Input, Select, Switch } from 'antd';
import { Folder as FolderIcon, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { Folder } from '@/bridge';
import { IconButton, Section } from '@/kit';
import { ids } from '@/testids';
import type { Draft } from './draft';
import styles from './launch.module.css';
import { mountPathProblem, mountTarget } from './rules';

interface Props {
  form: FormInstance<Draft>;
  draft: Draft;
  folders: readonly Folder[];
}

const isAutomatic = (folder: Folder) => folder.name.startsWith('.');

/** Which data folders appear in the session, and where. */
export function FoldersSection({ form, draft, folders }: Props) {
  const { t } = useTranslation();
  const mounted = new Set(draft.mounts.map(({ folder }) => folder));
  const choices = folders.filter((one) => !isAutomatic(one) && !mounted.has(one.name));
  const automatic = folders.filter(isAutomatic);
  return (
    <Section
      title={t('launch.folders')}
      text={
        automatic.length > 0
          ? t('launch.folders_automatic', { names: automatic.map(({ name }) => name).join(', ') })
          : t('launch.folders_text')
      }
    >
      <Form.List name="mounts">
        {(rows, { add, remove }) => (
          <>
            {rows.map((row) => {
              const folder = draft.mounts[row.name]?.folder ?? '';
              const only = folders.find(({ name }) => name === folder)?.permission === 'ro';
              return (
                <div key={row.key} className={styles.mount} data-testid={ids.launch.folder(folder)}>
                  <span className="truncate">
                    <FolderIcon size={15} aria-hidden /> {folder}
                  </span>
                  <Form.Item
                    name={[row.name, 'path']}
                    rules={[
                      {
                        validator: (_, value: string) => {
                          const problem = mountPathProblem(t, value ?? '', row.name, {
                            ...draft,
                            mounts: form.getFieldValue('mounts'),
                          });
                          return problem ? Promise.reject(new Error(problem)) : Promise.resolve();
                        },
                      },
                    ]}
                  >
                    <Input
                      className="mono"
                      spellCheck={false}
                      placeholder={mountTarget(folder, '')}
                      aria-label={t('launch.path')}
                    />
                  </Form.Item>
                  <span className={styles.switch}>
                    <Form.Item name={[row.name, 'read_only']} valuePropName="checked" noStyle>
                      <Switch size="small" disabled={only} aria-label={t('launch.read_only')} />
                    </Form.Item>
                    {t('launch.read_only')}
                  </span>
                  <IconButton
                    label={t('action.remove')}
                    icon={<X size={14} />}
                    size="small"
                    onClick={() => remove(row.name)}
                  />
                </div>
              );
            })}
            {choices.length > 0 ? (
              <Select
                showSearch
                value={null}
                placeholder={t('launch.folder_add')}
                aria-label={t('launch.folder_add')}
                style={{ width: 260 }}
                options={choices.map(({ name }) => ({ value: name, label: name }))}
                onChange={(name: string) => {
                  const only = folders.find((one) => one.name === name)?.permission === 'ro';
                  add({ folder: name, path: '', read_only: only });
                }}
                data-testid={ids.launch.folderAdd}
              />
            ) : (
              folders.length === 0 && <p className="muted">{t('launch.no_folders')}</p>
            )}
          </>
        )}
      </Form.List>
    </Section>
  );
}
