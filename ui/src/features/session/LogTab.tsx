import { useVirtualizer } from '@tanstack/react-virtual';
import { App, Checkbox, Skeleton } from 'antd';
import { Download, FileText, RefreshCw } from 'lucide-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { inWindow, type Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { EmptyState, ErrorState, IconButton, SearchField, useSettled, useToast } from '@/kit';
import { ids } from '@/testids';
import { Highlighted } from './Highlighted';
import { saveText, stripColours } from './logText';
import styles from './session.module.css';
import { useLog } from './useLog';

const LINE = 18;
const SEARCH_DELAY_MS = 150;

/** The log of the session's main process: follow, search, download; the whole of it. */
export function LogTab({ session }: { session: Session }) {
  const { t } = useTranslation();
  const [follow, setFollow] = useState(true);
  const [query, setQuery] = useState('');
  const wanted = useSettled(query.toLowerCase(), SEARCH_DELAY_MS);
  const log = useLog(session, follow);
  const { message } = App.useApp();
  const toast = useToast();
  const saving = useAction('session.save_log');
  const scroller = useRef<HTMLDivElement>(null);

  const lines = useMemo(() => stripColours(log.text).split('\n'), [log.text]);
  const shown = useMemo(
    () => (wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)) : lines),
    [lines, wanted],
  );
  const save = () => {
    // A browser saves what the page gives it; the window's web view can't.
    if (!inWindow()) return saveText(`${session.name}.log`, log.text);
    saving.mutate(
      { session: session.id },
      {
        onSuccess: ({ path }) => {
          if (path) message.success(t('log.saved', { path }));
        },
        onError: toast.failed,
      },
    );
  };
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE,
    overscan: 20,
  });

  useEffect(() => {
    if (follow && shown.length > 0) virtual.scrollToIndex(shown.length - 1, { align: 'end' });
  }, [follow, shown.length, virtual]);

  if (log.failure && !log.text) {
    return <ErrorState failure={log.failure} onRetry={log.reload} />;
  }
  return (
    <div className={styles.log}>
      <div className={styles.logBar}>
        <SearchField
          value={query}
          onChange={setQuery}
          placeholder={t('log.search')}
          testId={ids.drawer.logSearch}
          width={220}
        />
        {wanted && <span className="muted">{t('log.found', { count: shown.length })}</span>}
        <span className={styles.spring} />
        <Checkbox
          checked={follow}
          onChange={(event) => setFollow(event.target.checked)}
          data-testid={ids.drawer.logFollow}
        >
          {t('log.follow')}
        </Checkbox>
        <IconButton
          label={t('action.refresh')}
          icon={<RefreshCw size={14} />}
          onClick={log.reload}
        />
        <IconButton
          label={t('log.download')}
          loading={saving.isPending}
          icon={<Download size={14} />}
          onClick={save}
          testId={ids.drawer.logDownload}
        />
      </div>
      {log.failure && <ErrorState failure={log.failure} onRetry={log.reload} />}
      {log.loading ? (
        <Skeleton active />
      ) : log.text === '' ? (
        <EmptyState icon={FileText} title={t('log.empty')} text={t('log.empty_text')} />
      ) : (
        <section
          className={styles.logText}
          ref={scroller}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled text has to be reached by keyboard
          tabIndex={0}
          aria-label={t('session.tab.log')}
          data-testid={ids.drawer.logText}
          onWheel={(event) => {
            if (event.deltaY < 0) setFollow(false);
          }}
        >
          <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
            {virtual.getVirtualItems().map(({ index, start }) => (
              <div
                key={index}
                className={styles.logLine}
                style={{ transform: `translateY(${start}px)` }}
              >
                <Highlighted text={shown[index] ?? ''} query={wanted} />
              </div>
            ))}
          </div>
        </section>
      )}
    </div>
  );
}
