import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Skeleton } from 'antd';
import { RotateCcw } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useCall } from '@/bridge/query';
import { ErrorState, Page } from '@/kit';
import { ids } from '@/testids';
import { type Draft, draftOf, emptyDraft, keepDraft, keptDraft } from './draft';
import { LaunchForm } from './LaunchForm';

/** Launches a session: from nothing, from the kept draft, from an earlier launch. */
export function LaunchPage() {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: '/launch' });
  const { from, folder } = useSearch({ from: '/launch' });
  const [turn, setTurn] = useState(0);
  const history = useCall('history.list', {}, { enabled: from !== undefined });
  const images = useCall('image.list', {}, { staleTime: 60_000 });
  const folders = useCall('folder.list', {});

  const earlier = history.data?.launches.find((launch) => launch.id === from);
  const waiting = images.isPending || (from !== undefined && history.isPending);
  const start = (): Draft => {
    if (earlier) return draftOf(earlier.request);
    const draft = keptDraft();
    if (!folder || draft.mounts.some((mount) => mount.folder === folder)) return draft;
    return { ...draft, mounts: [...draft.mounts, { folder, path: '', read_only: false }] };
  };

  const reset = () => {
    keepDraft(emptyDraft());
    void navigate({ search: {}, replace: true });
    setTurn(turn + 1);
  };

  return (
    <Page
      title={earlier ? t('launch.title_again') : t('launch.title')}
      testId={ids.launch.page}
      actions={
        <Button icon={<RotateCcw size={14} />} onClick={reset} data-testid={ids.launch.reset}>
          {t('launch.reset')}
        </Button>
      }
    >
      {images.error && !images.data && (
        <ErrorState failure={images.error} onRetry={() => void images.refetch()} />
      )}
      {waiting && <Skeleton active />}
      {images.data && !waiting && (
        <LaunchForm
          key={`${from ?? ''}:${turn}`}
          initial={start()}
          images={images.data.images}
          folders={folders.data?.folders ?? []}
          onLaunched={(session) => {
            keepDraft(null);
            void navigate({ to: '/sessions', search: { open: session.id } });
          }}
        />
      )}
    </Page>
  );
}
