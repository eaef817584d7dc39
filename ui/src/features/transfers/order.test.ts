import { describe, expect, it } from 'vitest';
import { dropTarget, stepTarget } from './order';

const order = ['a', 'b', 'c'];

describe('the order of transfers', () => {
  it('puts a dragged row above or below another', () => {
    expect(dropTarget(order, 'c', 'a', false)).toBe('a');
    expect(dropTarget(order, 'a', 'b', true)).toBe('c');
    expect(dropTarget(order, 'a', 'c', true)).toBeNull();
  });

  it('leaves a row alone that is dropped where it lies', () => {
    expect(dropTarget(order, 'a', 'a', false)).toBeUndefined();
    expect(dropTarget(order, 'a', 'b', false)).toBeUndefined();
    expect(dropTarget(order, 'b', 'a', true)).toBeUndefined();
    expect(dropTarget(order, 'x', 'a', true)).toBeUndefined();
  });

  it('moves a row by one step', () => {
    expect(stepTarget(order, 'b', -1)).toBe('a');
    expect(stepTarget(order, 'b', 1)).toBeNull();
    expect(stepTarget(order, 'a', -1)).toBeUndefined();
    expect(stepTarget(order, 'c', 1)).toBeUndefined();
  });
});
