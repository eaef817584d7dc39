/** A terminal of a session, known here as long as the program runs. */
export interface TerminalRecord {
  key: string;
  /** Set once its stream has told; with it a closed view takes the same shell up again. */
  terminalId: string | null;
}

const bySession = new Map<string, TerminalRecord[]>();
let last = 0;

export const newTerminal = (): TerminalRecord => {
  last += 1;
  return { key: `t${last}`, terminalId: null };
};

export function terminalsOf(session: string): TerminalRecord[] {
  const known = bySession.get(session);
  if (known && known.length > 0) return known;
  const first = [newTerminal()];
  bySession.set(session, first);
  return first;
}

export function keepTerminals(session: string, terminals: TerminalRecord[]): void {
  bySession.set(session, terminals);
}
