import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { Place } from './problem.ts';

export interface XmlElement {
  /** Without its namespace prefix. */
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  /** Its own text and CDATA, trimmed. */
  readonly text: string;
  readonly place: Place;
}

export class XmlError extends Error {
  override readonly name = 'XmlError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/**
 * Top-level elements of an XML text.
 * @throws XmlError where it is not well-formed.
 */
export function parseXml(input: string): XmlElement[] {
  const text = input.replace(/^\uFEFF/, '');
  const verdict = XMLValidator.validate(text);
  if (verdict !== true) {
    const { msg, line, col } = verdict.err;
    throw new XmlError(msg.replace(/\.$/, ''), { line: line ?? 1, column: col ?? 1 });
  }
  const parser = new XMLParser({
    preserveOrder: true,
    captureMetaData: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    removeNSPrefix: true,
    parseTagValue: false,
    ignoreDeclaration: true,
    ignorePiTags: true,
  });
  const lines = lineStarts(text);
  let parsed: unknown;
  try {
    parsed = parser.parse(text);
  } catch (error) {
    throw new XmlError(error instanceof Error ? error.message : String(error), { line: 1, column: 1 });
  }
  return elementsOf(parsed, lines);
}

/** All elements below with one of these tags, at any depth, in the order of the text. */
export function* descendants(element: XmlElement, ...tags: readonly string[]): Generator<XmlElement> {
  for (const child of element.children) {
    if (tags.includes(child.tag)) yield child;
    yield* descendants(child, ...tags);
  }
}

/** fast-xml-parser's ordered form: a list of `{<tag>: [...], ':@': attributes}`, text as `{'#text': …}`. */
function elementsOf(list: unknown, lines: readonly number[]): XmlElement[] {
  if (!Array.isArray(list)) return [];
  const elements: XmlElement[] = [];
  for (const item of list as readonly unknown[]) {
    if (typeof item !== 'object' || item === null) continue;
    const tag = Object.keys(item).find((key) => key !== ':@');
    if (tag === undefined || tag === '#text') continue;
    const inner: unknown = Reflect.get(item, tag);
    elements.push({
      tag,
      attributes: attributesOf(Reflect.get(item, ':@')),
      children: elementsOf(inner, lines),
      text: textOf(inner),
      place: placeOf(startOf(item), lines),
    });
  }
  return elements;
}

function attributesOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]));
}

function textOf(list: unknown): string {
  if (!Array.isArray(list)) return '';
  const texts = (list as readonly unknown[]).map((item): unknown =>
    typeof item === 'object' && item !== null ? Reflect.get(item, '#text') : undefined,
  );
  return texts
    .filter((text) => typeof text === 'string')
    .join('')
    .trim();
}

function startOf(item: object): number {
  // The one symbol on an element is the parser's metadata; its type is declared as the object `Symbol`.
  const [key] = Object.getOwnPropertySymbols(item);
  const metadata: unknown = key === undefined ? undefined : Reflect.get(item, key);
  const start: unknown =
    typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'startIndex') : 0;
  return typeof start === 'number' ? start : 0;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function placeOf(offset: number, lines: readonly number[]): Place {
  let low = 0;
  let high = lines.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (lines[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - lines[low]! + 1 };
}
