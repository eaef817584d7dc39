import {
  ArrowLeftRight,
  Files,
  Folder,
  History,
  House,
  type LucideIcon,
  Plus,
  Settings,
  SquareStack,
} from 'lucide-react';

export const SECTIONS = [
  { key: 'start', to: '/', icon: House },
  { key: 'sessions', to: '/sessions', icon: SquareStack },
  { key: 'launch', to: '/launch', icon: Plus },
  { key: 'folders', to: '/folders', icon: Folder },
  { key: 'files', to: '/files', icon: Files },
  { key: 'transfers', to: '/transfers', icon: ArrowLeftRight },
  { key: 'history', to: '/history', icon: History },
  { key: 'settings', to: '/settings', icon: Settings },
] as const satisfies readonly { key: string; to: string; icon: LucideIcon }[];
