import { Modal } from 'antd';
import { useTranslation } from 'react-i18next';
import { ids } from '@/testids';
import styles from './shell.module.css';
import { modifierName, SHORTCUTS } from './shortcuts';

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal open title={t('shortcuts.title')} onCancel={onClose} footer={null} width={460}>
      <dl className={styles.shortcuts} data-testid={ids.shortcuts.dialog}>
        {SHORTCUTS.map(({ key, keys }) => (
          <div key={key}>
            <dt>{t(`shortcuts.${key}`)}</dt>
            <dd>
              {keys.map((name) => (
                <kbd key={name}>{name === 'mod' ? modifierName().trim() : name}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
