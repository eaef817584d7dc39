import { useTranslation } from 'react-i18next';
import { call, type FailureBody } from '@/bridge';
import { CopyButton } from '@/kit';
import { ids } from '@/testids';

/** Copies what was tried at a launch that failed, hop by hop, where it was kept. */
export function LaunchReport({ failure }: { failure: FailureBody }) {
  const { t } = useTranslation();
  const details = failure.details as { failed_launch?: string } | null;
  const id = details?.failed_launch;
  if (!id) return null;
  return (
    <CopyButton
      text={() => call('tunnel.report', { id }).then(({ text }) => text)}
      label={t('tunnels.report')}
      testId={ids.drawer.launchReport}
    />
  );
}
