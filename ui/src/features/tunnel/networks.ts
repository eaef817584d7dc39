/** Addresses and networks as people write them: parted by commas, spaces or both. */
export function networks(text: string): string[] {
  return text.split(/[\s,]+/).filter((network) => network !== '');
}
