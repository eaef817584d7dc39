import { App, Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { ErrorState, useToast } from '@/kit';
import { ids } from '@/testids';
import '@xterm/xterm/css/xterm.css';
import { TerminalSearch } from './TerminalSearch';
import styles from './terminal.module.css';
import { rememberTabs, type TerminalRecord } from './terminals';
import { useTerminal } from './useTerminal';

interface Props {
  session: Session;
  record: TerminalRecord;
  active: boolean;
  onFocus: () => void;
  onTitle: (title: string) => void;
}

export function TerminalView({ session, record, active, onFocus, onTitle }: Props) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const toast = useToast();
  const link = useAction('host.open_link');
  const [turn, setTurn] = useState(0);
  const [searching, setSearching] = useState(false);
  const { box, state, failure, tools } = useTerminal({
    session: session.id,
    record,
    active,
    turn,
    onOpened: () => rememberTabs(session.id),
    onTitle,
    onSearch: () => setSearching(true),
    // What a session prints opens nothing by itself: the user sees the whole address first.
    onLink: (address) =>
      modal.confirm({
        title: t('terminal.link_title'),
        content: <code className={styles.link}>{address}</code>,
        okText: t('action.open'),
        okButtonProps: { 'data-testid': ids.terminal.linkOpen },
        onOk: () => link.mutateAsync({ url: address }).then(() => undefined, toast.failed),
      }),
  });
  const again = () => {
    record.terminalId = null;
    setTurn(turn + 1);
  };
  const stopSearching = () => {
    setSearching(false);
    tools.current?.terminal.focus();
  };
  return (
    <section
      className={styles.view}
      aria-label={t('session.tab.terminal')}
      data-state={state}
      data-active={active}
      data-testid={active ? ids.terminal.view : undefined}
      onFocus={onFocus}
    >
      <div ref={box} className={styles.screen} />
      {searching && tools.current && (
        <TerminalSearch search={tools.current.search} onClose={stopSearching} />
      )}
      {state === 'ended' && (
        <div className={styles.over} data-testid={ids.terminal.state}>
          {failure ? (
            <ErrorState failure={failure} onRetry={() => setTurn(turn + 1)} />
          ) : (
            <>
              <p>{t('terminal.ended')}</p>
              <Button onClick={again}>{t('terminal.again')}</Button>
            </>
          )}
        </div>
      )}
    </section>
  );
}
