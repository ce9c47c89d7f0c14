import { FilterError, type Token, tokenize } from './lexer.ts';

/** Goes over the words of a filter. */
export class Cursor {
  readonly #tokens: readonly Token[];
  readonly #length: number;
  #at = 0;

  constructor(source: string) {
    this.#tokens = tokenize(source);
    this.#length = source.length;
  }

  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  skip(count = 1): void {
    this.#at += count;
  }

  accept(text: string): boolean {
    if (this.peek()?.text !== text) return false;
    this.#at++;
    return true;
  }

  /** @throws FilterError at the end, where `wanted` should stand. */
  next(wanted: string): Token {
    const token = this.peek();
    if (token === undefined) throw this.error(undefined, `the filter ends where ${wanted} should stand`);
    this.#at++;
    return token;
  }

  /** What stands behind the bracket that closes the one which is next. */
  behindBrackets(): Token | undefined {
    let depth = 0;
    for (let ahead = 0; ; ahead++) {
      const token = this.peek(ahead);
      if (token === undefined) return undefined;
      if (token.text === '(') depth++;
      if (token.text === ')' && --depth === 0) return this.peek(ahead + 1);
    }
  }

  error(token: Token | undefined, message: string): FilterError {
    return new FilterError(`filter, column ${token?.column ?? this.#length + 1}: ${message}`);
  }
}
