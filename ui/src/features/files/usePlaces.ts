import { useTranslation } from 'react-i18next';
import type { Location } from '@/bridge';
import { useCall } from '@/bridge/query';
import { useLiveSessions } from '@/bridge/sessions';
import { useSettings } from '@/features/settings/useSettings';
import { baseName, isSameDirectory, isSamePlace } from './paths';

export const SESSION_HOME = '/home/work';

export interface PlaceChoice {
  key: string;
  label: string;
  location: Location;
}

export interface PlaceGroup {
  title: string;
  places: readonly PlaceChoice[];
}

/** Everywhere that files are: bookmarks, this computer, sessions that run, data folders. */
export function usePlaces() {
  const { t, i18n } = useTranslation();
  const { settings, set } = useSettings();
  const local = useCall('file.places', {});
  const sessions = useLiveSessions().data?.sessions ?? [];
  const folders = useCall('folder.list', {}).data?.folders ?? [];
  const bookmarks = settings?.bookmarks ?? [];
  const localName = (name: string) => {
    const key = `files.place.${name}`;
    return i18n.exists(key) ? String(t(key as 'files.place.home')) : name;
  };
  const groups: PlaceGroup[] = [
    {
      title: t('files.bookmarks'),
      places: bookmarks.map(({ name, location }, index) => ({
        key: `bookmark:${index}`,
        label: name,
        location,
      })),
    },
    {
      title: t('files.this_computer'),
      places: (local.data?.places ?? []).map(({ name, location }) => ({
        key: `local:${name}`,
        label: localName(name),
        location,
      })),
    },
    {
      title: t('nav.sessions'),
      places: sessions
        .filter((session) => session.actions.open_app.allowed)
        .map(({ id, name }) => ({
          key: `session:${id}`,
          label: name,
          location: { kind: 'session', session: id, path: SESSION_HOME },
        })),
    },
    {
      title: t('nav.folders'),
      places: folders.map(({ name }) => ({
        key: `folder:${name}`,
        label: name,
        location: { kind: 'folder', folder: name, path: '' },
      })),
    },
  ];

  /** What a pane is headed with: the computer, the session, the folder. */
  const title = (location: Location): string => {
    if (location.kind === 'local') return t('files.this_computer');
    if (location.kind === 'folder') return location.folder;
    return sessions.find(({ id }) => id === location.session)?.name ?? location.session;
  };
  const isBookmarked = (location: Location) =>
    bookmarks.some((one) => isSameDirectory(one.location, location));

  return {
    groups: groups.filter(({ places }) => places.length > 0),
    home: local.data?.places[0]?.location ?? null,
    failure: local.error,
    title,
    isBookmarked,
    toggleBookmark: (location: Location) =>
      set({
        bookmarks: isBookmarked(location)
          ? bookmarks.filter((one) => !isSameDirectory(one.location, location))
          : [...bookmarks, { name: bookmarkName(location, title(location)), location }],
      }),
    isReadOnly: (location: Location) =>
      location.kind === 'folder' &&
      folders.some(
        ({ name, permission }) =>
          permission === 'ro' && isSamePlace(location, { kind: 'folder', folder: name, path: '' }),
      ),
  };
}

const bookmarkName = (location: Location, place: string) => {
  const directory = baseName(location.path);
  if (location.kind === 'local') return directory || '/';
  return directory && directory !== baseName(SESSION_HOME) ? `${directory} (${place})` : place;
};
