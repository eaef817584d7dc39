import { Button, Dropdown, Splitter, Tabs } from 'antd';
import { ChevronDown, Columns2, Rows2, SquareTerminal } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call, type Session } from '@/bridge';
import { useAction, useCall } from '@/bridge/query';
import { formatAgo } from '@/format/date';
import { IconButton, useToast } from '@/kit';
import { ids } from '@/testids';
import { TerminalView } from './TerminalView';
import styles from './terminal.module.css';
import {
  keepTabs,
  newTab,
  newTerminal,
  PANES_MOST,
  shownIn,
  type TerminalRecord,
  type TerminalTab,
  tabsOf,
} from './terminals';

/** Shells in the session; they live on when their tab, the drawer or the program is closed. */
export function TerminalTabs({ session }: { session: Session }) {
  const { t } = useTranslation();
  const toast = useToast();
  const external = useAction('host.open_terminal');
  const [tabs, setTabs] = useState(() => tabsOf(session.id));
  const [active, setActive] = useState(tabs[0]?.key ?? '');
  const [pane, setPane] = useState(tabs[0]?.panes[0]?.key ?? '');
  const [titles, setTitles] = useState<Record<string, string>>({});
  const shells = useCall('terminal.list', { session: session.id }, { staleTime: 0 });

  const show = (tab: TerminalTab | undefined) => {
    setActive(tab?.key ?? '');
    setPane(tab?.panes[0]?.key ?? '');
  };
  const change = (next: TerminalTab[]) => {
    keepTabs(session.id, next);
    setTabs(next);
    void shells.refetch();
  };
  const add = (terminalId: string | null) => {
    const made = newTab(terminalId);
    change([...tabs, made]);
    show(made);
  };
  /** Closes the view only: the shell goes on and can be taken up again. */
  const close = (key: string) => {
    const left = tabs.filter((tab) => tab.key !== key);
    const next = left.length > 0 ? left : [newTab()];
    change(next);
    if (key === active || left.length === 0) show(next.at(-1));
  };
  const current = tabs.find((tab) => tab.key === active);
  const split = (direction: TerminalTab['direction']) => {
    if (!current || current.panes.length >= PANES_MOST) return;
    const made = newTerminal();
    change(
      tabs.map((tab) =>
        tab === current ? { ...tab, direction, panes: [...tab.panes, made] } : tab,
      ),
    );
    setPane(made.key);
  };
  /** Ends the shell that has the keys, for good. */
  const end = async (record: TerminalRecord | undefined) => {
    if (record?.terminalId) {
      const shell = { session: session.id, terminal_id: record.terminalId };
      // It may have ended by itself already.
      await call('terminal.close', shell).catch(() => undefined);
    }
    const next = tabs
      .map((tab) => ({ ...tab, panes: tab.panes.filter((one) => one !== record) }))
      .filter((tab) => tab.panes.length > 0);
    const shown = next.length > 0 ? next : [newTab()];
    change(shown);
    show(shown.find((tab) => tab.key === active) ?? shown.at(-1));
  };

  const shown = shownIn(tabs);
  const closed = (shells.data?.terminals ?? []).filter((shell) => !shown.has(shell.terminal_id));
  const focused = current?.panes.find((record) => record.key === pane);
  const label = (tab: TerminalTab, index: number) => {
    const title = tab.panes.map((record) => titles[record.key]).find(Boolean);
    return (
      <span className={styles.tabName} title={title}>
        {title || t('terminal.tab', { number: index + 1 })}
      </span>
    );
  };

  return (
    <Tabs
      type="editable-card"
      size="small"
      className={styles.tabs ?? ''}
      activeKey={active}
      onChange={(key) => show(tabs.find((tab) => tab.key === key))}
      onEdit={(key, action) => (action === 'add' ? add(null) : close(String(key)))}
      destroyOnHidden={false}
      tabBarExtraContent={
        <div className={styles.tools}>
          {closed.length > 0 && (
            <Dropdown
              trigger={['click']}
              menu={{
                items: closed.map((shell) => ({
                  key: shell.terminal_id,
                  label: [shell.running, shell.started_at && formatAgo(shell.started_at)]
                    .filter(Boolean)
                    .join(' · '),
                  onClick: () => add(shell.terminal_id),
                })),
              }}
            >
              <Button size="small" data-testid={ids.terminal.closed} data-count={closed.length}>
                {t('terminal.closed', { count: closed.length })}
                <ChevronDown size={12} />
              </Button>
            </Dropdown>
          )}
          <IconButton
            label={t('terminal.split_right')}
            icon={<Columns2 size={14} />}
            size="small"
            disabled={(current?.panes.length ?? 0) >= PANES_MOST}
            onClick={() => split('row')}
            testId={ids.terminal.splitRight}
          />
          <IconButton
            label={t('terminal.split_down')}
            icon={<Rows2 size={14} />}
            size="small"
            disabled={(current?.panes.length ?? 0) >= PANES_MOST}
            onClick={() => split('column')}
            testId={ids.terminal.splitDown}
          />
          <Button size="small" onClick={() => void end(focused)} data-testid={ids.terminal.end}>
            {t('terminal.end')}
          </Button>
          <Button
            size="small"
            icon={<SquareTerminal size={13} />}
            onClick={() => external.mutate({ session: session.id }, { onError: toast.failed })}
            data-testid={ids.terminal.external}
          >
            {t('terminal.external')}
          </Button>
        </div>
      }
      items={tabs.map((tab, index) => ({
        key: tab.key,
        label: label(tab, index),
        children: (
          <Splitter
            orientation={tab.direction === 'row' ? 'horizontal' : 'vertical'}
            className={styles.split ?? ''}
          >
            {tab.panes.map((record) => (
              <Splitter.Panel key={record.key} min={120}>
                <TerminalView
                  session={session}
                  record={record}
                  active={tab.key === active && record.key === pane}
                  onFocus={() => setPane(record.key)}
                  onTitle={(title) => setTitles((now) => ({ ...now, [record.key]: title }))}
                />
              </Splitter.Panel>
            ))}
          </Splitter>
        ),
      }))}
    />
  );
}
