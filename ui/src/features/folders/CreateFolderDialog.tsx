import { Form, Input, Modal, Radio } from 'antd';
import { useTranslation } from 'react-i18next';
import { useAction } from '@/bridge/query';
import { ErrorState, isFolderName } from '@/kit';
import { ids } from '@/testids';

interface Fields {
  name: string;
  permission: 'rw' | 'ro';
}

const NAME_MAX = 64;

export function CreateFolderDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Fields>();
  const create = useAction('folder.create');
  return (
    <Modal
      open
      title={t('folders.create')}
      width={440}
      onCancel={onClose}
      okText={t('action.create')}
      onOk={form.submit}
      okButtonProps={{ loading: create.isPending, 'data-testid': ids.folders.createSubmit }}
    >
      <Form<Fields>
        form={form}
        layout="vertical"
        initialValues={{ name: '', permission: 'rw' }}
        onFinish={(fields) => create.mutate(fields, { onSuccess: onClose })}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && event.nativeEvent.isComposing) event.preventDefault();
        }}
      >
        <Form.Item<Fields>
          name="name"
          label={t('folders.column.name')}
          extra={t('folders.name_hint')}
          rules={[
            {
              validator: (_, name: string) =>
                isFolderName(name ?? '')
                  ? Promise.resolve()
                  : Promise.reject(new Error(t('folders.rule_name', { max: NAME_MAX }))),
            },
          ]}
        >
          <Input
            autoFocus
            autoComplete="off"
            spellCheck={false}
            maxLength={NAME_MAX}
            data-testid={ids.folders.createName}
          />
        </Form.Item>
        <Form.Item<Fields> name="permission" label={t('folders.column.permission')}>
          <Radio.Group
            options={(['rw', 'ro'] as const).map((value) => ({
              value,
              label: t(`folders.permission.${value}`),
            }))}
          />
        </Form.Item>
        {create.error && <ErrorState failure={create.error} />}
        <button type="submit" hidden />
      </Form>
    </Modal>
  );
}
