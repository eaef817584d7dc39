import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Session } from '@/bridge';
import { ErrorState } from '@/kit';
import { ids } from '@/testids';
import '@xterm/xterm/css/xterm.css';
import styles from './terminal.module.css';
import type { TerminalRecord } from './terminals';
import { useTerminal } from './useTerminal';

interface Props {
  session: Session;
  record: TerminalRecord;
  active: boolean;
}

export function TerminalView({ session, record, active }: Props) {
  const { t } = useTranslation();
  const [turn, setTurn] = useState(0);
  const { box, state, failure } = useTerminal(session.id, record, active, turn);
  const again = () => {
    record.terminalId = null;
    setTurn(turn + 1);
  };
  return (
    <div
      className={styles.view}
      data-state={state}
      data-testid={active ? ids.terminal.view : undefined}
    >
      <div ref={box} className={styles.screen} />
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
    </div>
  );
}
