import { beforeEach, expect, it, vi } from 'vitest';

beforeEach(() => {
  window.localStorage.clear();
  vi.resetModules();
});

/** The module as another run of the program has it: only what was written down is left. */
const started = () => import('./terminals');

it('finds the same shells in the same arrangement after a restart', async () => {
  const first = await started();
  const [tab] = first.tabsOf('s');
  if (!tab?.panes[0]) throw new Error('no tab');
  tab.panes[0].terminalId = 'one';
  const beside = { ...first.newTerminal(), terminalId: 'two' };
  first.keepTabs('s', [{ ...tab, direction: 'column', panes: [...tab.panes, beside] }]);

  vi.resetModules();
  const tabs = (await started()).tabsOf('s');
  expect(tabs.map(({ direction }) => direction)).toEqual(['column']);
  expect(tabs[0]?.panes.map(({ terminalId }) => terminalId)).toEqual(['one', 'two']);
});

it('begins with one new shell, also where something else was written', async () => {
  window.localStorage.setItem('gangway.terminals', '{"s":[{"direction":"row"}]}');
  const tabs = (await started()).tabsOf('s');
  expect(tabs).toHaveLength(1);
  expect(tabs[0]?.panes[0]?.terminalId).toBeNull();
});

it('tells which shells are shown', async () => {
  const { newTab, shownIn } = await started();
  expect([...shownIn([newTab('a'), newTab(), newTab('b')])]).toEqual(['a', 'b']);
});
