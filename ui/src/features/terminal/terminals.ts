// Which shells are shown, in which tabs and side by side. The shells themselves live in the
// session; this only remembers how they were arranged, over restarts of the program too.

/** A place on the screen for one shell. */
export interface TerminalRecord {
  key: string;
  /** Set once its stream has told; with it a closed view takes the same shell up again. */
  terminalId: string | null;
}

/** A tab: one shell, or several beside each other. */
export interface TerminalTab {
  key: string;
  direction: 'row' | 'column';
  panes: TerminalRecord[];
}

/** More than this side by side can't be read. */
export const PANES_MOST = 4;

const STORE = 'gangway.terminals';
/** Sessions whose arrangement is remembered. */
const REMEMBERED = 50;

const bySession = new Map<string, TerminalTab[]>();
let last = 0;

const nextKey = () => {
  last += 1;
  return `t${last}`;
};

export const newTerminal = (terminalId: string | null = null): TerminalRecord => ({
  key: nextKey(),
  terminalId,
});

export const newTab = (terminalId: string | null = null): TerminalTab => ({
  key: nextKey(),
  direction: 'row',
  panes: [newTerminal(terminalId)],
});

type Stored = Record<string, { direction: 'row' | 'column'; panes: string[] }[]>;

function stored(): Stored {
  try {
    const found: unknown = JSON.parse(window.localStorage.getItem(STORE) ?? '{}');
    return typeof found === 'object' && found !== null ? (found as Stored) : {};
  } catch {
    return {};
  }
}

/** The tabs of a session as they were last; at least one. */
export function tabsOf(session: string): TerminalTab[] {
  const known = bySession.get(session);
  if (known && known.length > 0) return known;
  const kept = (stored()[session] ?? [])
    .filter(({ panes }) => Array.isArray(panes) && panes.length > 0)
    .map(({ direction, panes }) => ({
      key: nextKey(),
      direction,
      panes: panes.slice(0, PANES_MOST).map((id) => newTerminal(id)),
    }));
  const tabs = kept.length > 0 ? kept : [newTab()];
  bySession.set(session, tabs);
  return tabs;
}

export function keepTabs(session: string, tabs: TerminalTab[]): void {
  bySession.set(session, tabs);
  rememberTabs(session);
}

/** Writes down what is shown now; also called when a new shell has told its id. */
export function rememberTabs(session: string): void {
  const tabs = bySession.get(session) ?? [];
  const all = stored();
  delete all[session];
  const shown = tabs
    .map(({ direction, panes }) => ({
      direction,
      panes: panes.flatMap(({ terminalId }) => (terminalId ? [terminalId] : [])),
    }))
    .filter(({ panes }) => panes.length > 0);
  const entries = Object.entries({ ...all, ...(shown.length > 0 ? { [session]: shown } : {}) });
  try {
    window.localStorage.setItem(
      STORE,
      JSON.stringify(Object.fromEntries(entries.slice(-REMEMBERED))),
    );
  } catch {
    // Without storage the arrangement is forgotten at the end, and the shells are still there.
  }
}

/** Ids of the shells that some tab shows. */
export const shownIn = (tabs: readonly TerminalTab[]): ReadonlySet<string> =>
  new Set(tabs.flatMap(({ panes }) => panes.flatMap(({ terminalId }) => terminalId ?? [])));
