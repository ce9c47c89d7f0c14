import { formatIp } from '../../../protocols/ip.ts';
import { ip6Word } from '../../../protocols/ip6.ts';
import { PROTO_ICMP } from '../../../protocols/ipv4.ts';
import type { CtDirection, CtTuple } from '../../kernel/netfilter/conntrack-entry.ts';
import { type Flow, isIcmp } from '../../kernel/netfilter/flow.ts';
import { hasPorts } from '../../kernel/netfilter/packet-tuple.ts';
import { protocolName } from './protocols.ts';
import { notEmulated, usageError } from './usage.ts';

type OutputFlag = 'extended' | 'id';

/** How `-o` wants flows printed; `now` in ms. */
export type FlowFormat = (flow: Flow, now: number) => string;

const KNOWN = new Set(['xml', 'extended', 'timestamp', 'id', 'ktimestamp', 'labels', 'userspace', 'save']);

/** Reads the value of `-o`. Of a list, time stamps are for events. @throws ToolError */
export function parseOutput(text: string): FlowFormat {
  const words = text === '' ? [] : text.split(',');
  for (const word of words) if (!KNOWN.has(word)) throw usageError(`Bad parameter \`${word}'`);
  if (words.includes('xml')) throw notEmulated('XML (-o xml)');
  if (words.includes('save')) return saved;
  const flags = new Set(words.filter((word): word is OutputFlag => word === 'extended' || word === 'id'));
  return (flow, now) => line(flow, now, flags);
}

/** A line of `conntrack -L` (`nfct_snprintf` of libnetfilter_conntrack); times are whole seconds. */
function line(flow: Flow, now: number, flags: ReadonlySet<OutputFlag>): string {
  const { original, reply, state, seenReply, assured, mark } = flow;
  const named = flow.family === 'inet' ? 'ipv4     2 ' : 'ipv6     10 ';
  const family = flags.has('extended') ? named : '';
  return [
    `${family}${protocolName(original.proto).padEnd(8)} ${original.proto} ${secondsLeft(flow, now)}`,
    ...(state === '' ? [] : [state]),
    tuple(original),
    ...counts(flow, 0),
    ...(seenReply ? [] : ['[UNREPLIED]']),
    tuple(reply),
    ...counts(flow, 1),
    ...(assured ? ['[ASSURED]'] : []),
    `mark=${mark}`,
    'use=1',
    ...(flags.has('id') ? [`id=${idOf(original)}`] : []),
  ].join(' ');
}

function counts({ counters }: Flow, direction: CtDirection): string[] {
  if (counters === null) return [];
  return [`packets=${counters[direction * 2]} bytes=${counters[direction * 2 + 1]}`];
}

function secondsLeft({ expires }: Flow, now: number): number {
  return Math.max(0, Math.floor((expires - now) / 1_000));
}

function tuple({ src, dst, proto, srcPort, dstPort }: CtTuple): string {
  const addresses = `src=${formatIp(src)} dst=${formatIp(dst)}`;
  if (isIcmp(proto)) return `${addresses} type=${dstPort >>> 8} code=${dstPort & 0xff} id=${srcPort}`;
  return hasPorts(proto) ? `${addresses} sport=${srcPort} dport=${dstPort}` : addresses;
}

/** A number that names a flow as long as it lives; Linux takes a keyed hash, as unlike to be the same for two. */
function idOf({ src, dst, proto, srcPort, dstPort }: CtTuple): number {
  let hash = 0x811c9dc5;
  const words = (addr: typeof src) =>
    typeof addr === 'number' ? [addr] : [0, 1, 2, 3].map((word) => ip6Word(addr, word));
  for (const part of [...words(src), ...words(dst), srcPort * 65_536 + dstPort, proto])
    for (let shift = 0; shift < 32; shift += 8)
      hash = Math.imul(hash ^ ((part >>> shift) & 0xff), 0x01000193) >>> 0;
  return hash;
}

function icmpOptions({ proto, srcPort, dstPort }: CtTuple): string {
  const name = proto === PROTO_ICMP ? 'icmp' : 'icmpv6';
  return ` --${name}-type ${dstPort >>> 8} --${name}-code ${dstPort & 0xff} --${name}-id ${srcPort}`;
}

/** As the options that would make the flow again (`-o save`). */
function saved(flow: Flow, now: number): string {
  const { original, reply, seenReply, assured, state, srcNatDone, dstNatDone } = flow;
  const status = [...(seenReply ? ['SEEN_REPLY'] : []), ...(assured ? ['ASSURED'] : [])].join(',') || 'UNSET';
  const moved = {
    src: srcNatDone && original.src !== reply.dst,
    dst: dstNatDone && original.dst !== reply.src,
  };
  const l4 = hasPorts(original.proto)
    ? ` --sport ${original.srcPort} --dport ${original.dstPort} --reply-port-src ${reply.srcPort} --reply-port-dst ${reply.dstPort}`
    : isIcmp(original.proto)
      ? icmpOptions(original)
      : '';
  return (
    `-A -t ${secondsLeft(flow, now)} -u ${status} -s ${formatIp(original.src)} -d ${formatIp(original.dst)}` +
    ` ${moved.dst ? '-g' : '-r'} ${formatIp(reply.src)} ${moved.src ? '-n' : '-q'} ${formatIp(reply.dst)}` +
    ` -p ${protocolName(original.proto)}${l4}${state === '' ? '' : ` --state ${state}`}`
  );
}
