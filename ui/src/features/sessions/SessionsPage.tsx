import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Segmented } from 'antd';
import { CircleStop, Plus } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useSessionCount, useSessionPages } from '@/bridge/sessions';
import { SessionDrawer } from '@/features/session/SessionDrawer';
import { TerminateDialog } from '@/features/session/TerminateDialog';
import { formatNumber } from '@/format/number';
import { DataTable, ErrorState, Page, parseSort, printSort, SearchField, useSettled } from '@/kit';
import { ids } from '@/testids';
import { orderOf, sessionColumns } from './columns';
import { SessionsEmpty } from './SessionsEmpty';
import { StaleBanner } from './StaleBanner';
import styles from './sessions.module.css';

const SEARCH_DELAY_MS = 200;

export function SessionsPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: '/sessions' });
  const search = useSearch({ from: '/sessions' });
  const show = search.show ?? 'running';
  const ended = show === 'finished';
  const list = useSessionPages({
    ended,
    search: useSettled(search.q ?? '', SEARCH_DELAY_MS),
    order: orderOf(search.sort),
  });
  const others = useSessionCount(!ended);
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [ending, setEnding] = useState<readonly Session[] | null>(null);

  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (now) => ({ ...now, ...change }), replace: true });

  const narrow = search.open !== undefined;
  const columns = useMemo(
    () =>
      sessionColumns({
        t,
        finished: show === 'finished',
        narrow,
        onOpen: (session) => void navigate({ search: (now) => ({ ...now, open: session.id }) }),
      }),
    [t, show, narrow, navigate],
  );
  const sort = parseSort(search.sort);
  const { rows } = list;
  const counted = (value: typeof show) => (value === show ? list.total : others);

  const chosen = rows.filter((session) => session !== undefined && selected.has(session.id));
  const endable = chosen.filter((session) => session?.actions.terminate.allowed) as Session[];

  return (
    <div className={styles.split}>
      <Page
        fill
        testId={ids.sessions.page}
        title={t('nav.sessions')}
        actions={
          <Button
            type="primary"
            icon={<Plus size={15} />}
            onClick={() => void navigate({ to: '/launch' })}
            data-testid={ids.sessions.launch}
          >
            {t('action.launch')}
          </Button>
        }
        toolbar={
          <>
            <Segmented
              value={show}
              onChange={(value) => {
                setSelected(new Set());
                set({ show: value });
              }}
              options={(['running', 'finished'] as const).map((value) => ({
                value,
                label: `${t(`sessions.show.${value}`)} ${formatNumber(counted(value) ?? 0)}`,
              }))}
              data-testid={ids.sessions.show}
            />
            <SearchField
              value={search.q ?? ''}
              onChange={(q) => set({ q: q || undefined })}
              placeholder={t('sessions.search')}
              testId={ids.sessions.search}
              width={narrow ? 150 : 240}
            />
            {endable.length > 0 && (
              <Button
                danger
                icon={<CircleStop size={14} />}
                onClick={() => setEnding(endable)}
                data-testid={ids.sessions.terminate}
              >
                {t('sessions.terminate', { count: endable.length })}
              </Button>
            )}
          </>
        }
      >
        {list.list?.stale && <StaleBanner list={list.list} onRetry={list.reload} />}
        {list.failure && !list.list && <ErrorState failure={list.failure} onRetry={list.reload} />}
        {(list.list || !list.failure) && (
          <DataTable
            rows={rows}
            columns={columns}
            rowKey={(session) => session.id}
            label={t('nav.sessions')}
            sort={sort}
            onSort={(next) => set({ sort: printSort(next) })}
            selected={selected}
            onSelect={setSelected}
            onOpen={(session) => set({ open: session.id })}
            onKey={(event) => {
              if (event.key === 'Delete' && endable.length > 0) setEnding(endable);
            }}
            onRange={list.onRange}
            current={search.open ?? null}
            rowTestId={(session) => ids.sessions.row(session.name)}
            testId={ids.sessions.table}
            empty={
              <SessionsEmpty
                loading={!list.list}
                show={show}
                query={search.q}
                onClear={() => set({ q: undefined })}
              />
            }
          />
        )}
      </Page>
      {search.open && (
        <SessionDrawer
          key={search.open}
          id={search.open}
          known={rows.find((session) => session?.id === search.open)}
          tab={search.tab ?? 'overview'}
          onTab={(tab) => set({ tab })}
          onClose={() => set({ open: undefined, tab: undefined })}
          onTerminate={(session) => setEnding([session])}
        />
      )}
      {ending && (
        <TerminateDialog
          sessions={ending}
          onClose={(done) => {
            setEnding(null);
            if (done) setSelected(new Set());
          }}
        />
      )}
    </div>
  );
}
