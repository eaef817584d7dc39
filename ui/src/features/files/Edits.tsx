import { Button } from 'antd';
import { FilePen, X } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { FileEdit } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { failureText } from '@/i18n/failure';
import { Ago, IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';
import { baseName } from './paths';

/** Files that are open in the user's own editor; what is saved there is put back. */
export function Edits() {
  const edits = useCall('file.edits', {}).data?.edits ?? [];
  return edits.map((edit) => <Edit key={edit.id} edit={edit} />);
}

function Edit({ edit }: { edit: FileEdit }) {
  const { t } = useTranslation();
  const toast = useToast();
  const again = useAction('file.edit');
  const resolve = useAction('file.edit_resolve');
  const close = useAction('file.edit_close');
  const failed = { onError: toast.failed };
  const name = baseName(edit.location.path);
  return (
    <article
      className={styles.editing}
      data-testid={ids.files.editing(name)}
      data-state={edit.state}
    >
      <FilePen size={14} aria-hidden />
      <strong className="truncate" title={edit.location.path}>
        {name}
      </strong>
      <span className="muted truncate">
        {edit.state === 'same' && !edit.saved_at && t('files.editing.open')}
        {edit.state === 'same' && edit.saved_at && (
          <>
            {t('files.editing.saved')} <Ago at={edit.saved_at} />
          </>
        )}
        {edit.state === 'saving' && t('files.editing.saving')}
        {edit.state === 'conflict' && t('files.editing.conflict')}
        {edit.state === 'waiting' &&
          edit.failure &&
          t('files.editing.waiting', { reason: failureText(edit.failure) })}
        {edit.state === 'failed' && edit.failure && failureText(edit.failure)}
      </span>
      <span className={styles.spring} />
      {edit.state === 'conflict' &&
        (['mine', 'theirs'] as const).map((keep) => (
          <Button
            key={keep}
            size="small"
            loading={resolve.isPending}
            onClick={() => resolve.mutate({ id: edit.id, keep }, failed)}
            data-testid={ids.files.keep(keep, name)}
          >
            {t(`files.editing.keep_${keep}`)}
          </Button>
        ))}
      <Button
        size="small"
        loading={again.isPending}
        onClick={() => again.mutate({ location: edit.location }, failed)}
      >
        {t('files.editing.again')}
      </Button>
      <IconButton
        label={t('files.editing.close')}
        icon={<X size={14} />}
        size="small"
        onClick={() => close.mutate({ id: edit.id }, failed)}
        testId={ids.files.editClose(name)}
      />
    </article>
  );
}
