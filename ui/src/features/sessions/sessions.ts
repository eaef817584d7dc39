import type { Session } from '@/bridge';

/** The last part of an image reference, which is what people call it. */
export const shortImage = (image: string) => image.split('/').at(-1) ?? image;

/** What a session holds, or asked for while it waits. */
export function slot(session: Session, name: string): number | null {
  const text = session.occupied_slots[name] ?? session.requested_slots[name];
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
