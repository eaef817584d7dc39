import { Checkbox, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Location } from '@/bridge';
import { useAction } from '@/bridge/query';
import { useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';

interface Props {
  locations: Location[];
  name: string;
  initial: number | null;
  onClose: () => void;
  onDone: () => void;
}

const WHO = ['owner', 'group', 'others'] as const;
const WHAT = ['read', 'write', 'execute'] as const;
const USUAL = 0o644;

const octal = (mode: number) => mode.toString(8).padStart(3, '0');

/** Who may read, write and run files. */
export function ModeDialog({ locations, name, initial, onClose, onDone }: Props) {
  const { t } = useTranslation();
  const toast = useToast();
  const set = useAction('file.set_mode');
  const [text, setText] = useState(octal(initial ?? USUAL));
  const good = /^[0-7]{3,4}$/.test(text);
  const mode = good ? Number.parseInt(text, 8) : 0;
  const submit = () => {
    if (good) set.mutate({ locations, mode }, { onSuccess: onDone, onError: toast.failed });
  };
  return (
    <Modal
      open
      title={t('files.mode_title', { name })}
      width={440}
      onCancel={onClose}
      onOk={submit}
      okText={t('action.save')}
      okButtonProps={{
        disabled: !good,
        loading: set.isPending,
        'data-testid': ids.files.modeSubmit,
      }}
    >
      <div className={styles.mode}>
        <span />
        {WHAT.map((what) => (
          <span key={what} className="muted">
            {t(`files.mode_what.${what}`)}
          </span>
        ))}
        {WHO.map((who, row) => [
          <span key={who}>{t(`files.mode_who.${who}`)}</span>,
          ...WHAT.map((what, column) => {
            const bit = 1 << (8 - row * 3 - column);
            return (
              <Checkbox
                key={`${who}.${what}`}
                aria-label={`${t(`files.mode_who.${who}`)}: ${t(`files.mode_what.${what}`)}`}
                checked={(mode & bit) !== 0}
                disabled={!good}
                onChange={() => setText(octal(mode ^ bit))}
              />
            );
          }),
        ])}
        <span>{t('files.mode_number')}</span>
        <Input
          className={`mono ${styles.modeNumber}`}
          value={text}
          maxLength={4}
          status={good ? '' : 'error'}
          aria-label={t('files.mode_number')}
          onChange={(event) => setText(event.target.value)}
          onPressEnter={submit}
          data-testid={ids.files.modeNumber}
        />
      </div>
    </Modal>
  );
}
