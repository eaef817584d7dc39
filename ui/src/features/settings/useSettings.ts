import type { Settings } from '@/bridge';
import { queryClient, useAction, useCall } from '@/bridge/query';
import { useToast } from '@/kit';

/** The settings, and changing a part of them. */
export function useSettings() {
  const toast = useToast();
  const query = useCall('settings.get', {});
  const save = useAction('settings.set');
  const settings = query.data;

  const set = (change: Partial<Settings>) => {
    if (!settings) return;
    const next = { ...settings, ...change };
    // Shown at once; put back when it can't be kept.
    queryClient.setQueryData(['settings.get', {}], next);
    save.mutate(next, {
      onError: (failure) => {
        queryClient.setQueryData(['settings.get', {}], settings);
        toast.failed(failure);
      },
    });
  };
  return { settings, failure: query.error, set };
}
