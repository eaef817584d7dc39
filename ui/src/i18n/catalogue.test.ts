import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import en from './en.json';
import ja from './ja.json';
import ko from './ko.json';

type Tree = { [key: string]: string | Tree };

const flatten = (tree: Tree, prefix = ''): [string, string][] =>
  Object.entries(tree).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string' ? [[prefix + key, value]] : flatten(value, `${prefix}${key}.`),
  );

const CATALOGUES = { en, ko, ja } as const;
const english = new Map(flatten(en));
// Korean and Japanese have one plural form.
const expected = [...english.keys()].filter((key) => !key.endsWith('_one'));

const slots = (text: string) => [...text.matchAll(/\{\{\s*(\w+)/g)].map((match) => match[1]).sort();

const SOURCES = join(import.meta.dirname, '..');

function sources(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /(?<!\.test)\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

describe.each(['ko', 'ja'] as const)('the %s catalogue', (language) => {
  const texts = new Map(flatten(CATALOGUES[language]));

  it('has the same keys as the English one', () => {
    expect([...texts.keys()].toSorted()).toEqual(expected.toSorted());
  });

  it('has the same slots in every text', () => {
    const different = [...texts].filter(
      ([key, text]) => String(slots(text)) !== String(slots(english.get(key) ?? '')),
    );
    expect(different).toEqual([]);
  });
});

it('has a text for every failure code that Rust can send', () => {
  const file = readFileSync(join(SOURCES, 'bridge/generated/FailureCode.ts'), 'utf8');
  const codes = [...file.matchAll(/"([a-z_]+)"/g)].map((match) => match[1]);
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => !english.has(`failure.${code}`))).toEqual([]);
});

it('has every key that the pages name, and no key that nobody names', () => {
  const code = sources(SOURCES)
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  // Keys are written out, or as a template whose slots stand for one part each.
  const named = [
    ...code.matchAll(/['`]([a-z_]+(?:\.(?:[\w]+|\$\{[^}]+\}[\w]*|[\w]*\$\{[^}]+\}))+)['`]/g),
  ]
    .map((match) => match[1] ?? '')
    .map((key) =>
      key
        .replace(/\$\{[^}]+\}/g, '[^.]+')
        .replaceAll('.', '\\.')
        .replaceAll('[^\\.]', '[^.]'),
    );
  const pattern = new RegExp(`^(?:${[...new Set(named)].join('|')})(?:_one|_other)?$`);
  expect([...english.keys()].filter((key) => !pattern.test(key))).toEqual([]);
});
