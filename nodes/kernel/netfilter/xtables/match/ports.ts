import { u16 } from '../../../../../protocols/bytes.ts';
import { servicePort } from '../../../../../protocols/services.ts';
import { invalid, usage } from '../error.ts';
import type { Given, MatchFunction, RuleHead } from '../extension.ts';
import { transportAt } from '../packet.ts';
import { listPorts, once, type PortRange, parseNumber, parsePortRange, savePorts } from '../values.ts';

/** `! --sport 80:90` */
interface Ports {
  readonly range: PortRange;
  readonly negated: boolean;
}

/** Null where none of the options is given. @throws XtablesError */
function portsOf(
  module: string,
  given: readonly Given[],
  options: readonly string[],
  proto: number,
): Ports | null {
  const found = once(module, given, ...options);
  if (found === undefined) return null;
  const text = found.values[0] ?? '';
  const range = module === 'udp' || module === 'dccp' ? anyPortRange(text) : parsePortRange(text, proto);
  return { range, negated: found.negated };
}

/**
 * As libxtables' own parser of options has it, which reads those of udp and dccp: services of any protocol, and a span that is the wrong
 * way round is let be. @throws XtablesError
 */
function anyPortRange(text: string): PortRange {
  const [first = '', second] = text.split(':');
  const port = (word: string) => {
    const value = parseNumber(word, 0, 0xffff) ?? servicePort(word, 'udp') ?? servicePort(word, 'tcp');
    if (value === null) throw usage(`Port "${word}" does not resolve to anything.\n`);
    return value;
  };
  if (second === undefined) {
    const value = port(first);
    return { from: value, to: value };
  }
  return { from: first === '' ? 0 : port(first), to: second === '' ? 0xffff : port(second) };
}

function savePortsOf(option: string, ports: Ports | null): string[] {
  return ports === null ? [] : [`${ports.negated ? '! ' : ''}${option} ${savePorts(ports.range)}`];
}

/** Whether every packet has such ports, were it not for a `!`. */
function isEvery({ range }: Ports): boolean {
  return range.from === 0 && range.to === 0xffff;
}

/** `spt:80`, `dpts:!1:100` */
function listPortsOf(name: string, ports: Ports | null, proto: number, numeric: boolean): string[] {
  if (ports === null || (isEvery(ports) && !ports.negated)) return [];
  const { range, negated } = ports;
  const plural = range.from === range.to ? '' : 's';
  return [`${name}${plural}:${negated ? '!' : ''}${listPorts(range, proto, numeric)}`];
}

function within({ range, negated }: Ports, port: number): boolean {
  return (port >= range.from && port <= range.to) !== negated;
}

/** The ports of both ends that a rule of a protocol asks for. */
export class PortPair {
  readonly #sport: Ports | null;
  readonly #dport: Ports | null;
  readonly #proto: number;
  /** -S of tcp and udp leaves out ports that every packet has, be there a `!` or not. */
  readonly #saved: 'all' | 'telling';

  /** @throws XtablesError */
  constructor(module: 'tcp' | 'udp' | 'sctp' | 'dccp', given: readonly Given[], proto: number) {
    this.#sport = portsOf(module, given, SPORT, proto);
    this.#dport = portsOf(module, given, DPORT, proto);
    this.#proto = proto;
    this.#saved = module === 'tcp' || module === 'udp' ? 'telling' : 'all';
  }

  /** The options as `iptables -S` prints them. */
  save(): string[] {
    const told = (option: string, ports: Ports | null) =>
      this.#saved === 'telling' && ports !== null && isEvery(ports) ? [] : savePortsOf(option, ports);
    return [...told('--sport', this.#sport), ...told('--dport', this.#dport)];
  }

  /** The same as `iptables -L` does. */
  list(numeric: boolean): string[] {
    return [
      ...listPortsOf('spt', this.#sport, this.#proto, numeric),
      ...listPortsOf('dpt', this.#dport, this.#proto, numeric),
    ];
  }

  /** Whether both ports of a packet fit; `length` is that of the header that has to be there. */
  match(length: number): MatchFunction {
    const sport = this.#sport;
    const dport = this.#dport;
    return (skb) => {
      const at = transportAt(skb, length);
      if (at < 0) return false;
      const { frame } = skb;
      return (
        (sport === null || within(sport, u16(frame, at))) &&
        (dport === null || within(dport, u16(frame, at + 2)))
      );
    };
  }
}

const SPORT = ['--sport', '--source-port'];
const DPORT = ['--dport', '--destination-port'];
export const PORT_OPTIONS = {
  '--sport': 1,
  '--source-port': 1,
  '--dport': 1,
  '--destination-port': 1,
} as const;

/** Refuses a rule that is not for packets of one protocol (`xt_check_match`). @throws XtablesError */
export function requireProto({ proto, protoNegated }: RuleHead, wanted: number): void {
  if (proto !== wanted || protoNegated) throw invalid();
}
