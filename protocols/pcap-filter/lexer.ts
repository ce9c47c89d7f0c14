/** A filter that cannot be understood; the message names the column, from 1, and the mend. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

export interface Token {
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

const TOKEN = /[()[\]]|&&|\|\||<<|>>|<=|>=|==|!=|[<>=&|^+*%!]|[^\s()[\]&|<>=^+*%!]+/g;

/**
 * Splits a filter into words, brackets and operators; `&&`, `||` and `!` come as the words they stand for. Within `[]` a colon
 * is a token of its own, elsewhere it belongs to addresses.
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  for (const { 0: text, index } of source.matchAll(TOKEN)) {
    if (text === '[') depth++;
    else if (text === ']') depth--;
    const parts = depth > 0 ? text.matchAll(/:|[^:]+/g) : [{ 0: text, index: 0 }];
    for (const part of parts) {
      const word = WORDS.get(part[0]) ?? part[0];
      tokens.push({ text: word, column: index + part.index + 1 });
    }
  }
  return tokens;
}

const WORDS: ReadonlyMap<string, string> = new Map([
  ['&&', 'and'],
  ['||', 'or'],
  ['!', 'not'],
]);
