import { Alert, Button, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session, Unsaved } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { formatSize } from '@/format/size';
import { ErrorState, useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

const SHOWN = 5;
const NOTHING: Unsaved = { files: 0, bytes: 0, truncated: false, largest: [] };

interface Props {
  session: Session;
  /** Says of which session it speaks. */
  named: boolean;
}

/** What would be lost with a session, and a way to keep it. */
export function UnsavedFiles({ session, named }: Props) {
  const { t } = useTranslation();
  // A session that does not run yet has written nothing.
  const asks = session.actions.save.allowed;
  const query = useCall(
    'session.unsaved',
    { session: session.id },
    { staleTime: 0, enabled: asks },
  );
  const unsaved = asks ? query.data : NOTHING;
  if (asks && query.isPending) return <Skeleton active paragraph={{ rows: 1 }} title={false} />;
  // The dialog says that files outside folders are lost; this manager can't tell which they are.
  if (query.error?.code === 'unsupported') return null;
  if (!unsaved) {
    return (
      <Alert
        type="warning"
        showIcon
        title={named ? session.name : t('terminate.unknown')}
        description={named ? t('terminate.unknown') : query.error?.message}
      />
    );
  }
  if (unsaved.files === 0) {
    return (
      <Alert
        type="info"
        showIcon
        data-testid={ids.terminate.unsaved}
        title={named ? session.name : t('terminate.nothing')}
        {...(named ? { description: t('terminate.nothing') } : {})}
      />
    );
  }
  const size = formatSize(unsaved.bytes);
  return (
    <Alert
      type="warning"
      showIcon
      data-testid={ids.terminate.unsaved}
      data-files={unsaved.files}
      title={
        (named ? `${session.name}: ` : '') +
        (unsaved.truncated
          ? t('terminate.lost_at_least', { count: unsaved.files, size })
          : t('terminate.lost', { count: unsaved.files, size }))
      }
      description={
        <>
          <ul className={styles.lost}>
            {unsaved.largest.slice(0, SHOWN).map((file) => (
              <li key={file.path}>
                <code className="truncate" title={file.path}>
                  {file.path}
                </code>
                <span className="muted">{formatSize(file.size)}</span>
              </li>
            ))}
          </ul>
          {session.actions.save.allowed && <SaveFirst session={session} />}
        </>
      }
    />
  );
}

/** Copies the files to a data folder before the session ends. */
function SaveFirst({ session }: { session: Session }) {
  const { t } = useTranslation();
  const folders = useCall('folder.list', {}).data?.folders ?? [];
  const writable = folders.filter((folder) => folder.permission !== 'ro');
  const save = useAction('session.save');
  const create = useAction('folder.create');
  const toast = useToast();
  const [chosen, setChosen] = useState<string>();
  const folder = chosen ?? writable[0]?.name;
  if (writable.length === 0) {
    return (
      <div className={styles.save}>
        <p className="muted">{t('terminate.no_folder')}</p>
        <Button
          loading={create.isPending}
          onClick={() => create.mutate({ name: session.name }, { onError: toast.failed })}
        >
          {t('terminate.make_folder', { name: session.name })}
        </Button>
      </div>
    );
  }
  if (save.data) {
    return (
      <p>
        {t('terminate.saved', {
          count: save.data.files,
          size: formatSize(save.data.bytes),
          folder: folder ?? '',
        })}
      </p>
    );
  }
  return (
    <>
      <div className={styles.save}>
        <Select
          value={folder}
          onChange={setChosen}
          options={writable.map(({ name }) => ({ value: name, label: name }))}
          aria-label={t('terminate.folder')}
          data-testid={ids.terminate.saveFolder}
        />
        <Button
          loading={save.isPending}
          onClick={() => folder && save.mutate({ session: session.id, folder })}
          data-testid={ids.terminate.save}
        >
          {t('terminate.save')}
        </Button>
      </div>
      {save.error && <ErrorState failure={save.error} />}
    </>
  );
}
