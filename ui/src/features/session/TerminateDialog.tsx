import { App, Checkbox, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { FailureBody, Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';
import { UnsavedFiles } from './UnsavedFiles';

interface Props {
  sessions: readonly Session[];
  onClose: (done: boolean) => void;
}

/** Ends sessions, after saying what each would take with it. */
export function TerminateDialog({ sessions, onClose }: Props) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const terminate = useAction('session.terminate');
  const [forced, setForced] = useState(false);
  const [failure, setFailure] = useState<FailureBody | null>(null);
  const [busy, setBusy] = useState(false);
  const [only] = sessions;

  const confirm = async () => {
    setBusy(true);
    setFailure(null);
    const ends = await Promise.allSettled(
      sessions.map((session) => terminate.mutateAsync({ session: session.id, forced })),
    );
    setBusy(false);
    const refused = ends.find((end) => end.status === 'rejected');
    if (refused) {
      setFailure(refused.reason as FailureBody);
      return;
    }
    void message.success(t('terminate.done', { count: sessions.length }));
    onClose(true);
  };

  return (
    <Modal
      open
      width={560}
      title={
        sessions.length === 1
          ? t('terminate.title_named', { name: only?.name ?? '' })
          : t('terminate.title', { count: sessions.length })
      }
      onCancel={() => onClose(false)}
      okText={t('terminate.confirm', { count: sessions.length })}
      okButtonProps={{
        danger: true,
        loading: busy,
        'data-testid': ids.terminate.confirm,
      }}
      onOk={() => void confirm()}
    >
      <div className={styles.terminate} data-testid={ids.terminate.dialog}>
        <p>{t('terminate.text')}</p>
        {sessions.map((session) => (
          <UnsavedFiles key={session.id} session={session} named={sessions.length > 1} />
        ))}
        <Checkbox
          checked={forced}
          onChange={(event) => setForced(event.target.checked)}
          data-testid={ids.terminate.forced}
        >
          {t('terminate.forced')}
        </Checkbox>
        {forced && <p className="muted">{t('terminate.forced_text')}</p>}
        {failure && <ErrorState failure={failure} />}
      </div>
    </Modal>
  );
}
