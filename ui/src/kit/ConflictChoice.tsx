import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Transfer } from '@/bridge';
import { useAction } from '@/bridge/query';
import { ids } from '@/testids';
import styles from './transfer.module.css';
import { useToast } from './useToast';

const CHOICES = ['always', 'newer', 'never'] as const;

/** A file is in the way: what to do with it. */
export function ConflictChoice({ transfer }: { transfer: Transfer }) {
  const { t } = useTranslation();
  const toast = useToast();
  const resolve = useAction('transfer.resolve');
  return (
    <div className={styles.conflict} role="alert">
      <span>{t('transfers.conflict')}</span>
      {CHOICES.map((overwrite) => (
        <Button
          key={overwrite}
          size="small"
          disabled={resolve.isPending}
          onClick={() => resolve.mutate({ id: transfer.id, overwrite }, { onError: toast.failed })}
          data-testid={ids.transfers.action(overwrite, transfer.id)}
        >
          {t(`transfers.overwrite.${overwrite}`)}
        </Button>
      ))}
    </div>
  );
}
