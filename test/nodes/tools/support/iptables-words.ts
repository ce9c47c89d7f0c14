import fc from 'fast-check';

export type Words = readonly string[];

export const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
export const words = (...parts: readonly fc.Arbitrary<Words>[]) =>
  fc.tuple(...parts).map((list) => list.flat());
export const maybe = (part: fc.Arbitrary<Words>) => fc.oneof(fc.constant<Words>([]), part);
export const negatable = (part: fc.Arbitrary<Words>) =>
  fc.tuple(fc.boolean(), part).map(([negated, list]) => (negated ? ['!', ...list] : list));
export const value = (option: string | fc.Arbitrary<string>, of: fc.Arbitrary<string>) =>
  fc
    .tuple(typeof option === 'string' ? fc.constant(option) : option, of)
    .map(([name, text]): Words => [name, text]);
export const many = (of: fc.Arbitrary<string>, least = 1, most = 3) =>
  fc.uniqueArray(of, { minLength: least, maxLength: most }).map((list) => list.join(','));
