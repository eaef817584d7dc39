import type { Image, LaunchRequest, Limits, Preset } from '@/bridge';
import { GIB } from '@/format/size';

/** The form's own view of a launch: sizes in GiB, variables as rows. */
export interface Draft {
  type: 'interactive' | 'batch';
  name: string;
  image: string | undefined;
  resource_group: string | undefined;
  /** Name of a preset, or of none: the amounts below are the user's own. */
  preset: string | undefined;
  cpu: number;
  mem: number;
  shmem: number | null;
  gpu: number;
  mounts: MountRow[];
  environ: VariableRow[];
  preopen_ports: string[];
  /** Paths on this computer. */
  environments: string[];
  command: string;
  timeout: string;
  bootstrap: string;
}

export interface MountRow {
  folder: string;
  path: string;
  read_only: boolean;
}

export interface VariableRow {
  name: string;
  value: string;
}

const EMPTY: Draft = {
  type: 'interactive',
  name: '',
  image: undefined,
  resource_group: undefined,
  preset: undefined,
  cpu: 1,
  mem: 2,
  shmem: null,
  gpu: 0,
  mounts: [],
  environ: [],
  preopen_ports: [],
  environments: [],
  command: '',
  timeout: '',
  bootstrap: '',
};

// Kept in memory only: variables may hold passwords, which must not reach a disk.
let kept: Draft | null = null;

export const keptDraft = (): Draft => kept ?? EMPTY;

export function keepDraft(draft: Draft | null): void {
  kept = draft;
}

export const emptyDraft = (): Draft => EMPTY;

/** An earlier launch as a draft; without its name, which may still be taken. */
export function draftOf(request: LaunchRequest): Draft {
  return {
    ...EMPTY,
    type: request.batch ? 'batch' : 'interactive',
    name: request.name ?? '',
    image: request.image ?? undefined,
    resource_group: request.resource_group ?? undefined,
    cpu: request.cpu ?? EMPTY.cpu,
    mem: request.mem ? request.mem / GIB : EMPTY.mem,
    shmem: request.shmem ? request.shmem / GIB : null,
    gpu: request.gpu ?? 0,
    mounts: (request.mounts ?? []).map((mount) => ({
      folder: mount.folder,
      path: mount.path ?? '',
      read_only: mount.read_only ?? false,
    })),
    environ: Object.entries(request.environ ?? {}).map(([name, value]) => ({
      name,
      value: value ?? '',
    })),
    preopen_ports: (request.preopen_ports ?? []).map(String),
    environments: request.environments ?? [],
    command: request.batch?.command ?? '',
    timeout: request.batch?.timeout ?? '',
    bootstrap: request.bootstrap ?? '',
  };
}

const bytes = (gib: number) => Math.round(gib * GIB);

export function requestOf(draft: Draft): LaunchRequest {
  const batch = draft.type === 'batch';
  return {
    name: draft.name.trim() || null,
    image: draft.image ?? null,
    type: draft.type,
    cpu: draft.cpu,
    mem: bytes(draft.mem),
    shmem: draft.shmem ? bytes(draft.shmem) : null,
    gpu: draft.gpu > 0 ? draft.gpu : null,
    mounts: draft.mounts.map(({ folder, path, read_only }) => ({
      folder,
      path: path.trim() || null,
      read_only,
    })),
    environ: Object.fromEntries(draft.environ.map(({ name, value }) => [name, value])),
    preopen_ports: batch ? [] : portsOf(draft.preopen_ports),
    environments: draft.environments,
    resource_group: draft.resource_group ?? null,
    batch: batch ? { command: draft.command.trim(), timeout: draft.timeout.trim() || null } : null,
    bootstrap: draft.bootstrap.trim() || null,
    wait: false,
  };
}

/** Ports written one by one or as a range "8000:8003". */
export function portsOf(texts: readonly string[]): number[] {
  return texts.flatMap((text) => {
    const [first, last = first] = text.split(/[:-]/).map(Number);
    if (first === undefined || last === undefined) return [];
    return Array.from({ length: Math.max(0, last - first) + 1 }, (_, index) => first + index);
  });
}

/** What a preset stands for. */
export function presetAmounts(preset: Preset): Pick<Draft, 'cpu' | 'mem' | 'shmem'> {
  return {
    cpu: Number(preset.slots.cpu ?? 1),
    mem: Number(preset.slots.mem ?? 2 * GIB) / GIB,
    shmem: preset.shmem ? preset.shmem / GIB : null,
  };
}

export interface Bounds {
  min: number;
  max: number;
  /** What could start at once. */
  free: number;
  step: number;
}

const MEM_STEP_GIB = 0.25;

/** Between what and what an amount may be, from the image and the account's limits. */
export function boundsOf(
  slot: 'cpu' | 'mem' | 'gpu',
  limits: Limits | undefined,
  image: Image | undefined,
): Bounds {
  const found = limits?.slots.find(({ name }) =>
    slot === 'gpu' ? name !== 'cpu' && name !== 'mem' : name === slot,
  );
  const unit = slot === 'mem' ? GIB : 1;
  const max = found?.max ?? found?.remaining ?? null;
  const least = slot === 'cpu' ? (image?.min.cpu ?? 1) : slot === 'mem' ? (image?.min.mem ?? 0) : 0;
  const step = slot === 'mem' ? MEM_STEP_GIB : (found?.step ?? 1);
  return {
    min:
      slot === 'mem' ? Math.max(least / unit, 0.0625) : slot === 'cpu' ? Math.max(least, step) : 0,
    max: max === null ? (slot === 'gpu' ? 0 : 1024) : max / unit,
    free: (found?.remaining ?? max ?? Number.POSITIVE_INFINITY) / unit,
    step,
  };
}
