import { Button, Modal, Skeleton } from 'antd';
import { FilePen, FileQuestion, Folder } from 'lucide-react';
import { useTranslation } from 'react-i18next';
import type { FileEntry, Location } from '@/bridge';
import { useCall } from '@/bridge/query';
import { formatDateTime } from '@/format/date';
import { formatSize } from '@/format/size';
import { EmptyState, ErrorState } from '@/kit';
import { ids } from '@/testids';
import styles from './files.module.css';

interface Props {
  location: Location;
  entry: FileEntry;
  onEdit: () => void;
  onClose: () => void;
}

/** What is in a file, without opening a program: text and pictures. */
export function QuickLook({ location, entry, onEdit, onClose }: Props) {
  const { t } = useTranslation();
  const query = useCall('file.view', { location });
  const view = query.data;
  const facts = [
    entry.kind === 'directory'
      ? t('files.kind.directory')
      : formatSize(view?.entry.size ?? entry.size),
    entry.modified && formatDateTime(entry.modified),
    entry.mode?.toString(8).padStart(3, '0'),
    entry.target && `→ ${entry.target}`,
  ].filter(Boolean);
  return (
    <Modal
      open
      title={entry.name}
      width="min(920px, 86vw)"
      onCancel={onClose}
      footer={
        <div className={styles.lookFoot}>
          <span className="muted truncate">{facts.join(' · ')}</span>
          {entry.kind !== 'directory' && (
            <Button icon={<FilePen size={14} />} onClick={onEdit}>
              {t('files.verb.edit')}
            </Button>
          )}
          <Button onClick={onClose}>{t('action.close')}</Button>
        </div>
      }
    >
      <div className={styles.look} data-testid={ids.files.look} data-kind={view?.kind}>
        {query.isPending && <Skeleton active />}
        {query.error && <ErrorState failure={query.error} onRetry={() => void query.refetch()} />}
        {view?.kind === 'text' && (
          <>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled text has to be reached by keyboard */}
            <pre className={styles.lookText} tabIndex={0}>
              {view.text}
            </pre>
            {view.cut && <p className="muted">{t('files.look_cut')}</p>}
          </>
        )}
        {view?.kind === 'picture' && view.picture && (
          <img src={view.picture} alt={entry.name} className={styles.lookPicture} />
        )}
        {view?.kind === 'binary' && (
          <EmptyState icon={FileQuestion} title={t('files.look_binary')} />
        )}
        {view?.kind === 'directory' && (
          <EmptyState icon={Folder} title={t('files.kind.directory')} />
        )}
      </div>
    </Modal>
  );
}
