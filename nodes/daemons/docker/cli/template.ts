import { CliError } from './command.ts';

/**
 * The part of Go's text/template that people use with `--format`: fields, `range`, `if`, `with`, `json`, `index`, `len`,
 * `println`, `join`, `upper`, `lower`, `$` and its variables.
 */

type Node =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'value'; readonly pipe: Pipe }
  | {
      readonly type: 'block';
      readonly kind: 'range' | 'if' | 'with';
      readonly pipe: Pipe;
      readonly names: readonly string[];
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** Commands, each of words, the result of one being the last argument of the next. */
type Pipe = readonly (readonly Word[])[];

type Word =
  | { readonly type: 'path'; readonly base: 'dot' | string; readonly fields: readonly string[] }
  | { readonly type: 'literal'; readonly value: unknown }
  | { readonly type: 'call'; readonly name: string }
  | { readonly type: 'group'; readonly pipe: Pipe; readonly fields: readonly string[] };

interface Scope {
  readonly dot: unknown;
  readonly variables: ReadonlyMap<string, unknown>;
}

/** A template's text put to use. */
export interface Template {
  /** @throws CliError where a field is not there */
  execute(data: unknown): string;
}

const ACTION = /\{\{(-\s)?([\s\S]*?)(\s-)?\}\}/g;

function fail(text: string, why: string): never {
  throw new CliError(`Template parsing error: template: :1: ${why}: ${text}`, 64);
}

/** @throws CliError */
export function parseTemplate(text: string): Template {
  const tokens: { readonly type: 'text' | 'action'; readonly text: string }[] = [];
  let at = 0;
  let trim = false;
  for (const match of text.matchAll(ACTION)) {
    let before = text.slice(at, match.index);
    if (trim) before = before.trimStart();
    if (match[1] !== undefined) before = before.trimEnd();
    if (before !== '') tokens.push({ type: 'text', text: before });
    tokens.push({ type: 'action', text: (match[2] ?? '').trim() });
    trim = match[3] !== undefined;
    at = match.index + match[0].length;
  }
  const rest = trim ? text.slice(at).trimStart() : text.slice(at);
  if (rest.includes('{{')) fail(text, 'unclosed action');
  if (rest !== '') tokens.push({ type: 'text', text: rest });
  let position = 0;
  const block = (ends: readonly string[]): { nodes: Node[]; end: string } => {
    const nodes: Node[] = [];
    while (position < tokens.length) {
      const token = tokens[position++]!;
      if (token.type === 'text') {
        nodes.push({ type: 'text', text: token.text });
        continue;
      }
      const [keyword = ''] = token.text.split(/\s/);
      if (ends.includes(keyword)) return { nodes, end: keyword };
      if (keyword === 'end' || keyword === 'else') fail(token.text, `unexpected {{${keyword}}}`);
      if (keyword === 'range' || keyword === 'if' || keyword === 'with') {
        const assignment = /^((?:\$\w+\s*,\s*)?\$\w+)\s*:=\s*/.exec(token.text.slice(keyword.length).trim());
        const source = token.text
          .slice(keyword.length)
          .trim()
          .slice(assignment?.[0].length ?? 0);
        const names = assignment?.[1]?.split(/\s*,\s*/) ?? [];
        const body = block(['end', 'else']);
        const otherwise = body.end === 'else' ? block(['end']).nodes : [];
        nodes.push({
          type: 'block',
          kind: keyword,
          pipe: parsePipe(source),
          names,
          body: body.nodes,
          otherwise,
        });
      } else if (token.text.startsWith('/*')) continue;
      else nodes.push({ type: 'value', pipe: parsePipe(token.text) });
    }
    if (ends.length > 0) fail(text, 'unexpected EOF');
    return { nodes, end: '' };
  };
  const { nodes } = block([]);
  return {
    execute: (data) => render(nodes, { dot: data, variables: new Map([['$', data]]) }),
  };
}

const WORD =
  /\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(-?\d+(?:\.\d+)?)|(\||\(|\))|(\$\w*(?:\.\w+)*|\.(?:\w+(?:\.\w+)*)?|\w+))/y;

function parsePipe(source: string): Pipe {
  const words: string[] = [];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < source.length) {
    if (source.slice(WORD.lastIndex).trim() === '') break;
    const start = WORD.lastIndex;
    const match = WORD.exec(source);
    if (match === null) fail(source, `unexpected ${JSON.stringify(source[start] ?? '')} in operand`);
    words.push(match[0].trim());
  }
  if (words.length === 0) fail(source, 'missing value for command');
  let at = 0;
  const pipe = (inner: boolean): Pipe => {
    const commands: Word[][] = [[]];
    for (; at < words.length; at++) {
      const word = words[at]!;
      if (word === '|') commands.push([]);
      else if (word === ')') {
        if (!inner) fail(source, 'unexpected right paren');
        return commands;
      } else if (word === '(') {
        at++;
        const group = pipe(true);
        const next = words[at + 1];
        const fields =
          next?.startsWith('.') && next.length > 1 && source.includes(`)${next}`)
            ? next.slice(1).split('.')
            : [];
        if (fields.length > 0) at++;
        commands.at(-1)!.push({ type: 'group', pipe: group, fields });
      } else commands.at(-1)!.push(parseWord(word));
    }
    if (inner) fail(source, 'unclosed left paren');
    return commands;
  };
  return pipe(false);
}

function parseWord(word: string): Word {
  if (word.startsWith('"')) return { type: 'literal', value: JSON.parse(word) as unknown };
  if (word.startsWith('`')) return { type: 'literal', value: word.slice(1, -1) };
  if (/^-?\d/.test(word)) return { type: 'literal', value: Number(word) };
  if (word === 'true' || word === 'false') return { type: 'literal', value: word === 'true' };
  if (word === 'nil') return { type: 'literal', value: null };
  if (word.startsWith('.'))
    return { type: 'path', base: 'dot', fields: word === '.' ? [] : word.slice(1).split('.') };
  if (word.startsWith('$')) {
    const [base = '$', ...fields] = word.split('.');
    return { type: 'path', base, fields };
  }
  return { type: 'call', name: word };
}

function render(nodes: readonly Node[], scope: Scope): string {
  return nodes
    .map((node) => {
      if (node.type === 'text') return node.text;
      if (node.type === 'value') return print(evaluate(node.pipe, scope));
      const value = evaluate(node.pipe, scope);
      if (node.kind === 'range') return renderRange(node, value, scope);
      if (!isTrue(value)) return render(node.otherwise, scope);
      return render(node.body, { ...scope, dot: node.kind === 'with' ? value : scope.dot });
    })
    .join('');
}

function renderRange(node: Extract<Node, { type: 'block' }>, value: unknown, scope: Scope): string {
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.map((item, i): [unknown, unknown] => [i, item])
    : typeof value === 'object' && value !== null
      ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
      : [];
  if (entries.length === 0) return render(node.otherwise, scope);
  return entries
    .map(([key, item]) => {
      const variables = new Map(scope.variables);
      const [first, second] = node.names;
      if (second !== undefined) variables.set(first!, key).set(second, item);
      else if (first !== undefined) variables.set(first, item);
      return render(node.body, { dot: item, variables });
    })
    .join('');
}

function evaluate(pipe: Pipe, scope: Scope): unknown {
  let result: unknown;
  for (const [i, command] of pipe.entries()) {
    const [head, ...rest] = command;
    if (head === undefined) throw new CliError('Template parsing error: missing value for command', 64);
    const piped = i === 0 ? [] : [result];
    if (head.type === 'call')
      result = call(head.name, [...rest.map((word) => operand(word, scope)), ...piped]);
    else result = operand(head, scope);
  }
  return result;
}

function operand(word: Word, scope: Scope): unknown {
  switch (word.type) {
    case 'literal':
      return word.value;
    case 'group':
      return fields(evaluate(word.pipe, scope), word.fields);
    case 'call':
      return call(word.name, []);
    case 'path': {
      if (word.base === 'dot') return fields(scope.dot, word.fields);
      if (!scope.variables.has(word.base))
        throw new CliError(
          `Template parsing error: template: :1: undefined variable ${JSON.stringify(word.base)}`,
          64,
        );
      return fields(scope.variables.get(word.base), word.fields);
    }
  }
}

function fields(value: unknown, path: readonly string[]): unknown {
  let at = value;
  for (const field of path) {
    if (at === null || at === undefined) return null;
    if (typeof at !== 'object' || !Object.hasOwn(at, field)) {
      // A map has no value for a key that is not there, a structure no such field; ours are told apart by their keys' case.
      if (typeof at === 'object' && Object.keys(at).every((key) => !/^[A-Z]/.test(key))) return null;
      throw new CliError(
        `template: :1: executing "" at <.${path.join('.')}>: map has no entry for key ${JSON.stringify(field)}`,
      );
    }
    at = Reflect.get(at, field);
  }
  return at;
}

function call(name: string, args: readonly unknown[]): unknown {
  const [first, second] = args;
  switch (name) {
    case 'json':
      return goJson(first);
    case 'index':
      return args.slice(1).reduce<unknown>((value, key) => {
        if (typeof value !== 'object' || value === null) return null;
        return Reflect.get(value, String(key)) ?? null;
      }, first);
    case 'len':
      if (typeof first === 'string' || Array.isArray(first)) return first.length;
      return typeof first === 'object' && first !== null ? Object.keys(first).length : 0;
    case 'println':
      return `${args.map(print).join(' ')}\n`;
    case 'print':
      return args.map(print).join('');
    case 'printf':
      return printf(String(first), args.slice(1));
    case 'join':
      return Array.isArray(first) ? first.map(print).join(String(second)) : '';
    case 'split':
      return String(first).split(String(second));
    case 'upper':
      return String(first).toUpperCase();
    case 'lower':
      return String(first).toLowerCase();
    case 'title':
      return String(first).replace(/\b\w/g, (letter) => letter.toUpperCase());
    case 'truncate':
      return String(first).slice(0, Number(second));
    case 'eq':
      return args.slice(1).some((other) => other === first);
    case 'ne':
      return first !== second;
    case 'not':
      return !isTrue(first);
    case 'and':
      return args.find((arg) => !isTrue(arg)) ?? args.at(-1);
    case 'or':
      return args.find(isTrue) ?? args.at(-1);
    default:
      throw new CliError(
        `Template parsing error: template: :1: function ${JSON.stringify(name)} not defined`,
        64,
      );
  }
}

function printf(format: string, args: readonly unknown[]): string {
  let next = 0;
  return format.replace(
    /%(?:%|([-+0]*\d*)([svdqt]))/g,
    (whole, width: string | undefined, verb: string | undefined) => {
      if (verb === undefined) return whole === '%%' ? '%' : whole;
      const value = args[next++];
      const text = verb === 'q' ? JSON.stringify(String(value)) : print(value);
      const size = Number.parseInt(width ?? '', 10);
      if (Number.isNaN(size)) return text;
      return size < 0 ? text.padEnd(-size) : text.padStart(size);
    },
  );
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** As fmt prints values of these kinds. */
function print(value: unknown): string {
  if (value === null || value === undefined) return '<no value>';
  if (Array.isArray(value)) return `[${value.map(print).join(' ')}]`;
  if (typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, item]) => `${key}:${print(item)}`).join(' ')}]`;
  }
  return String(value);
}

/** encoding/json's text: `<`, `>` and `&` are escaped, as it does for HTML's sake. */
function goJson(value: unknown): string {
  return JSON.stringify(value ?? null).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}
