import type { TFunction } from 'i18next';
import { expect, it } from 'vitest';
import { GIB } from '@/format/size';
import { boundsOf, draftOf, emptyDraft, portsOf, requestOf } from './draft';
import { mountPathProblem, nameProblem, portsProblem, variableProblem } from './rules';

const t = ((key: string) => key) as unknown as TFunction;
const none = new Set<string>();

it.each(['abc', 'a'.repeat(65), '-abcd', 'abcd.', 'a b c d', '한글이름'])(
  'refuses the name %s',
  (name) => expect(nameProblem(t, name, none)).not.toBeNull(),
);

it.each(['', 'abcd', 'a.b-c_d', 'a'.repeat(64)])('takes the name %j', (name) =>
  expect(nameProblem(t, name, none)).toBeNull(),
);

it('refuses a name that a live session has', () => {
  expect(nameProblem(t, 'taken', new Set(['taken']))).toBe('launch.rule.name_taken');
});

it('refuses ports that are reserved, doubled, too low or no numbers', () => {
  expect(portsProblem(t, ['8000', '9000:9002'], undefined)).toBeNull();
  for (const texts of [['2200'], ['8000', '8000'], ['80'], ['http'], ['8000:8020']]) {
    expect(portsProblem(t, texts, undefined)).not.toBeNull();
  }
});

it('writes ranges out', () => {
  expect(portsOf(['8000', '9000:9002'])).toEqual([8000, 9000, 9001, 9002]);
});

it('refuses two folders in one place, and a path that climbs', () => {
  const mounts = [
    { folder: 'data', path: '', read_only: false },
    { folder: 'other', path: 'data', read_only: false },
  ];
  const draft = { ...emptyDraft(), mounts };
  expect(mountPathProblem(t, 'data', 1, draft)).toBe('launch.rule.path_twice');
  expect(mountPathProblem(t, '../etc', 1, draft)).toBe('launch.rule.path');
});

it('refuses variables that no shell would take', () => {
  const draft = { ...emptyDraft(), environ: [{ name: '1A', value: '' }] };
  expect(variableProblem(t, '1A', 0, draft)).not.toBeNull();
  expect(variableProblem(t, 'A_1', 0, draft)).toBeNull();
});

it('gives the same request again from a launch of the history', () => {
  const request = requestOf({
    ...emptyDraft(),
    type: 'batch',
    name: 'train',
    image: 'local/host:latest',
    cpu: 2,
    mem: 4,
    mounts: [{ folder: 'data', path: 'in', read_only: true }],
    environ: [{ name: 'A', value: '1' }],
    environments: ['/home/user/miniconda3'],
    command: 'make',
    timeout: '30m',
  });
  expect(request).toMatchObject({ mem: 4 * GIB, batch: { command: 'make', timeout: '30m' } });
  expect(requestOf(draftOf(request))).toEqual(request);
});

it('bounds an amount by the image and the account', () => {
  const limits = {
    slots: [
      { name: 'mem', unit: 'bytes' as const, max: 8 * GIB, remaining: 6 * GIB, step: 1, used: 0 },
    ],
    presets: [],
    resource_groups: [],
  };
  expect(boundsOf('mem', limits, undefined)).toMatchObject({ max: 8, free: 6 });
});
