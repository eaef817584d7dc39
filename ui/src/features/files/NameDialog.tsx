import { Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

interface Props {
  title: string;
  initial: string;
  taken: ReadonlySet<string>;
  busy: boolean;
  onSubmit: (name: string) => void;
  onCancel: () => void;
}

const NAME_MAX = 255;

/** Asks for the name of a file or directory. */
export function NameDialog({ title, initial, taken, busy, onSubmit, onCancel }: Props) {
  const { t } = useTranslation();
  const [name, setName] = useState(initial);
  const bad = name === '' || name.includes('/') || name === '.' || name === '..';
  const exists = name !== initial && taken.has(name);
  const submit = () => {
    if (!bad && !exists && name !== initial) onSubmit(name);
  };
  return (
    <Modal
      open
      title={title}
      width={420}
      onCancel={onCancel}
      onOk={submit}
      okButtonProps={{ disabled: bad || exists || name === initial, loading: busy }}
    >
      <Input
        autoFocus
        value={name}
        maxLength={NAME_MAX}
        spellCheck={false}
        status={exists ? 'error' : ''}
        aria-label={t('files.column.name')}
        onChange={(event) => setName(event.target.value)}
        onPressEnter={(event) => {
          if (!event.nativeEvent.isComposing) submit();
        }}
        data-testid="files.name"
      />
      {exists && <p className="muted">{t('files.name_taken')}</p>}
    </Modal>
  );
}
