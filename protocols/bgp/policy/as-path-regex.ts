import { PolicyError } from './config.ts';

/**
 * AS path expressions as Cisco's and FRR's: over the path as text, `65001 65002 {65003 65004}`, with `.`, `[0-9]`, `[^ ]`,
 * `*`, `+`, `?`, `|`, groups, `^`, `$`, and `_`, which stands for a space, a brace, or either end. Found anywhere unless
 * anchored.
 *
 * Matched by a set of states and not by backtracking: the time is bounded by the product of both lengths whatever the
 * expression is, as the path comes from the wire.
 */
export class AsPathRegex {
  readonly source: string;
  readonly #states: readonly State[];
  readonly #start: number;

  /** @throws PolicyError that names the place in the expression. */
  constructor(source: string) {
    this.source = source;
    const { states, start } = new Parser(source).parse();
    this.#states = states;
    this.#start = start;
  }

  test(text: string): boolean {
    let current = new Set<number>();
    for (let at = 0; ; at++) {
      this.#close(current, this.#start, at, text.length);
      if (current.has(MATCH)) return true;
      if (at === text.length) return false;
      const code = text.charCodeAt(at);
      const next = new Set<number>();
      for (const index of current) {
        const state = this.#states[index];
        if (state?.type === 'char' && state.accepts(code)) this.#close(next, state.next, at + 1, text.length);
      }
      current = next;
    }
  }

  /** Adds a state and all that are reached from it without a character. */
  #close(into: Set<number>, index: number, at: number, length: number): void {
    const left = [index];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      if (into.has(next)) continue;
      into.add(next);
      const state = this.#states[next];
      if (state?.type === 'split') left.push(state.next, state.other);
      else if (state?.type === 'start' && at === 0) left.push(state.next);
      else if (state?.type === 'end' && at === length) left.push(state.next);
    }
  }
}

type State =
  | { readonly type: 'match' }
  | { readonly type: 'char'; readonly accepts: (code: number) => boolean; next: number }
  | { readonly type: 'split'; next: number; other: number }
  | { readonly type: 'start' | 'end'; next: number };

const MATCH = 0;
const DELIMITERS = new Set([...' ,{}()'].map((char) => char.charCodeAt(0)));

/** A piece of the machine: where it begins, and what has yet to be led on. */
interface Fragment {
  readonly start: number;
  readonly ends: readonly ((target: number) => void)[];
}

class Parser {
  readonly #source: string;
  readonly #states: State[] = [{ type: 'match' }];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): { readonly states: readonly State[]; readonly start: number } {
    const fragment = this.#alternatives();
    if (this.#at < this.#source.length) this.#fail(`unexpected '${this.#source[this.#at]}'`);
    for (const end of fragment.ends) end(MATCH);
    return { states: this.#states, start: fragment.start };
  }

  #fail(what: string): never {
    throw new PolicyError(`AS path expression '${this.#source}', character ${this.#at + 1}: ${what}`);
  }

  #alternatives(): Fragment {
    let left = this.#sequence();
    while (this.#source[this.#at] === '|') {
      this.#at++;
      const right = this.#sequence();
      left = {
        start: this.#add({ type: 'split', next: left.start, other: right.start }),
        ends: [...left.ends, ...right.ends],
      };
    }
    return left;
  }

  #sequence(): Fragment {
    let whole: Fragment | null = null;
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      const part = this.#repeated();
      if (whole === null) whole = part;
      else {
        for (const end of whole.ends) end(part.start);
        whole = { start: whole.start, ends: part.ends };
      }
    }
    return whole ?? this.#empty();
  }

  #empty(): Fragment {
    const state: State = { type: 'split', next: MATCH, other: MATCH };
    const start = this.#add(state);
    return {
      start,
      ends: [
        (target) => {
          state.next = target;
          state.other = target;
        },
      ],
    };
  }

  #repeated(): Fragment {
    let part = this.#atom();
    for (
      let sign = this.#source[this.#at];
      sign !== undefined && '*+?'.includes(sign);
      sign = this.#source[this.#at]
    ) {
      this.#at++;
      const split: State = { type: 'split', next: part.start, other: MATCH };
      const index = this.#add(split);
      const out = (target: number) => {
        split.other = target;
      };
      if (sign === '?') part = { start: index, ends: [...part.ends, out] };
      else {
        for (const end of part.ends) end(index);
        part = { start: sign === '*' ? index : part.start, ends: [out] };
      }
    }
    return part;
  }

  #atom(): Fragment {
    const char = this.#source[this.#at]!;
    this.#at++;
    switch (char) {
      case '(': {
        const inner = this.#alternatives();
        if (this.#source[this.#at] !== ')') this.#fail("a ')' is missing");
        this.#at++;
        return inner;
      }
      case '[':
        return this.#charState(this.#charClass());
      case '.':
        return this.#charState(() => true);
      case '^':
        return this.#anchor('start');
      case '$':
        return this.#anchor('end');
      case '_':
        return this.#delimiter();
      case '*':
      case '+':
      case '?':
        this.#at--;
        return this.#fail(`'${char}' repeats nothing`);
      case '\\': {
        const escaped = this.#source[this.#at];
        if (escaped === undefined) return this.#fail('nothing after the backslash');
        this.#at++;
        return this.#literal(escaped);
      }
      default:
        if (!/[0-9 ,{}:.-]/.test(char)) {
          this.#at--;
          return this.#fail(`'${char}' cannot be in an AS path`);
        }
        return this.#literal(char);
    }
  }

  #literal(char: string): Fragment {
    const wanted = char.charCodeAt(0);
    return this.#charState((code) => code === wanted);
  }

  #charClass(): (code: number) => boolean {
    const negated = this.#source[this.#at] === '^';
    if (negated) this.#at++;
    const ranges: (readonly [number, number])[] = [];
    while (this.#at < this.#source.length && (this.#source[this.#at] !== ']' || ranges.length === 0)) {
      const first = this.#source.charCodeAt(this.#at++);
      let last = first;
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']') {
        last = this.#source.charCodeAt(this.#at + 1);
        this.#at += 2;
        if (Number.isNaN(last) || last < first) this.#fail('a range that is none');
      }
      ranges.push([first, last]);
    }
    if (this.#source[this.#at] !== ']') this.#fail("a ']' is missing");
    this.#at++;
    return (code) => ranges.some(([from, to]) => code >= from && code <= to) !== negated;
  }

  #charState(accepts: (code: number) => boolean): Fragment {
    const state: State = { type: 'char', accepts, next: MATCH };
    const start = this.#add(state);
    return {
      start,
      ends: [
        (target) => {
          state.next = target;
        },
      ],
    };
  }

  #anchor(type: 'start' | 'end'): Fragment {
    const state: State = { type, next: MATCH };
    const start = this.#add(state);
    return {
      start,
      ends: [
        (target) => {
          state.next = target;
        },
      ],
    };
  }

  #delimiter(): Fragment {
    const parts = [
      this.#anchor('start'),
      this.#anchor('end'),
      this.#charState((code) => DELIMITERS.has(code)),
    ];
    return parts.reduce((left, right) => ({
      start: this.#add({ type: 'split', next: left.start, other: right.start }),
      ends: [...left.ends, ...right.ends],
    }));
  }

  #add(state: State): number {
    return this.#states.push(state) - 1;
  }
}
