import { ToolError } from '../tool.ts';

/** Exit code of iproute2's `exit(-1)`: the command line makes no sense. */
export const EXIT_USAGE = 255;
/** A name or address that the tool itself could not use. */
export const EXIT_ARGUMENT = 1;
/** The kernel refused. */
export const EXIT_KERNEL = 2;

/** The words of a command line, taken one by one. */
export class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  /** The word that comes next, which stays there. */
  peek(): string | undefined {
    return this.#words[this.#at];
  }

  get done(): boolean {
    return this.#at >= this.#words.length;
  }

  /** The word that belongs to the one before. @throws ToolError if there is none. */
  argument(): string {
    const word = this.next();
    if (word === undefined)
      throw new ToolError('Command line is not complete. Try option "help"', EXIT_USAGE);
    return word;
  }
}

/** Whether a word is a keyword or the beginning of it (`matches()` of lib/utils.c). */
export function abbreviates(word: string, keyword: string): boolean {
  return word !== '' && keyword.startsWith(word);
}

/** The first of some keywords that a word abbreviates. */
export function keywordOf<K extends string>(word: string, keywords: readonly K[]): K | undefined {
  return keywords.find((keyword) => abbreviates(word, keyword));
}

/** `invarg()` */
export function invalidArgument(word: string, message: string): ToolError {
  return new ToolError(`Error: argument "${word}" is wrong: ${message}`, EXIT_USAGE);
}

/** `duparg2()` */
export function garbage(key: string, word: string): ToolError {
  return new ToolError(`Error: either "${key}" is duplicate, or "${word}" is a garbage.`, EXIT_USAGE);
}

export function notEmulated(what: string): ToolError {
  return new ToolError(`${what} is not emulated`, EXIT_ARGUMENT);
}

export function usage(text: string): ToolError {
  return new ToolError(text, EXIT_USAGE);
}
