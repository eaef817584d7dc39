import type { UseNavigateResult } from '@tanstack/react-router';
import {
  Folder,
  History,
  Keyboard,
  type LucideIcon,
  RefreshCw,
  SquareTerminal,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { useNewestSessions } from '@/bridge/sessions';
import { SECTIONS } from './sections';
import { refresh } from './shortcuts';

interface Item {
  key: string;
  kind: string;
  text: string;
  icon: LucideIcon;
  run: () => void;
}

/** What the palette finds: pages, actions, and the nouns that are known by now. */
export function usePaletteItems(navigate: UseNavigateResult<string>, openHelp: () => void): Item[] {
  const { t } = useTranslation();
  const sessions = useNewestSessions().data?.sessions ?? [];
  const folders = useCall('folder.list', {}).data?.folders ?? [];
  const launches = useCall('history.list', {}).data?.launches ?? [];
  return [
    ...SECTIONS.map(({ key, to, icon }) => ({
      key: `page:${key}`,
      kind: t('palette.page'),
      text: t(`nav.${key}`),
      icon,
      run: () => void navigate({ to }),
    })),
    {
      key: 'refresh',
      kind: t('palette.action'),
      text: t('shortcuts.refresh'),
      icon: RefreshCw,
      run: refresh,
    },
    {
      key: 'help',
      kind: t('palette.action'),
      text: t('shortcuts.help'),
      icon: Keyboard,
      run: openHelp,
    },
    ...sessions.map((session) => ({
      key: `session:${session.id}`,
      kind: t(`status.${session.status}`),
      text: session.name,
      icon: SquareTerminal,
      run: () => void navigate({ to: '/sessions', search: { open: session.id } }),
    })),
    ...folders.map((folder) => ({
      key: `folder:${folder.id}`,
      kind: t('palette.folder'),
      text: folder.name,
      icon: Folder,
      run: () => void navigate({ to: '/folders', search: { open: folder.name } }),
    })),
    ...launches.map((launch) => ({
      key: `launch:${launch.id}`,
      kind: t('palette.launch'),
      text: launch.title ?? launch.name,
      icon: History,
      run: () => void navigate({ to: '/launch', search: { from: launch.id } }),
    })),
  ];
}
