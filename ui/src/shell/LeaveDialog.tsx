import { Alert, Button, Modal } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type FileEdit, type LeaveChoice, onLeave } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { useToast } from '@/kit';
import { ids } from '@/testids';
import styles from './shell.module.css';

const OVER = new Set(['done', 'failed', 'cancelled']);
const SHOWN = 8;
const LOOK_MS = 1_500;

const lastName = (path: string) => path.split('/').filter(Boolean).at(-1) ?? path;

const isArriving = ({ state, failure }: FileEdit) =>
  state === 'saving' || (state === 'waiting' && failure?.retryable === true);

/** Quitting while something is under way: what it is, and what becomes of it. */
export function LeaveDialog() {
  const { t } = useTranslation();
  const toast = useToast();
  const [asked, setAsked] = useState(false);
  const leave = useAction('app.leave');
  // Reading it tells the shell that the question is before the user.
  const leaving = useCall('app.leaving', {}, { refetchInterval: asked ? LOOK_MS : false });
  const { refetch } = leaving;
  const tunnels = useCall('tunnel.list', {}).data?.tunnels ?? [];
  const transfers = useCall('transfer.list', {}).data?.transfers ?? [];
  const moving = transfers.filter(({ state }) => !OVER.has(state));
  const edits = useCall('file.edits', {}, { enabled: asked }).data?.edits ?? [];
  // What the user has to decide does not arrive by waiting.
  const arrives = moving.length > 0 || edits.some(isArriving);

  useEffect(
    () =>
      onLeave(() => {
        setAsked(true);
        void refetch();
      }),
    [refetch],
  );

  const decide = (choice: LeaveChoice) =>
    leave.mutate(
      { choice },
      {
        onSuccess: () => {
          setAsked(false);
          void refetch();
        },
        onError: toast.failed,
      },
    );
  const lines = [
    ...tunnels.map(({ id, app, session_name, local_port }) => ({
      key: id,
      text: t('leave.tunnel', { app, session: session_name, port: String(local_port) }),
    })),
    ...moving.map(({ id, src }) => ({
      key: id,
      text: t('leave.transfer', { name: lastName(src.path) }),
    })),
    ...edits.map(({ id, location, state }) => ({
      key: id,
      text: t(`leave.file.${state}`, { name: lastName(location.path) }),
    })),
  ];

  return (
    <>
      {leaving.data?.waiting && (
        <Alert
          banner
          type="info"
          showIcon
          title={t('leave.waiting')}
          data-testid={ids.leave.waiting}
          action={
            <Button size="small" onClick={() => decide('stay')} data-testid={ids.leave.stay}>
              {t('leave.stay')}
            </Button>
          }
        />
      )}
      <Modal
        open={asked}
        destroyOnHidden
        title={t('leave.title')}
        width={640}
        onCancel={() => decide('stay')}
        footer={
          <div className={styles.leaveButtons}>
            <Button danger onClick={() => decide('stop')} data-testid={ids.leave.stop}>
              {t('leave.stop')}
            </Button>
            <span className={styles.spring} />
            {arrives && (
              <Button onClick={() => decide('wait')} data-testid={ids.leave.wait}>
                {t('leave.wait')}
              </Button>
            )}
            <Button
              type="primary"
              onClick={() => decide('background')}
              data-testid={ids.leave.background}
            >
              {t('leave.background')}
            </Button>
          </div>
        }
      >
        <div data-testid={ids.leave.dialog}>
          <p>{t('leave.text')}</p>
          <ul className={styles.leaveList}>
            {lines.slice(0, SHOWN).map(({ key, text }) => (
              <li key={key} className="truncate" title={text}>
                {text}
              </li>
            ))}
          </ul>
          {edits.length > 0 && <p className="muted">{t('leave.file_later')}</p>}
          {lines.length > SHOWN && <p>{t('leave.more', { count: lines.length - SHOWN })}</p>}
        </div>
      </Modal>
    </>
  );
}
