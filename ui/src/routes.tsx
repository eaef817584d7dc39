import {
  createHashHistory,
  createRootRoute,
  createRoute,
  createRouter,
  redirect,
} from '@tanstack/react-router';
import { lazy } from 'react';
import { DRAWER_TABS, type DrawerTab } from './features/session/tabs';
import { Start } from './features/start/StartPage';
import { choice, flag, text } from './search';
import { PageError } from './shell/PageError';
import { Root } from './shell/Root';

const lazyPage = <K extends string>(load: () => Promise<Record<K, React.ComponentType>>, name: K) =>
  lazy(async () => ({ default: (await load())[name] }));

interface SessionsSearch {
  q?: string;
  show?: 'running' | 'finished';
  sort?: string;
  /** Id of the session that is open beside the list. */
  open?: string;
  tab?: DrawerTab;
}

interface LaunchSearch {
  /** Id of an earlier launch to begin from. */
  from?: string;
  /** A folder to mount. */
  folder?: string;
}

interface FoldersSearch {
  q?: string;
  trash?: true;
  /** Name of the folder that is browsed. */
  open?: string;
}

interface TransfersSearch {
  show?: 'active' | 'done';
}

const root = createRootRoute({ component: Root });

const start = createRoute({ getParentRoute: () => root, path: '/', component: Start });

const sessions = createRoute({
  getParentRoute: () => root,
  path: '/sessions',
  validateSearch: (search): SessionsSearch => ({
    q: text(search.q),
    show: choice(search.show, ['running', 'finished'] as const),
    sort: text(search.sort),
    open: text(search.open),
    tab: choice(search.tab, DRAWER_TABS),
  }),
  component: lazyPage(() => import('./features/sessions/SessionsPage'), 'SessionsPage'),
});

const launch = createRoute({
  getParentRoute: () => root,
  path: '/launch',
  validateSearch: (search): LaunchSearch => ({
    from: text(search.from),
    folder: text(search.folder),
  }),
  component: lazyPage(() => import('./features/launch/LaunchPage'), 'LaunchPage'),
});

const folders = createRoute({
  getParentRoute: () => root,
  path: '/folders',
  validateSearch: (search): FoldersSearch => ({
    q: text(search.q),
    trash: flag(search.trash),
    open: text(search.open),
  }),
  component: lazyPage(() => import('./features/folders/FoldersPage'), 'FoldersPage'),
});

const files = createRoute({
  getParentRoute: () => root,
  path: '/files',
  component: lazyPage(() => import('./features/files/FilesPage'), 'FilesPage'),
});

const transfers = createRoute({
  getParentRoute: () => root,
  path: '/transfers',
  validateSearch: (search): TransfersSearch => ({
    show: choice(search.show, ['active', 'done'] as const),
  }),
  component: lazyPage(() => import('./features/transfers/TransfersPage'), 'TransfersPage'),
});

const history = createRoute({
  getParentRoute: () => root,
  path: '/history',
  validateSearch: (search): { q?: string } => ({ q: text(search.q) }),
  component: lazyPage(() => import('./features/history/HistoryPage'), 'HistoryPage'),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  component: lazyPage(() => import('./features/settings/SettingsPage'), 'SettingsPage'),
});

const elsewhere = createRoute({
  getParentRoute: () => root,
  path: '$',
  beforeLoad: () => {
    throw redirect({ to: '/' });
  },
});

export const router = createRouter({
  routeTree: root.addChildren([
    start,
    sessions,
    launch,
    folders,
    files,
    transfers,
    history,
    settings,
    elsewhere,
  ]),
  // Works the same under the shell's own scheme, a loopback port and a file.
  history: createHashHistory(),
  defaultPreload: 'intent',
  defaultErrorComponent: PageError,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
