import type { FileEntry, Location, Transfer } from '@/bridge';

/** The same place with another path. */
export function at(location: Location, path: string): Location {
  return { ...location, path };
}

export const joinPath = (base: string, name: string) =>
  base === '' || base.endsWith('/') ? `${base}${name}` : `${base}/${name}`;

export const child = (location: Location, name: string): Location =>
  at(location, joinPath(location.path, name));

/** The directory above; the same one at a root. */
export function parentPath(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  const cut = trimmed.lastIndexOf('/');
  if (cut < 0) return '';
  return cut === 0 ? '/' : trimmed.slice(0, cut);
}

export const baseName = (path: string) => path.replace(/\/+$/, '').split('/').at(-1) ?? path;

/** Every directory from the root down, with its path, for the address line. */
export function crumbs(path: string): { name: string; path: string }[] {
  const parts = path.split('/').filter(Boolean);
  const root = path.startsWith('/') ? '/' : '';
  return parts.map((name, index) => ({
    name,
    path: root + parts.slice(0, index + 1).join('/'),
  }));
}

export const isDirectory = (entry: FileEntry) =>
  entry.kind === 'directory' ||
  (entry.kind === 'symlink' && (entry.target?.endsWith('/') ?? false));

const place = (location: Location) => {
  switch (location.kind) {
    case 'local':
      return 'local';
    case 'session':
      return `session:${location.session}`;
    case 'folder':
      return `folder:${location.folder}`;
  }
};

const samePlace = (one: Location, other: Location) => place(one) === place(other);

/** Whether the transfer puts something into the directory. */
export const landsIn = (transfer: Transfer, directory: Location) =>
  samePlace(transfer.dst, directory) &&
  parentPath(transfer.dst.path) === directory.path.replace(/(.)\/+$/, '$1');

export const isSamePlace = samePlace;

/** Whether two locations are the same directory. */
export const isSameDirectory = (one: Location, other: Location) =>
  samePlace(one, other) && trimmed(one.path) === trimmed(other.path);

const trimmed = (path: string) => path.replace(/(.)\/+$/, '$1');

/** What a place is called by itself, for state that is kept for it. */
export const placeKey = (location: Location) => `${place(location)}:${trimmed(location.path)}`;
