/** A filter that cannot be understood; the message names the column, from 1, and the mend. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

export interface Token {
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

/** Splits a filter into words, parentheses and operators; `&&`, `||` and `!` come as the words they stand for. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  for (const match of source.matchAll(/\(|\)|&&|\|\||!(?!=)|[^\s()!&|]+|[^\s]/g)) {
    const [text] = match;
    const word = text === '&&' ? 'and' : text === '||' ? 'or' : text === '!' ? 'not' : text;
    tokens.push({ text: word, column: match.index + 1 });
  }
  return tokens;
}
