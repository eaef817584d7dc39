import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { call, type Location, toFailure } from '@/bridge';
import { useAction } from '@/bridge/query';
import { useToast } from '@/kit';
import { ids } from '@/testids';
import type { CopyOptions } from './copyOptions';
import { baseName, child, isSameDirectory, isSamePlace } from './paths';

/** Copying and moving between two directories, wherever they are. */
export function useMoving({ checksum, links }: CopyOptions, onMoved: () => void) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const toast = useToast();
  const start = useAction('transfer.start');

  const begin = (names: readonly string[], from: Location, to: Location, remove: boolean) =>
    start.mutate(
      {
        items: names.map((name) => ({ src: child(from, name), dst: child(to, name) })),
        overwrite: 'ask',
        links,
        checksum,
        remove_source: remove,
      },
      { onError: toast.failed, onSuccess: onMoved },
    );

  const copy = (names: readonly string[], from: Location, to: Location) => {
    if (names.length === 0) return;
    if (isSameDirectory(from, to)) toast.note(t('files.same_directory'));
    else begin(names, from, to, false);
  };

  const rename = async (names: readonly string[], from: Location, to: Location) => {
    try {
      for (const name of names) {
        await call('file.rename', { location: child(from, name), to: child(to, name).path });
      }
    } catch (thrown) {
      toast.failed(toFailure(thrown));
    }
    onMoved();
  };

  const move = (names: readonly string[], from: Location, to: Location) => {
    if (names.length === 0) return;
    if (isSameDirectory(from, to)) {
      toast.note(t('files.same_directory'));
      return;
    }
    modal.confirm({
      title: t('files.move_title', { count: names.length }),
      content: t('files.move_text', {
        names: names.slice(0, 8).join(', '),
        place: to.path || '/',
      }),
      okText: t('files.move'),
      okButtonProps: { autoFocus: true, 'data-testid': ids.files.moveConfirm },
      onOk: () => (isSamePlace(from, to) ? rename(names, from, to) : begin(names, from, to, true)),
    });
  };

  /** Files of the desktop's file manager. */
  const drop = (paths: readonly string[], to: Location) => {
    if (paths.length === 0) return;
    start.mutate(
      {
        items: paths.map((path) => ({
          src: { kind: 'local', path },
          dst: child(to, baseName(path)),
        })),
        overwrite: 'ask',
        links,
        checksum,
      },
      { onError: toast.failed },
    );
  };

  return { copy, move, drop };
}
