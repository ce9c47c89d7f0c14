/** Names of the options there are: one letter for `-c`, more for `--max-hops`. */
interface OptionSpec {
  readonly flags: Iterable<string>;
  /** Those that take a value. */
  readonly values: Iterable<string>;
}

export interface ParsedOption {
  readonly name: string;
  /** '' for a flag. */
  readonly value: string;
  /** Position in argv of the word that holds the value, or the flag; the command's name is 0. */
  readonly at: number;
}

export interface Operand {
  readonly text: string;
  readonly at: number;
}

type GetoptResult =
  | { readonly ok: true; readonly options: readonly ParsedOption[]; readonly operands: readonly Operand[] }
  | {
      readonly ok: false;
      readonly problem: 'unknown' | 'missing-argument';
      /** Without dashes. */
      readonly name: string;
      readonly at: number;
    };

/**
 * Parses a command line as GNU getopt(3) does: options and operands in any order, flags joined (`-nc 2`, `-c2`),
 * `--` ends the options. Without long options in the spec, `--help` is the unknown option `-`, as there.
 */
export function getopt(args: readonly string[], spec: OptionSpec): GetoptResult {
  const kinds = new Map<string, 'flag' | 'value'>();
  for (const name of spec.flags) kinds.set(name, 'flag');
  for (const name of spec.values) kinds.set(name, 'value');
  const hasLong = [...kinds.keys()].some((name) => name.length > 1);
  const options: ParsedOption[] = [];
  const operands: Operand[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    const at = i + 1;
    if (word === '--') {
      for (let k = i + 1; k < args.length; k++) operands.push({ text: args[k]!, at: k + 1 });
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push({ text: word, at });
      continue;
    }
    if (hasLong && word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = word.slice(2, equals < 0 ? undefined : equals);
      const kind = name.length > 1 ? kinds.get(name) : undefined;
      if (kind === undefined) return { ok: false, problem: 'unknown', name, at };
      if (kind === 'flag') options.push({ name, value: '', at });
      else if (equals >= 0) options.push({ name, value: word.slice(equals + 1), at });
      else {
        const value = args[++i];
        if (value === undefined) return { ok: false, problem: 'missing-argument', name, at };
        options.push({ name, value, at: at + 1 });
      }
      continue;
    }
    for (let k = 1; k < word.length; k++) {
      const name = word[k]!;
      const kind = kinds.get(name);
      if (kind === undefined) return { ok: false, problem: 'unknown', name, at };
      if (kind === 'flag') {
        options.push({ name, value: '', at });
        continue;
      }
      if (k + 1 < word.length) options.push({ name, value: word.slice(k + 1), at });
      else {
        const value = args[++i];
        if (value === undefined) return { ok: false, problem: 'missing-argument', name, at };
        options.push({ name, value, at: at + 1 });
      }
      break;
    }
  }
  return { ok: true, options, operands };
}
