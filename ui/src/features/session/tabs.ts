export const DRAWER_TABS = ['overview', 'apps', 'terminal', 'files', 'log', 'ssh'] as const;
export type DrawerTab = (typeof DRAWER_TABS)[number];
