import { formatOptions, memorySize } from '../../kernel/netfilter/ipset/format.ts';
import type { AnySet } from '../../kernel/netfilter/ipset/ipsets.ts';
import { type Element, IpSet } from '../../kernel/netfilter/ipset/set.ts';
import { SET_TYPES } from '../../kernel/netfilter/ipset/spec.ts';

/** Elements as ipset prints them, in the order of a bitmap, or of their coming; `now` in ms. */
function elementLines(set: AnySet, now: number, sorted: boolean): string[] {
  if (!(set instanceof IpSet)) return [...set.members];
  const elements = set.elements();
  if (set.spec.range !== null) elements.sort((a, b) => Number(a.key[0]) - Number(b.key[0]));
  const lines = elements.map((element) => elementLine(set, element, now));
  return sorted ? lines.sort() : lines;
}

function elementLine({ spec }: IpSet, element: Element, now: number): string {
  const { text, expires, nomatch, packets, bytes, comment } = element;
  let line = text;
  if (spec.timeout !== null)
    line += ` timeout ${expires === null ? 0 : Math.max(1, Math.floor((expires - now) / 1_000))}`;
  if (nomatch) line += ' nomatch';
  if (spec.counters) line += ` packets ${packets} bytes ${bytes}`;
  return comment === null || comment === '' ? line : `${line} comment "${comment}"`;
}

/** Bytes of `struct ip_set_comment_rcu` and the text behind it. */
const COMMENT = 17;

function commentSize(set: AnySet): number {
  if (!(set instanceof IpSet)) return 0;
  return set.elements().reduce((sum, { comment }) => sum + (comment ? COMMENT + comment.length : 0), 0);
}

/** `ipset list` of one set. */
export function listSet(
  set: AnySet,
  style: {
    readonly references: number;
    readonly now: number;
    readonly sorted: boolean;
    readonly terse: boolean;
  },
): string {
  const { name, spec, size } = set;
  const head =
    `Name: ${name}\nType: ${spec.type}\nRevision: ${SET_TYPES[spec.type].revision}\n` +
    `Header: ${formatOptions(spec)}\nSize in memory: ${memorySize(spec, size) + commentSize(set)}\n` +
    `References: ${style.references}\nNumber of entries: ${size}\n`;
  if (style.terse) return head;
  const lines = elementLines(set, style.now, style.sorted).map((line) => `${line}\n`);
  return `${head}Members:\n${lines.join('')}`;
}

/** `ipset save` of one set. */
export function saveSet(set: AnySet, now: number, sorted: boolean): string {
  const { name, spec } = set;
  const lines = elementLines(set, now, sorted).map((line) => `add ${name} ${line}\n`);
  return `create ${name} ${spec.type} ${formatOptions(spec)}\n${lines.join('')}`;
}
