import { Alert } from 'antd';
import i18next from 'i18next';
import type { Notice } from '@/bridge';
import { Ago } from '@/kit';
import { ids } from '@/testids';
import styles from './session.module.css';

const SERIOUS = new Set(['oom-killed', 'oom_killed', 'host-restarted']);

/** The notice in the user's language; the engine's own words where the catalogue has none. */
function noticeText(notice: Notice): string {
  const key = `notice.${notice.code.replaceAll('-', '_')}`;
  return i18next.exists(key) ? String(i18next.t(key as 'notice.no_network')) : notice.message;
}

export function Notices({ notices }: { notices: readonly Notice[] }) {
  if (notices.length === 0) return null;
  return (
    <div className={styles.notices} data-testid={ids.drawer.notices}>
      {notices.map((notice) => {
        const text = noticeText(notice);
        return (
          <Alert
            key={`${notice.code}${notice.at ?? ''}${notice.message}`}
            type={SERIOUS.has(notice.code) ? 'warning' : 'info'}
            showIcon
            data-code={notice.code}
            title={
              <>
                {text}
                {notice.at && (
                  <small className="muted">
                    {' '}
                    <Ago at={notice.at} />
                  </small>
                )}
              </>
            }
            {...(text !== notice.message
              ? { description: <small className="muted">{notice.message}</small> }
              : {})}
          />
        );
      })}
    </div>
  );
}
