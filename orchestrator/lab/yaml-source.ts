import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { LabError, type Path, type Place, type Problem, type Source } from './problem.ts';

/** A YAML file as plain values, with the places of all of them. */
export interface YamlFile {
  readonly raw: unknown;
  readonly source: Source;
  /** What is wrong with the YAML and does not keep it from being read: keys that stand twice. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** @throws LabError with every syntax error, if there is one. */
export function readYaml(text: string, file: string): YamlFile {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, merge: true });
  const source = new YamlSource(file, doc, lines);
  const problemAt = (offset: number, path: string, message: string, mend: string): Problem => {
    return { file, ...placeAt(lines, offset), path, message, mend };
  };
  const duplicates: Problem[] = [];
  const fatal: Problem[] = [];
  for (const error of doc.errors) {
    if (error.code === 'DUPLICATE_KEY') {
      const { path, key } = keyAt(doc, error.pos[0]);
      duplicates.push(
        problemAt(error.pos[0], path, `'${key}' stands here twice`, 'rename or remove one of the two'),
      );
    } else if (error.code === 'MULTIPLE_DOCS') {
      fatal.push(
        problemAt(
          error.pos[0],
          '',
          'a second document begins here',
          'a file is one, with no other --- in it',
        ),
      );
    } else {
      fatal.push(problemAt(error.pos[0], '', firstLine(error.message), 'this is where the YAML breaks off'));
    }
  }
  visit(doc, {
    Alias(_key, alias, path) {
      // Anchors stand before their aliases: what holds itself does so from within.
      const target = alias.resolve(doc);
      if (target === undefined || !path.includes(target)) return;
      const message = `*${alias.source} stands within what it stands for`;
      fatal.push(problemAt(alias.range?.[0] ?? 0, '', message, 'write out what is meant'));
    },
  });
  if (fatal.length > 0) throw new LabError(fatal);
  const warnings = doc.warnings.map((warning) =>
    problemAt(warning.pos[0], '', firstLine(warning.message), ''),
  );
  try {
    const raw: unknown = doc.toJS();
    return { raw, source, problems: duplicates, warnings };
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw new LabError([problemAt(0, '', error.message, 'use fewer anchors and aliases')]);
  }
}

class YamlSource implements Source {
  readonly file: string;
  readonly #doc: Document.Parsed;
  readonly #lines: LineCounter;

  constructor(file: string, doc: Document.Parsed, lines: LineCounter) {
    this.file = file;
    this.#doc = doc;
    this.#lines = lines;
  }

  placeOf(path: Path, part: 'key' | 'value'): Place {
    const found = this.#find(path);
    if (found.depth < path.length && found.depth < GENERATED_DEPTH) {
      const generate = this.#find(['generate']);
      if (generate.depth === 1) return placeAt(this.#lines, generate.key);
    }
    const whole = found.depth === path.length;
    return placeAt(this.#lines, whole && part === 'value' ? found.value : found.key);
  }

  /** How far down the path the file goes, and the offsets of the key and the value that it ends at. */
  #find(path: Path): { readonly depth: number; readonly key: number; readonly value: number } {
    let node: Node | null = this.#doc.contents;
    let key = offsetOf(node) ?? 0;
    let value = key;
    let depth = 0;
    for (const step of path) {
      const next = child(this.#doc, node, step);
      if (next === null) break;
      value = offsetOf(next.value) ?? offsetOf(next.key) ?? value;
      key = offsetOf(next.key) ?? value;
      node = next.value;
      depth++;
    }
    return { depth, key, value };
  }
}

/** `topology.nodes.n1`: what is not written down to here comes from `generate`, where there is one. */
const GENERATED_DEPTH = 3;

interface Child {
  readonly key: Node | null;
  readonly value: Node | null;
}

function child(doc: Document.Parsed, parent: Node | null, step: string | number): Child | null {
  const node = resolve(doc, parent);
  if (isSeq(node)) {
    const item = typeof step === 'number' ? node.items[step] : undefined;
    return isNode(item) ? { key: null, value: item } : null;
  }
  return isMap(node) ? childOfMap(doc, node, String(step)) : null;
}

function childOfMap(doc: Document.Parsed, map: YAMLMap, step: string): Child | null {
  const merged: Node[] = [];
  for (const { key, value } of map.items) {
    if (!isScalar(key)) continue;
    if (String(key.value) === step) return { key, value: isNode(value) ? value : null };
    if (key.value === '<<' && isNode(value)) merged.push(value);
  }
  for (const source of merged) {
    const target = resolve(doc, source);
    for (const candidate of isSeq(target) ? target.items : [target]) {
      const found = isNode(candidate) ? child(doc, candidate, step) : null;
      if (found !== null) return found;
    }
  }
  return null;
}

function resolve(doc: Document.Parsed, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(doc) ?? null) : node;
}

/** Null for a value that is not written at all, as after `n1:`. */
function offsetOf(node: Node | ParsedNode | null): number | null {
  if (node === null || node.range === null || node.range === undefined) return null;
  if (isScalar(node) && node.value === null && node.range[0] === node.range[1]) return null;
  return node.range[0];
}

function keyAt(doc: Document.Parsed, offset: number): { readonly path: string; readonly key: string } {
  let found = { path: '', key: '?' };
  visit(doc, {
    Pair(_, pair, ancestors) {
      if (!isScalar(pair.key) || pair.key.range?.[0] !== offset) return undefined;
      const keys = [...ancestors, pair].flatMap((node) =>
        isPair(node) && isScalar(node.key) ? [String(node.key.value)] : [],
      );
      found = { path: keys.join('.'), key: String(pair.key.value) };
      return visit.BREAK;
    },
  });
  return found;
}

function placeAt(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.replace(/\.$/, '');
}
