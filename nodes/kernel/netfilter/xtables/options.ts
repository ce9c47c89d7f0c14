import { usage } from './error.ts';
import type { Given } from './extension.ts';
import { once, parseNumber } from './values.ts';

/** The one time that an option is given which has no opposite, undefined if never. @throws XtablesError */
export function onceAsIs(
  module: string,
  given: readonly Given[],
  ...options: readonly string[]
): Given | undefined {
  const found = once(module, given, ...options);
  if (found?.negated === true) throw usage(`${module}: option "${found.option}" cannot be inverted.\n`);
  return found;
}

/** Whether an option without a value, and without an opposite, is given. @throws XtablesError */
export function has(module: string, given: readonly Given[], option: string): boolean {
  return onceAsIs(module, given, option) !== undefined;
}

/** The number that an option has, 0 to `most`. @throws XtablesError */
export function numberOf(module: string, { option, values }: Given, most = 0xffffffff): number {
  const value = parseNumber(values[0] ?? '', 0, most);
  if (value === null)
    throw usage(`${module}: bad value for option "${option}", or out of range (0-${most}).\n`);
  return value;
}

/** Refuses options of which the one excludes the other (`xtables_option_parse`). @throws XtablesError */
export function exclude(module: string, given: readonly Given[], one: string, other: string): void {
  const has = (name: string) => given.some(({ option }) => option === name);
  if (has(one) && has(other))
    throw usage(`${module}: option "${one}" cannot be used together with "${other}".\n`);
}

const MOST_COUNT = 2n ** 64n - 1n;

/** A count of 64 bits (`XTTYPE_UINT64`). `near`: that of several values. @throws XtablesError */
export function parseCount(module: string, { option }: Given, text: string, near = ''): bigint {
  const octal = /^0[0-7]+$/.test(text) ? `0o${text}` : text;
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(octal) : -1n;
  if (value < 0n || value > MOST_COUNT)
    throw usage(`${module}: bad value for option "${option}"${near}, or out of range (0-${MOST_COUNT}).\n`);
  return value;
}
