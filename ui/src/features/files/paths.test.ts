import { expect, it } from 'vitest';
import { baseName, crumbs, joinPath, parentPath } from './paths';

it.each([
  ['/home/work', '/home'],
  ['/home', '/'],
  ['/', ''],
  ['a/b/', 'a'],
  ['a', ''],
  ['', ''],
])('the directory above %j is %j', (path, above) => expect(parentPath(path)).toBe(above));

it('joins without doubled slashes', () => {
  expect(joinPath('/', 'a')).toBe('/a');
  expect(joinPath('', 'a')).toBe('a');
  expect(joinPath('/a', 'b')).toBe('/a/b');
});

it('names every directory on the way', () => {
  expect(crumbs('/home/work')).toEqual([
    { name: 'home', path: '/home' },
    { name: 'work', path: '/home/work' },
  ]);
  expect(crumbs('a/b').map(({ path }) => path)).toEqual(['a', 'a/b']);
});

it('names a path by its last part', () => {
  expect(baseName('/home/work/')).toBe('work');
});
