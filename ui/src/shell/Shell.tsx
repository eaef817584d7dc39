import { type ReactNode, useState } from 'react';
import { inWindow } from '@/bridge';
import { LoginAgain } from '@/features/login/LoginAgain';
import { CommandPalette } from './CommandPalette';
import { EngineBanner } from './EngineBanner';
import { LastEndBanner } from './LastEndBanner';
import { LeaveDialog } from './LeaveDialog';
import { ShortcutsDialog } from './ShortcutsDialog';
import { Sidebar } from './Sidebar';
import { StatusBar } from './StatusBar';
import styles from './shell.module.css';
import { useShortcuts } from './shortcuts';

export function Shell({ children }: { children: ReactNode }) {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  useShortcuts({ openPalette: () => setPalette(true), openHelp: () => setHelp(true) });
  return (
    <div className={styles.shell}>
      <Sidebar onPalette={() => setPalette(true)} />
      <main className={styles.main}>
        <LoginAgain />
        <EngineBanner />
        {inWindow() && <LeaveDialog />}
        {inWindow() && <LastEndBanner />}
        <div className={styles.page}>{children}</div>
      </main>
      <StatusBar />
      {palette && <CommandPalette onClose={() => setPalette(false)} onHelp={() => setHelp(true)} />}
      {help && <ShortcutsDialog onClose={() => setHelp(false)} />}
    </div>
  );
}
