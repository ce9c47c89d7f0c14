import { usage } from '../../kernel/netfilter/xtables/error.ts';

/** Options of iptables itself, by their short letter; how many words follow: 'optional' takes one that is no option. */
const OPTIONS: Readonly<Record<string, 0 | 1 | 2 | 'optional'>> = {
  A: 1,
  C: 1,
  D: 1,
  E: 2,
  F: 'optional',
  I: 1,
  L: 'optional',
  N: 1,
  P: 2,
  R: 1,
  S: 'optional',
  V: 0,
  W: 'optional',
  X: 'optional',
  Z: 'optional',
  '4': 0,
  '6': 0,
  c: 2,
  d: 1,
  f: 0,
  g: 1,
  h: 0,
  i: 1,
  j: 1,
  m: 1,
  n: 0,
  o: 1,
  p: 1,
  s: 1,
  t: 1,
  v: 0,
  w: 'optional',
  x: 0,
};

const LONG: Readonly<Record<string, string>> = {
  append: 'A',
  check: 'C',
  delete: 'D',
  'rename-chain': 'E',
  flush: 'F',
  insert: 'I',
  list: 'L',
  'new-chain': 'N',
  new: 'N',
  policy: 'P',
  replace: 'R',
  'list-rules': 'S',
  version: 'V',
  'delete-chain': 'X',
  zero: 'Z',
  ipv4: '4',
  ipv6: '6',
  'set-counters': 'c',
  destination: 'd',
  dst: 'd',
  fragments: 'f',
  fragment: 'f',
  goto: 'g',
  help: 'h',
  'in-interface': 'i',
  jump: 'j',
  match: 'm',
  numeric: 'n',
  'out-interface': 'o',
  protocol: 'p',
  proto: 'p',
  source: 's',
  src: 's',
  table: 't',
  verbose: 'v',
  wait: 'w',
  'wait-interval': 'W',
  exact: 'x',
  'line-numbers': '0',
};

export type Token =
  /** One of iptables' own options, by its letter ('0' for --line-numbers). */
  | {
      readonly type: 'option';
      readonly letter: string;
      readonly negated: boolean;
      readonly values: readonly string[];
    }
  /** An option of an extension; its values are read by whoever knows it. */
  | { readonly type: 'extension'; readonly name: string; readonly negated: boolean }
  | { readonly type: 'word'; readonly text: string };

/** Reads a command line word by word, as getopt_long(3) does for iptables. */
export class CommandLine {
  readonly #words: readonly string[];
  #at = 0;
  /** Letters of a cluster like `-nvL` that are still to come. */
  #cluster = '';

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  /** Null at the end. @throws XtablesError */
  next(): Token | null {
    let negated = false;
    while (this.#cluster === '' && this.#words[this.#at] === '!') {
      if (negated) throw usage('multiple consecutive ! not allowed');
      negated = true;
      this.#at++;
    }
    if (this.#cluster !== '') return this.#letter(negated);
    const word = this.#words[this.#at];
    if (word === undefined) return null;
    this.#at++;
    if (word.startsWith('--') && word.length > 2) return this.#long(word, negated);
    if (word.startsWith('-') && word.length > 1 && !/^-\d/.test(word.slice(0, 2).replace(/^-[46]/, ''))) {
      this.#cluster = word.slice(1);
      return this.#letter(negated);
    }
    return { type: 'word', text: word };
  }

  /** The next words as values of an option. @throws XtablesError */
  values(option: string, count: number): readonly string[] {
    const values = this.#words.slice(this.#at, this.#at + count);
    if (values.length < count) throw usage(`option "${option}" requires an argument`);
    this.#at += count;
    return values;
  }

  /** The next word if it is no option, as the rule number behind a chain is read. */
  operand(): string | null {
    const word = this.#words[this.#at];
    if (word === undefined || word === '!' || word.startsWith('-')) return null;
    this.#at++;
    return word;
  }

  #long(word: string, negated: boolean): Token {
    const [name = '', value] = word.slice(2).split(/=(.*)/s);
    const letter = LONG[name];
    // A match of IPsec's policies has an option of this name, before which the shorter one of -p is none.
    if (letter === undefined || word === '--proto') return { type: 'extension', name: word, negated };
    return this.#option(letter, word, negated, value ?? null);
  }

  #letter(negated: boolean): Token {
    const letter = this.#cluster[0]!;
    const rest = this.#cluster.slice(1);
    const arity = OPTIONS[letter];
    if (arity === undefined) throw usage(`unknown option "-${letter}"`);
    this.#cluster = arity === 0 ? rest : '';
    return this.#option(letter, `-${letter}`, negated, arity === 0 || rest === '' ? null : rest);
  }

  #option(letter: string, name: string, negated: boolean, attached: string | null): Token {
    const arity = letter === '0' ? 0 : OPTIONS[letter]!;
    const first = attached === null ? [] : [attached];
    if (arity === 'optional') {
      const value = attached ?? this.operand();
      return { type: 'option', letter, negated, values: value === null ? [] : [value] };
    }
    return {
      type: 'option',
      letter,
      negated,
      values: [...first, ...this.values(name, arity - first.length)],
    };
  }
}
