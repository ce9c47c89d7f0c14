import { usage } from './error.ts';
import type { Given } from './extension.ts';
import { numberOf } from './options.ts';
import { parseNumber } from './values.ts';

/** Numbers from one to another, as `--fragid`, `--espspi` and their like have them. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly negated: boolean;
}

/** The words of a value between which a colon stands, one or two. @throws XtablesError */
export function endsOf(module: string, { option, values }: Given): readonly string[] {
  const words = (values[0] ?? '').split(':');
  if (words.length > 2) throw usage(`${module}: Too many components for option "${option}" (max: 2)\n`);
  return words;
}

/** `7`, `1:5`, `:5`, `7:`, in which order ever (`XTTYPE_UINT32RC`). @throws XtablesError */
export function spanOf(module: string, found: Given | undefined, most = 0xffffffff): Span | null {
  if (found === undefined) return null;
  const [first = '', second] = endsOf(module, found);
  const number = (word: string) => {
    const value = parseNumber(word, 0, most);
    if (value === null)
      throw usage(
        `${module}: bad value for option "${found.option}" near "${word}", or out of range (0-${most}).\n`,
      );
    return value;
  };
  if (second === undefined) return { from: number(first), to: number(first), negated: found.negated };
  const from = first === '' ? 0 : number(first);
  return { from, to: second === '' ? most : number(second), negated: found.negated };
}

/** A single number. @throws XtablesError */
export function singleOf(module: string, found: Given | undefined): Span | null {
  if (found === undefined) return null;
  const value = numberOf(module, found);
  return { from: value, to: value, negated: found.negated };
}

export function spanText({ from, to }: Span): string {
  return from === to ? String(from) : `${from}:${to}`;
}

export function savedSpan(option: string, span: Span | null): string[] {
  return span === null ? [] : [`${span.negated ? '! ' : ''}${option} ${spanText(span)}`];
}

export function listedSpan(name: string, span: Span | null): string[] {
  if (span === null) return [];
  return [`${name}${span.from === span.to ? '' : 's'}:${span.negated ? '!' : ''}${spanText(span)}`];
}

export function within(span: Span | null, value: number): boolean {
  return span === null || (value >= span.from && value <= span.to) !== span.negated;
}
