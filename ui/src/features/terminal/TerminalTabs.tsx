import { Button, Tabs } from 'antd';
import { SquareTerminal } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call, type Session } from '@/bridge';
import { useAction } from '@/bridge/query';
import { useToast } from '@/kit';
import { ids } from '@/testids';
import { TerminalView } from './TerminalView';
import styles from './terminal.module.css';
import { keepTerminals, newTerminal, terminalsOf } from './terminals';

/** Shells in the session; they live on when the drawer is closed. */
export function TerminalTabs({ session }: { session: Session }) {
  const { t } = useTranslation();
  const toast = useToast();
  const external = useAction('host.open_terminal');
  const [terminals, setTerminals] = useState(() => terminalsOf(session.id));
  const [active, setActive] = useState(terminals[0]?.key ?? '');

  const change = (next: typeof terminals, show?: string) => {
    keepTerminals(session.id, next);
    setTerminals(next);
    setActive(show ?? next.at(-1)?.key ?? '');
  };

  const add = () => {
    const made = newTerminal();
    change([...terminals, made], made.key);
  };

  const close = (key: string) => {
    const closing = terminals.find((one) => one.key === key);
    if (closing?.terminalId) {
      // The shell may have ended by itself already.
      call('terminal.close', { terminal_id: closing.terminalId }).catch(() => undefined);
    }
    const left = terminals.filter((one) => one.key !== key);
    change(left.length > 0 ? left : [newTerminal()]);
  };

  return (
    <Tabs
      type="editable-card"
      size="small"
      className={styles.tabs ?? ''}
      activeKey={active}
      onChange={setActive}
      onEdit={(key, action) => (action === 'add' ? add() : close(String(key)))}
      destroyOnHidden={false}
      tabBarExtraContent={
        <Button
          size="small"
          icon={<SquareTerminal size={13} />}
          onClick={() => external.mutate({ session: session.id }, { onError: toast.failed })}
          data-testid={ids.terminal.external}
        >
          {t('terminal.external')}
        </Button>
      }
      items={terminals.map((terminal, index) => ({
        key: terminal.key,
        label: t('terminal.tab', { number: index + 1 }),
        children: (
          <TerminalView session={session} record={terminal} active={terminal.key === active} />
        ),
      }))}
    />
  );
}
