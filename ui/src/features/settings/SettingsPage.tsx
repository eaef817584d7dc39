import { useTranslation } from 'react-i18next';
import { inWindow } from '@/bridge';
import { Page } from '@/kit';
import { ids } from '@/testids';
import { AccountSection } from './AccountSection';
import { AppearanceSection } from './AppearanceSection';
import { DoctorSection } from './DoctorSection';
import { EngineSection } from './EngineSection';
import { FilesSection } from './FilesSection';
import { NetworkSection } from './NetworkSection';
import { PathsSection } from './PathsSection';
import { SshSection } from './SshSection';
import styles from './settings.module.css';
import { TunnelsSection } from './TunnelsSection';
import { UpdateSection } from './UpdateSection';

export function SettingsPage() {
  const { t } = useTranslation();
  return (
    <Page title={t('nav.settings')} testId={ids.settings.page}>
      <div className={styles.page}>
        <AppearanceSection />
        <AccountSection />
        <FilesSection />
        <SshSection />
        <NetworkSection />
        <TunnelsSection />
        <EngineSection />
        {inWindow() && <UpdateSection />}
        <DoctorSection />
        <PathsSection />
      </div>
    </Page>
  );
}
