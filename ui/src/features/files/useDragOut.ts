import { useTranslation } from 'react-i18next';
import { call, type FileEntry, type Location, toFailure } from '@/bridge';
import { useToast } from '@/kit';
import type { CopyOptions } from './copyOptions';
import { letGo, letGoLater } from './dragging';

/** Drags files of a session or a data folder to wherever on the desktop they are dropped. */
export function useDragOut({ checksum, links }: CopyOptions) {
  const { t } = useTranslation();
  const toast = useToast();

  return async (from: Location, entries: readonly FileEntry[]) => {
    const names = entries.map(({ name }) => name);
    const isPlain = entries.every(({ kind }) => kind === 'file');
    try {
      const { end, directory } = await call('file.drag_out', {
        from,
        names,
        bytes: isPlain ? entries.reduce((sum, { size }) => sum + size, 0) : null,
        links,
        checksum,
      });
      if (end === 'inside') letGoLater();
      else letGo();
      if (end === 'saving') {
        const place = directory ?? '';
        toast.note(t('files.drag_out.saving', { count: names.length, place }));
      }
      if (end === 'too_large') toast.advise(t('files.drag_out.too_large'));
    } catch (thrown) {
      letGo();
      toast.failed(toFailure(thrown));
    }
  };
}
