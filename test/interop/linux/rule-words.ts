import fc from 'fast-check';

export const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
export const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));
export const maybe = (part: fc.Arbitrary<string>, weight = 1) =>
  fc.oneof({ weight: 1, arbitrary: fc.constant('') }, { weight, arbitrary: part });
export const negatable = (part: fc.Arbitrary<string>) =>
  fc.tuple(fc.nat(3), part).map(([n, text]) => (n === 0 ? `! ${text}` : text));
export const option = (name: string, ...values: readonly string[]) =>
  one(...values.map((value) => `${name} ${value}`));
