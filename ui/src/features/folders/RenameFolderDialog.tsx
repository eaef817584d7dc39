import { Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Folder } from '@/bridge';
import { useAction } from '@/bridge/query';
import { ErrorState, isFolderName } from '@/kit';

export function RenameFolderDialog({ folder, onClose }: { folder: Folder; onClose: () => void }) {
  const { t } = useTranslation();
  const rename = useAction('folder.rename');
  const [name, setName] = useState(folder.name);
  const usable = name !== folder.name && isFolderName(name);
  const submit = () => {
    if (usable) rename.mutate({ folder: folder.id, name }, { onSuccess: onClose });
  };
  return (
    <Modal
      open
      title={t('folders.rename_title', { name: folder.name })}
      width={420}
      onCancel={onClose}
      onOk={submit}
      okButtonProps={{ disabled: !usable, loading: rename.isPending }}
    >
      <Input
        autoFocus
        value={name}
        maxLength={64}
        aria-label={t('folders.column.name')}
        onChange={(event) => setName(event.target.value)}
        onPressEnter={(event) => {
          if (!event.nativeEvent.isComposing) submit();
        }}
      />
      {rename.error && <ErrorState failure={rename.error} />}
    </Modal>
  );
}
