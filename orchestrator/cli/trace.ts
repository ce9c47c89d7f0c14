import pc from 'picocolors';
import type { TracedPacket } from '../../nodes/commands.ts';
import type { PacketStep } from '../../nodes/events/packet.ts';
import type { EventId } from '../../nodes/events/record.ts';
import { parseIp } from '../../protocols/ip.ts';
import { parseIp6 } from '../../protocols/ip6.ts';
import { AddressBook } from '../address-book.ts';
import { followPacket, type PacketPath, type PathOutcome, type PathStep } from '../observe/packet-path.ts';
import type { RunningLab } from '../running-lab.ts';
import { write } from './output.ts';
import { resolveTarget, type Target } from './target.ts';

export interface TraceOptions {
  readonly udp?: true;
  readonly icmp?: true;
  readonly within: number;
  readonly all?: true;
  /** To the IPv6 address of a pod or container. */
  readonly ipv6?: true;
  readonly output: 'text' | 'json';
}

class TraceError extends Error {
  override readonly name = 'TraceError';
}

/** Width of the first column: at least, and at most for the names of chains. */
const LABEL_MIN = 20;
const LABEL_MAX = 34;
/** Steps in which a copy of a broadcast ends that is for somebody else. */
const ELSEWHERE: readonly string[] = ['other-host', 'ip-not-for-us', 'ip6-multicast'];
/** What everybody on a segment is asked. */
const ASKED = /^(ARP|NDP) who-has /;
/** What is said on the way to find a neighbour. */
const RESOLUTION = /^(ARP|NDP) /;

/** `reroute trace SOURCE DESTINATION`: follows one packet and its answer through every node that it crosses. */
export async function trace(
  lab: RunningLab,
  words: readonly string[],
  options: TraceOptions,
): Promise<number> {
  const [from, to] = ends(words);
  const source = await resolveTarget(lab, from);
  const { address, packet } = await destination(lab, to, source, options);
  const reply = await lab.command(source.node, { type: 'trace', pod: source.pod, target: address, packet });
  if (reply.type === 'error') throw new TraceError(reply.message);
  if (reply.type !== 'value') throw new TraceError(`unexpected answer '${reply.type}'`);
  const home = { node: source.node, ns: source.pod === '' ? '' : source.pod };
  const path = await followPacket(lab, reply.value as EventId, home, options.within);
  if (options.output === 'json') write(`${JSON.stringify(path.steps, null, 2)}\n`);
  else write(render(path, { from, to, source, packet, all: options.all ?? false }));
  return path.outcome === 'answered' ? 0 : 1;
}

/** `POD ADDR:PORT`, with or without an arrow between them. */
function ends(words: readonly string[]): readonly [string, string] {
  const plain = words.flatMap((word) => word.split('->')).map((word) => word.trim());
  if (plain.length === 2 && plain[1] === '-')
    throw new TraceError('the shell took the > of the arrow for itself; write: reroute trace POD ADDR:PORT');
  const [from, to, ...more] = plain.filter((word) => word !== '' && word !== 'to');
  if (from === undefined || to === undefined || more.length > 0)
    throw new TraceError('write it as: reroute trace POD ADDR:PORT');
  return [from, to];
}

/** `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`, and the same with a name. */
function hostAndPort(text: string): readonly [host: string, port: string | undefined] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return [bracketed[1] ?? '', bracketed[2]];
  if (parseIp6(text) !== null) return [text, undefined];
  const [host = '', port, ...more] = text.split(':');
  if (more.length > 0)
    throw new TraceError(`${text} is no address; with a port an IPv6 address is written as [2001:db8::1]:80`);
  return [host, port];
}

async function destination(lab: RunningLab, text: string, source: Target, options: TraceOptions) {
  const [host, portText] = hostAndPort(text.replace(/^@/, ''));
  const port = portText === undefined ? null : Number(portText);
  if (port !== null && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw new TraceError(`'${portText}' is no port`);
  const family = options.ipv6 === true ? 'IPv6' : 'IPv4';
  const address =
    parseIp(host) === null ? await (await AddressBook.open(lab, source)).addressOf(host, family) : host;
  if (address === '')
    throw new TraceError(
      `${host} is neither an address nor a running pod, container or node; reroute get pods, containers and nodes list them`,
    );
  if (options.ipv6 === true && !address.includes(':'))
    throw new TraceError(`${host} has no IPv6 address, only ${address}`);
  if (port === null && options.udp === true) throw new TraceError('--udp takes a port: ADDR:PORT');
  const proto = options.udp === true ? 'udp' : 'tcp';
  const packet: TracedPacket = port === null || options.icmp === true ? { proto: 'icmp' } : { proto, port };
  return { address, packet };
}

interface Shown {
  readonly from: string;
  readonly to: string;
  readonly source: Target;
  readonly packet: TracedPacket;
  readonly all: boolean;
}

/** The path as text, a section for each place that the packet comes to. */
export function render({ steps, outcome }: PacketPath, { from, to, packet, all }: Shown): string {
  const lines: string[] = [`${packet.proto.toUpperCase()} from ${pc.bold(from)} to ${pc.bold(to)}`];
  const shown = all ? steps : withoutStrays(steps);
  const width = labelWidth(shown);
  const row: Row = (label, text) => `  ${label.padEnd(width)} ${text}`;
  let section = '';
  let last = '';
  /** Lines at the end that are of neighbours. */
  let neighbours = 0;
  for (const step of shown) {
    const { node, place, event } = step;
    const here = place === '' ? node : `${node} · ${place}`;
    if (here !== section) {
      lines.push('', pc.bold(pc.cyan(here)));
      section = here;
      neighbours = 0;
    }
    if (event.type === 'packet.step' && event.packet !== '' && event.packet !== last) {
      const change = last === '' ? null : translation(last, event.packet);
      if (change !== null) {
        // NAT is done in POSTROUTING, before the neighbour is looked for, which does not look at the packet.
        lines.splice(lines.length - neighbours, 0, row(change.label, pc.yellow(change.text)));
      } else if (
        event.step.at === 'socket.send' ||
        event.step.at === 'device.in' ||
        event.step.at === 'decapsulate' ||
        RESOLUTION.test(event.packet)
      )
        lines.push(`  ${pc.dim(event.packet)}`);
      last = event.packet;
    }
    lines.push(event.type === 'packet.trace' ? netfilterRow(event, row) : stepRow(event.step, row));
    neighbours = event.type === 'packet.step' && event.step.at === 'neighbor' ? neighbours + 1 : 0;
  }
  const took = shown.length === 0 ? 0 : shown.at(-1)!.at - shown[0]!.at;
  const places = new Set(shown.map(({ node }) => node)).size;
  lines.push('', verdict(outcome, shown, took));
  lines.push(pc.dim(`  ${shown.length} steps on ${places} ${places === 1 ? 'node' : 'nodes'}`));
  return `${lines.join('\n')}\n`;
}

/** Without the copies of a broadcast that end at hosts which it is not for. */
function withoutStrays(steps: readonly PathStep[]): readonly PathStep[] {
  const kept = steps.filter(
    ({ event }) =>
      event.type !== 'packet.step' || event.step.at !== 'drop' || !ELSEWHERE.includes(event.step.reason),
  );
  return kept.filter((step, i) => {
    if (!isAsked(step)) return true;
    // A question that nothing follows from on this node.
    const { node, event } = step;
    return kept
      .slice(i + 1)
      .some((later) => later.node === node && later.event.ns === event.ns && !isAsked(later));
  });
}

function isAsked({ event }: PathStep): boolean {
  return event.type === 'packet.step' && event.step.at === 'device.in' && ASKED.test(event.packet);
}

function verdict(outcome: PathOutcome, steps: readonly PathStep[], took: number): string {
  if (outcome === 'answered') return pc.green(`✔ answered after ${took.toFixed(2)} ms`);
  if (outcome === 'refused') {
    const { event } = steps.at(-1)!;
    return pc.red(`✘ refused after ${took.toFixed(2)} ms: ${'packet' in event ? event.packet : ''}`);
  }
  const drop = steps.findLast(({ event }) => event.type === 'packet.step' && event.step.at === 'drop');
  if (drop?.event.type === 'packet.step' && drop.event.step.at === 'drop') {
    const before = steps[steps.indexOf(drop) - 1]?.event;
    const by =
      before?.type === 'packet.trace'
        ? ` by ${before.table} ${before.chain} ${before.kind === 'rule' ? `rule ${before.number}` : 'policy'}`
        : before?.type === 'packet.step' && before.step.at === 'flow'
          ? ` by ${flowText(before.step)}`
          : '';
    return pc.red(`✘ no answer: dropped on ${drop.node}${by === '' ? ` (${drop.event.step.reason})` : by}`);
  }
  const end = steps.at(-1);
  if (end?.event.type === 'packet.step' && end.event.step.at === 'flow')
    return pc.red(`✘ no answer: ended on ${end.node} by ${flowText(end.event.step)}`);
  return pc.red(`✘ no answer: last seen on ${end?.node ?? 'nobody'}`);
}

function flowText({ dev, table, flow }: Extract<PacketStep, { at: 'flow' }>): string {
  return `${dev} table ${table}, where ${flow === '' ? 'no flow takes it' : `it is taken by ${flow}`}`;
}

/** A line of a label and a text. */
type Row = (label: string, text: string) => string;

/** Room for the longest name of a chain, within bounds. */
function labelWidth(steps: readonly PathStep[]): number {
  const lengths = steps.map(({ event }) => (event.type === 'packet.trace' ? chainLabel(event).length : 0));
  return Math.min(Math.max(LABEL_MIN, ...lengths), LABEL_MAX);
}

type TraceEvent = Extract<PathStep['event'], { type: 'packet.trace' }>;

function chainLabel({ table, chain }: TraceEvent): string {
  return `${table} ${chain}`;
}

function netfilterRow(event: TraceEvent, row: Row): string {
  const { kind, number, rule = '' } = event;
  const label = chainLabel(event);
  switch (kind) {
    case 'rule':
      return row(label, `${pc.dim(`rule ${number}:`)} ${rule}`);
    case 'return':
      return row(label, pc.dim('returns'));
    case 'policy':
      return row(label, `${pc.dim('policy')} ${rule === 'DROP' ? pc.red('DROP') : rule}`);
  }
}

function stepRow(step: PacketStep, row: Row): string {
  switch (step.at) {
    case 'socket.send':
      return row('process', 'sends');
    case 'socket.receive':
      return row('process', pc.green(`receives on ${step.socket}`));
    case 'device.in':
      return row(`→ ${step.dev}`, pc.dim(step.kind));
    case 'device.out':
      return row(`${step.dev} →`, pc.dim(step.kind));
    case 'bridge':
      return row(step.dev, step.to === step.dev ? 'bridge: up to the host' : `bridge: out by ${step.to}`);
    case 'flow':
      return row(
        `${step.dev} table ${step.table}`,
        step.flow === '' ? pc.red('no flow takes it') : step.flow,
      );
    case 'route':
      return row('route', step.way);
    case 'neighbor':
      return row(
        'neighbour',
        step.mac === ''
          ? `${step.ip} is asked for by ${step.ip.includes(':') ? 'NDP' : 'ARP'}`
          : `${step.ip} lladdr ${step.mac} ${step.state}`,
      );
    case 'encapsulate':
      return row(step.dev, `into ${step.how}`);
    case 'decapsulate':
      return row(step.dev, `out of ${step.how}`);
    case 'drop':
      return pc.red(row('dropped', step.reason));
  }
}

/** What NAT has done between two looks at a packet of one protocol and length; null if nothing. */
function translation(
  before: string,
  after: string,
): { readonly label: string; readonly text: string } | null {
  const pattern = /^(TCP|UDP|ICMP|ICMPv6) (\S+) > (\S+) (.*)$/;
  const [, proto, src, dst, rest = ''] = pattern.exec(before) ?? [];
  const [, proto2, src2, dst2, rest2 = ''] = pattern.exec(after) ?? [];
  const same = (text: string) => text.replace(/ (ttl|hlim|id) \d+/g, '');
  if (proto === undefined || proto !== proto2 || same(rest) !== same(rest2)) return null;
  if (src === src2 && dst !== dst2) return { label: 'DNAT', text: `${dst} → ${dst2}` };
  if (src !== src2 && dst === dst2) return { label: 'SNAT', text: `${src} → ${src2}` };
  if (src !== src2 && dst !== dst2 && src !== dst2)
    return { label: 'NAT', text: `${src} > ${dst} → ${src2} > ${dst2}` };
  return null;
}
