import { u16 } from '../../../../../protocols/bytes.ts';
import { nextSctpChunk, PROTO_SCTP, SCTP_CHUNK_HLEN, SCTP_HLEN } from '../../../../../protocols/sctp.ts';
import type { Skb } from '../../skb.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { PORT_OPTIONS, PortPair, requireProto } from './ports.ts';

/** Names of chunks in the order of their numbers; flags that may be asked for, the lowest bit last. */
const CHUNKS: readonly (readonly [name: string, type: number, flags: string])[] = [
  ['DATA', 0, 'IUBE'],
  ['INIT', 1, ''],
  ['INIT_ACK', 2, ''],
  ['SACK', 3, ''],
  ['HEARTBEAT', 4, ''],
  ['HEARTBEAT_ACK', 5, ''],
  ['ABORT', 6, 'T'],
  ['SHUTDOWN', 7, ''],
  ['SHUTDOWN_ACK', 8, ''],
  ['ERROR', 9, ''],
  ['COOKIE_ECHO', 10, ''],
  ['COOKIE_ACK', 11, ''],
  ['ECN_ECNE', 12, ''],
  ['ECN_CWR', 13, ''],
  ['SHUTDOWN_COMPLETE', 14, 'T'],
  ['I_DATA', 64, 'IUBE'],
  ['ASCONF_ACK', 128, ''],
  ['RE_CONFIG', 130, ''],
  ['PAD', 132, ''],
  ['FORWARD_TSN', 192, ''],
  ['ASCONF', 193, ''],
  ['I_FORWARD_TSN', 194, ''],
];
const MODES = ['all', 'any', 'only'] as const;
/** Chunks of which flags can be asked for (XT_NUM_SCTP_FLAGS). */
const MOST_FLAGGED = 4;

interface ChunkSpec {
  readonly type: number;
  readonly mask: number;
  readonly value: number;
}

interface Chunks {
  readonly mode: (typeof MODES)[number];
  readonly specs: readonly ChunkSpec[] | 'ALL' | 'NONE';
  readonly negated: boolean;
}

/** `DATA:Be`: a flag in capitals has to be set, one in small letters not. */
function chunkSpec(word: string): ChunkSpec {
  const [name = '', letters = ''] = word.split(':');
  const known = CHUNKS.find((chunk) => chunk[0] === name.toUpperCase());
  if (known === undefined) throw usage(`Unknown sctp chunk \`${name}'`);
  const [, type, flags] = known;
  let mask = 0;
  let value = 0;
  for (const letter of letters) {
    const place = flags.indexOf(letter.toUpperCase());
    if (place < 0) throw usage(`Invalid flags for chunk type ${type}`);
    const bit = 1 << (flags.length - 1 - place);
    mask |= bit;
    if (letter === letter.toUpperCase()) value |= bit;
  }
  return { type, mask, value };
}

function chunksOf(given: readonly Given[]): Chunks | null {
  const found = given.filter(({ option }) => option === '--chunk-types');
  const [first] = found;
  if (first === undefined) return null;
  if (found.length > 1) throw usage("Only one `--chunk-types' allowed");
  const [how = '', text = ''] = first.values;
  const mode = MODES.find((one) => one === how.toLowerCase());
  if (mode === undefined) throw usage('Match type has to be one of "ALL", "ANY" or "ONLY"');
  const { negated } = first;
  if (text === 'ALL' || text === 'NONE') return { mode, specs: text, negated };
  const specs = new Map<number, ChunkSpec>();
  for (const spec of text.split(',').map(chunkSpec)) specs.set(spec.type, spec);
  const list = [...specs.values()].sort((a, b) => a.type - b.type);
  if (list.filter(({ mask }) => mask !== 0).length > MOST_FLAGGED)
    throw usage('Number of chunk types with flags exceeds currently allowed limit.');
  return { mode, specs: list, negated };
}

function chunkText({ type, mask, value }: ChunkSpec, numeric: boolean): string {
  const [name = '', , flags = ''] = CHUNKS.find((chunk) => chunk[1] === type) ?? [];
  const letters = [...flags].map((letter, place) => {
    const bit = 1 << (flags.length - 1 - place);
    if ((mask & bit) === 0) return '';
    return (value & bit) === 0 ? letter.toLowerCase() : letter;
  });
  const shown = numeric ? `0x${type.toString(16).toUpperCase().padStart(4, '0')}` : name;
  return `${shown}${mask === 0 ? '' : ':'}${letters.join('')}`;
}

function chunksText({ mode, specs }: Chunks, numeric: boolean): string {
  const list = typeof specs === 'string' ? specs : specs.map((spec) => chunkText(spec, numeric)).join(',');
  return `${mode} ${list}`;
}

/** What of the map of types and flags a chunk is; null for a type that is not asked for. */
function fits(specs: Chunks['specs'], type: number, flags: number): boolean | null {
  if (specs === 'ALL') return true;
  if (specs === 'NONE') return null;
  const spec = specs.find((one) => one.type === type);
  return spec === undefined ? null : (flags & spec.mask) === spec.value;
}

/** Whether the chunks of a packet are those that are asked for (`match_packet`); one that has none, or a broken one, is dropped. */
function hasChunks(skb: Skb, from: number, { mode, specs }: Chunks): boolean {
  const { frame } = skb;
  const seen = new Set<number>();
  for (let at = from; at === from || at < frame.length; ) {
    if (at + SCTP_CHUNK_HLEN > frame.length || u16(frame, at + 2) === 0) {
      skb.hotdrop = true;
      return false;
    }
    const type = frame[at]!;
    const fit = fits(specs, type, frame[at + 1]!);
    if (mode === 'only' && fit !== true) return false;
    if (mode === 'any' && fit === true) return true;
    if (fit === true) seen.add(type);
    at = nextSctpChunk(frame, at);
  }
  if (mode !== 'all') return mode === 'only';
  return specs === 'ALL' ? seen.size === 256 : specs === 'NONE' || specs.every(({ type }) => seen.has(type));
}

/** Ports and chunks of SCTP (xt_sctp.c). */
export const sctp: MatchExtension = {
  name: 'sctp',
  options: { ...PORT_OPTIONS, '--chunk-types': 2 },
  bind(given, head) {
    const ports = new PortPair('sctp', given, PROTO_SCTP);
    const chunks = chunksOf(given);
    requireProto(head, PROTO_SCTP);
    const inverted = chunks?.negated === true;
    return {
      save: [
        ...ports.save(),
        ...(chunks === null ? [] : [`${inverted ? '! ' : ''}--chunk-types ${chunksText(chunks, false)}`]),
      ].join(' '),
      list: (numeric) =>
        [
          'sctp',
          ...ports.list(numeric),
          ...(chunks === null ? [] : [`${inverted ? '! ' : ''}${chunksText(chunks, numeric)}`]),
        ].join(' '),
      compile: () => {
        const portsFit = ports.match(SCTP_HLEN);
        if (chunks === null) return portsFit;
        return (skb) => {
          if (!portsFit(skb)) return false;
          const has = hasChunks(skb, transportAt(skb, SCTP_HLEN) + SCTP_HLEN, chunks);
          return !skb.hotdrop && has !== inverted;
        };
      },
    };
  },
};
