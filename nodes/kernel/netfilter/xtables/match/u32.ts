import { u32 as word } from '../../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { missing, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { hex, once } from '../values.ts';

/** Operators of one location, ranges of one value, and tests, at most (XT_U32_MAXSIZE). */
const MOST = 10;

type Operator = '&' | '<<' | '>>' | '@';

interface Step {
  readonly operator: Operator;
  readonly number: number;
}

interface Test {
  readonly start: number;
  readonly steps: readonly Step[];
  readonly ranges: readonly (readonly [from: number, to: number])[];
}

/** Reads `0>>22&0x3C@0>>24=0:5,9&&…`, with blanks anywhere between. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  tests(): Test[] {
    const tests: Test[] = [];
    do {
      if (tests.length >= MOST) throw usage(`u32: at char ${this.#at}: too many "&&"s`);
      tests.push(this.#test());
    } while (this.#next !== '');
    return tests;
  }

  /** What stands next, blanks left out; '' at the end. */
  get #next(): string {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
    return this.#text[this.#at] ?? '';
  }

  #test(): Test {
    const start = this.#number('location spec missing');
    const steps: Step[] = [];
    for (;;) {
      const sign = this.#next;
      if (sign === '') throw usage('u32: abrupt end of input after location specifier');
      this.#at++;
      if (sign === '=') break;
      const operator = this.#operator(sign);
      if (steps.length + 1 >= MOST) throw usage(`u32: at char ${this.#at}: too many operators`);
      steps.push({ operator, number: this.#number('operand expected') });
    }
    const ranges: [number, number][] = [];
    for (;;) {
      if (ranges.length >= MOST) throw usage(`u32: at char ${this.#at}: too many ","s`);
      const from = this.#number('value spec missing');
      let to = from;
      if (this.#next === ':') {
        this.#at++;
        to = this.#number('value expected after ":"');
      }
      ranges.push([from, to]);
      const sign = this.#next;
      if (sign === '') return { start, steps, ranges };
      this.#at++;
      if (sign === ',') continue;
      if (sign !== '&' || this.#text[this.#at] !== '&')
        throw usage(`u32: at char ${this.#at}: a second '&' was expected`);
      this.#at++;
      if (this.#next === '') throw usage('u32: abrupt end of input after location specifier');
      return { start, steps, ranges };
    }
  }

  #operator(sign: string): Operator {
    if (sign === '&' || sign === '@') return sign;
    if (sign !== '<' && sign !== '>') throw usage(`u32: at char ${this.#at - 1}: operator expected`);
    if (this.#text[this.#at] !== sign)
      throw usage(`u32: at char ${this.#at}: a second '${sign}' was expected`);
    this.#at++;
    return sign === '<' ? '<<' : '>>';
  }

  /** As strtoul(3) with base 0 reads it. */
  #number(lacks: string): number {
    if (this.#next === '') throw usage('u32: abrupt end of input after location specifier');
    const [text = ''] = /^(?:0x[0-9a-f]+|\d+)/i.exec(this.#text.slice(this.#at)) ?? [];
    if (text === '') throw usage(`u32: at char ${this.#at}: ${lacks}`);
    const octal = /^0\d/.test(text);
    const value = octal ? Number.parseInt(text, 8) : Number(text);
    if (!(value <= 0xffffffff)) throw usage(`u32: at char ${this.#at}: "${text}" out of range`);
    this.#at += text.length;
    return value;
  }
}

function testText({ start, steps, ranges }: Test): string {
  const location = steps.map(({ operator, number }) => `${operator}${hex(number)}`).join('');
  const values = ranges.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}:${hex(to)}`));
  return `${hex(start)}${location}=${values.join(',')}`;
}

/** Whether the 32 bits that a test leads to are in its ranges; what leads out of the packet is not (`u32_match_it`). */
function holds(frame: Uint8Array, { start, steps, ranges }: Test): boolean {
  const length = frame.length - ETH_HLEN;
  if (length < 4 || start > length - 4) return false;
  let base = 0;
  let value = word(frame, ETH_HLEN + start);
  for (const { operator, number } of steps) {
    switch (operator) {
      case '&':
        value = (value & number) >>> 0;
        break;
      case '<<':
        value = (value << number) >>> 0;
        break;
      case '>>':
        value >>>= number;
        break;
      case '@':
        base += value;
        if (base + 4 > length || number > length - base - 4) return false;
        value = word(frame, ETH_HLEN + base + number);
    }
  }
  return ranges.some(([from, to]) => value >= from && value <= to);
}

/** `-m u32`: 32 bits from anywhere in a packet (xt_u32.c). */
export const u32: MatchExtension = {
  name: 'u32',
  options: { '--u32': 1 },
  bind(given) {
    const found = once('u32', given, '--u32');
    if (found === undefined) throw missing('u32', '--u32');
    const tests = new Reader(found.values[0] ?? '').tests();
    const { negated } = found;
    const text = `"${tests.map(testText).join('&&')}"`;
    return {
      save: `${negated ? '! ' : ''}--u32 ${text}`,
      list: () => `u32 ${negated ? '! ' : ''}${text}`,
      compile:
        () =>
        ({ frame }) =>
          tests.every((test) => holds(frame, test)) !== negated,
    };
  },
};
