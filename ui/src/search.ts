// What may stand in the address of a page; anything else there is dropped.

export const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== ''
    ? value
    : typeof value === 'number'
      ? String(value)
      : undefined;

export const flag = (value: unknown): true | undefined => (value === true ? true : undefined);

export const choice = <T extends string>(value: unknown, choices: readonly T[]): T | undefined =>
  choices.find((each) => each === value);
