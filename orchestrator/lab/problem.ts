/** Where something stands in a lab: keys and list indices from the top of the file. */
export type Path = readonly (string | number)[];

export interface Place {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

/** The file a lab came from, to say where in it something is. */
export interface Source {
  readonly file: string;
  /** Place of the key or the value at a path; of what is nearest above it where the file has no such thing. */
  placeOf(path: Path, part: 'key' | 'value'): Place;
}

/** Something wrong with a lab, and what to do about it ('' if that is plain). */
export interface Problem extends Place {
  readonly file: string;
  readonly path: string;
  readonly message: string;
  readonly mend: string;
}

/** A lab that does not compile, with all that is wrong with it in the order of the file. */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** `FILE:LINE:COL: path: message; mend`. */
export function formatProblem({ file, line, column, path, message, mend }: Problem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}${mend === '' ? '' : `; ${mend}`}`;
}

/** `topology.links[2].endpoints[0]`. */
function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** Collects what is found wrong while a lab is read and compiled. */
export class Reporter {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly #source: Source;

  constructor(source: Source) {
    this.#source = source;
  }

  problem(path: Path, message: string, mend = '', part: 'key' | 'value' = 'value'): void {
    add(this.problems, this.#make(path, message, mend, part));
  }

  /** Something about a key that is not there: it is shown at the map that lacks it. */
  missing(path: Path, message: string, mend: string): void {
    const place = this.#source.placeOf(path.slice(0, -1), 'key');
    add(this.problems, { file: this.#source.file, ...place, path: formatPath(path), message, mend });
  }

  warning(path: Path, message: string, mend = '', part: 'key' | 'value' = 'value'): void {
    add(this.warnings, this.#make(path, message, mend, part));
  }

  /** Where something stands, for what goes wrong with it later: `FILE:LINE:COL: path`. */
  placeOf(path: Path): string {
    const { file, line, column, path: text } = this.#make(path, '', '', 'value');
    return `${file}:${line}:${column}: ${text}`;
  }

  /** @throws LabError if there is any problem. */
  check(): void {
    if (this.problems.length === 0) return;
    const sorted = this.problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    throw new LabError(sorted);
  }

  #make(path: Path, message: string, mend: string, part: 'key' | 'value'): Problem {
    const place = this.#source.placeOf(path, part);
    return { file: this.#source.file, ...place, path: formatPath(path), message, mend };
  }
}

/** What several nodes inherit is wrong once. */
function add(list: Problem[], problem: Problem): void {
  const text = formatProblem(problem);
  if (!list.some((other) => formatProblem(other) === text)) list.push(problem);
}
