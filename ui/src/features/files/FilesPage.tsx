import { useTranslation } from 'react-i18next';
import { Page } from '@/kit';
import { ids } from '@/testids';
import { TwoPanes } from './TwoPanes';

/** Files of every place: this computer, sessions, data folders. */
export function FilesPage() {
  const { t } = useTranslation();
  return (
    <Page fill title={t('nav.files')} testId={ids.files.page}>
      <TwoPanes keep="page" right={null} />
    </Page>
  );
}
