import type { TFunction } from 'i18next';
import type { Image } from '@/bridge';
import { isSessionName } from '@/kit/names';
import { type Draft, portsOf } from './draft';

export const NAME_MIN = 4;
export const NAME_MAX = 64;
const PORT_MIN = 1024;
const PORT_MAX = 65_535;
const PORTS_MAX = 10;
// The session's own servers: web terminal, SSH, and the kernel's two.
const RESERVED_PORTS = new Set([2000, 2001, 2200, 7681]);
const VARIABLE = /^[A-Za-z_]\w*$/;
const MOUNT_PATH = /^[\w./-]+$/;
const DURATION = /^\d+\s*(s|sec|m|min|h|hour|d|day|w|week)?s?$/i;

export function nameProblem(t: TFunction, name: string, taken: ReadonlySet<string>) {
  const wanted = name.trim();
  if (wanted === '') return null;
  if (wanted.length < NAME_MIN || wanted.length > NAME_MAX) {
    return t('launch.rule.name_length', { min: NAME_MIN, max: NAME_MAX });
  }
  if (!isSessionName(wanted)) return t('launch.rule.name');
  return taken.has(wanted) ? t('launch.rule.name_taken') : null;
}

export function mountPathProblem(t: TFunction, path: string, index: number, draft: Draft) {
  const { mounts } = draft;
  const full = mountTarget(mounts[index]?.folder ?? '', path);
  if (path && (!MOUNT_PATH.test(path) || path.split('/').includes('..'))) {
    return t('launch.rule.path');
  }
  const twice = mounts.some(
    (mount, at) => at !== index && mountTarget(mount.folder, mount.path) === full,
  );
  return twice ? t('launch.rule.path_twice') : null;
}

/** Where a folder appears in the session. */
export function mountTarget(folder: string, path: string): string {
  const alias = path.trim() || folder;
  return alias.startsWith('/') ? alias : `/home/work/${alias}`;
}

export function variableProblem(t: TFunction, name: string, index: number, draft: Draft) {
  if (!VARIABLE.test(name)) return t('launch.rule.variable');
  const twice = draft.environ.some((row, at) => at !== index && row?.name === name);
  return twice ? t('launch.rule.variable_twice') : null;
}

export function portsProblem(t: TFunction, texts: readonly string[], image: Image | undefined) {
  if (texts.some((text) => !/^\d+([:-]\d+)?$/.test(text))) return t('launch.rule.port');
  const ports = portsOf(texts);
  if (ports.some((port) => port < PORT_MIN || port > PORT_MAX)) {
    return t('launch.rule.port_range', { min: PORT_MIN, max: PORT_MAX });
  }
  if (new Set(ports).size !== ports.length) return t('launch.rule.port_twice');
  if (ports.length > PORTS_MAX) return t('launch.rule.port_count', { count: PORTS_MAX });
  const used = new Set([
    ...RESERVED_PORTS,
    ...(image?.service_ports.flatMap((service) => service.ports) ?? []),
  ]);
  const busy = ports.find((port) => used.has(port));
  return busy === undefined ? null : t('launch.rule.port_reserved', { port: String(busy) });
}

export const timeoutProblem = (t: TFunction, timeout: string) =>
  timeout.trim() === '' || DURATION.test(timeout.trim()) ? null : t('launch.rule.timeout');
