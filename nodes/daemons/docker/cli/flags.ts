/** A flag of a command, as pflag has them: `--name string`, `-p, --publish list`. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** 'bool' takes no value but by `=`; 'list' and 'map' may be given again. */
  readonly type:
    | 'bool'
    | 'string'
    | 'int'
    | 'list'
    | 'map'
    | 'ip'
    | 'network'
    | 'networks'
    | 'filter'
    | 'ipSlice';
  readonly help: string;
  /** Another name of the same flag, not shown in the help. */
  readonly alias?: string;
}

export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  /** What follows the flags, or stands between them. */
  readonly args: readonly string[];

  constructor(values: ReadonlyMap<string, readonly string[]>, args: readonly string[]) {
    this.#values = values;
    this.args = args;
  }

  has(name: string): boolean {
    const last = this.#values.get(name)?.at(-1);
    return last !== undefined && last !== 'false';
  }

  /** '' when it was not given. */
  text(name: string): string {
    return this.#values.get(name)?.at(-1) ?? '';
  }

  given(name: string): boolean {
    return this.#values.has(name);
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** `key=value` pairs; a key alone has the value ''. */
  map(name: string): Record<string, string> {
    const pairs = this.list(name).map((text): [string, string] => {
      const equals = text.indexOf('=');
      return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    });
    return Object.fromEntries(pairs);
  }
}

/** A command line that the parser refuses, in pflag's words. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

/**
 * Parses as pflag does. 'stop-at-argument': what follows the first argument is the command to run in the container.
 * @throws FlagError
 */
export function parseFlags(
  words: readonly string[],
  flags: readonly Flag[],
  order: 'interspersed' | 'stop-at-argument',
): Flags | 'help' {
  const byName = new Map(
    flags.flatMap((flag) => [
      [flag.name, flag] as const,
      ...(flag.alias === undefined ? [] : [[flag.alias, flag] as const]),
    ]),
  );
  const byShort = new Map(
    flags.flatMap((flag) => (flag.short === undefined ? [] : [[flag.short, flag] as const])),
  );
  const values = new Map<string, string[]>();
  const args: string[] = [];
  const set = (flag: Flag, value: string, shown: string) => {
    check(flag, value, shown);
    const many = MANY.has(flag.type);
    values.set(flag.name, many ? [...(values.get(flag.name) ?? []), value] : [value]);
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === '--') {
      args.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      if (order === 'stop-at-argument') {
        args.push(...words.slice(i));
        break;
      }
      args.push(word);
      continue;
    }
    if (word.startsWith('--')) {
      const equals = word.indexOf('=');
      const name = word.slice(2, equals < 0 ? undefined : equals);
      if (name === '' || name.startsWith('-')) throw new FlagError(`bad flag syntax: ${word}`);
      const flag = byName.get(name);
      if (flag === undefined && name === 'help') return 'help';
      if (flag === undefined) throw new FlagError(`unknown flag: --${name}`);
      if (equals >= 0) set(flag, word.slice(equals + 1), `--${name}`);
      else if (flag.type === 'bool') set(flag, 'true', `--${name}`);
      else {
        const value = words[++i];
        if (value === undefined) throw new FlagError(`flag needs an argument: --${name}`);
        set(flag, value, `--${name}`);
      }
      continue;
    }
    for (let k = 1; k < word.length; k++) {
      const letter = word[k]!;
      const flag = byShort.get(letter);
      if (flag === undefined && letter === 'h' && word === '-h') return 'help';
      if (flag === undefined) throw new FlagError(`unknown shorthand flag: '${letter}' in ${word}`);
      if (flag.type === 'bool' && word[k + 1] !== '=') {
        set(flag, 'true', `-${letter}`);
        continue;
      }
      const rest = word.slice(k + 1).replace(/^=/, '');
      if (rest !== '') set(flag, rest, `-${letter}`);
      else {
        const value = words[++i];
        if (value === undefined) throw new FlagError(`flag needs an argument: '${letter}' in ${word}`);
        set(flag, value, `-${letter}`);
      }
      break;
    }
  }
  return new Flags(values, args);
}

function check(flag: Flag, value: string, shown: string): void {
  const invalid = (why: string) => {
    const both = flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
    throw new FlagError(
      `invalid argument ${JSON.stringify(value)} for ${JSON.stringify(shown.startsWith('--') && flag.short === undefined ? shown : both)} flag: ${why}`,
    );
  };
  if (flag.type === 'bool' && !/^(1|t|true|0|f|false)$/i.test(value))
    invalid(`strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (flag.type === 'int' && !/^-?\d+$/.test(value))
    invalid(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (flag.type === 'filter' && !value.includes('=')) invalid('bad format of filter (expected name=value)');
}

/** Those that may be given again. */
const MANY: ReadonlySet<Flag['type']> = new Set(['list', 'map', 'filter', 'ipSlice', 'networks']);

const SHOWN: Readonly<Partial<Record<Flag['type'], string>>> = {
  bool: '',
  ipSlice: 'strings',
  networks: 'network',
};

/** The options as `--help` lists them. */
export function flagsHelp(flags: readonly Flag[]): string {
  const rows = flags
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((flag) => {
      const type = SHOWN[flag.type] ?? flag.type;
      const left = `  ${flag.short === undefined ? '   ' : `-${flag.short},`} --${flag.name}${type === '' ? '' : ` ${type}`}`;
      return { left, help: flag.help };
    });
  const width = Math.max(...rows.map(({ left }) => left.length)) + 3;
  return rows.map(({ left, help }) => `${left.padEnd(width)}${help}\n`).join('');
}
