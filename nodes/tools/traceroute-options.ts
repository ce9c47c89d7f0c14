import type { LookupFamily } from '../../protocols/dns/resolver.ts';
import { getopt, type Operand, type ParsedOption } from './getopt.ts';
import { ToolError } from './tool.ts';

export interface TracerouteOptions {
  readonly host: Operand;
  readonly method: 'udp' | 'icmp';
  readonly firstHop: number;
  readonly maxHops: number;
  /** Probes a hop. */
  readonly queries: number;
  /** Probes on their way at a time. */
  readonly simultaneous: number;
  /** Wait for an answer, ms: at most `max`; `here` times what another probe of the hop took; `near` a later hop's. */
  readonly wait: { readonly max: number; readonly here: number; readonly near: number };
  /** First destination port, or first ICMP sequence number; 0: the method's own. */
  readonly port: number;
  readonly family: LookupFamily;
  /** Whole packet, bytes; null: what the family has for its default. */
  readonly packetLength: number | null;
  readonly numeric: boolean;
  readonly dontFragment: boolean;
  /** '' if none is asked for. */
  readonly source: string;
  readonly device: string;
}

/** Long names of the options, by their letters. */
const LONG = {
  F: 'dont-fragment',
  f: 'first',
  I: 'icmp',
  i: 'interface',
  m: 'max-hops',
  N: 'sim-queries',
  p: 'port',
  q: 'queries',
  s: 'source',
  V: 'version',
  w: 'wait',
} as const;

const SPEC = {
  flags: [...'46nFIV', 'help', LONG.F, LONG.I, LONG.V],
  values: [...'fimNpqsw', LONG.f, LONG.i, LONG.m, LONG.N, LONG.p, LONG.q, LONG.s, LONG.w],
};

const ARGUMENT_NAMES: Readonly<Record<string, string>> = {
  f: 'first_ttl',
  i: 'device',
  m: 'max_ttl',
  N: 'squeries',
  p: 'port',
  q: 'nqueries',
  s: 'src_addr',
  w: 'MAX,HERE,NEAR',
};

/** Options of traceroute that mean something that is not here. */
const NOT_EMULATED = ['d', 'g', 'T', 't', 'l', 'z', 'r', 'e', 'A', 'M', 'O', 'U', 'D', 'P', 'UL'];
const LONG_NOT_EMULATED = [
  ...['debug', 'gateway', 'tcp', 'tos', 'flowlabel', 'sendwait', 'extensions', 'as-path-lookups', 'module'],
  ...['options', 'sport', 'fwmark', 'udp', 'udplite', 'dccp', 'protocol', 'mtu', 'back'],
];

const TRACEROUTE_USAGE = `Usage:
  traceroute [ -46FInV ] [ -f first_ttl ] [ -i device ] [ -m max_ttl ] [ -N squeries ] [ -p port ] [ -w MAX,HERE,NEAR ] [ -q nqueries ] [ -s src_addr ] host [ packetlen ]
Options:
  -4                          Use IPv4
  -6                          Use IPv6
  -F  --dont-fragment         Do not fragment packets
  -f first_ttl  --first=first_ttl
                              Start from the first_ttl hop (instead from 1)
  -I  --icmp                  Use ICMP ECHO for tracerouting
  -i device  --interface=device
                              Specify a network interface to operate with
  -m max_ttl  --max-hops=max_ttl
                              Set the max number of hops (max TTL to be
                              reached). Default is 30
  -N squeries  --sim-queries=squeries
                              Set the number of probes to be tried
                              simultaneously (default is 16)
  -n                          Do not resolve IP addresses to their domain names
  -p port  --port=port        Set the destination port to use. It is either
                              initial udp port value for "default" method
                              (incremented by each probe, default is 33434), or
                              initial seq for "icmp" (incremented as well,
                              default from 1)
  -w MAX,HERE,NEAR  --wait=MAX,HERE,NEAR
                              Wait for a probe no more than HERE (default 3)
                              times longer than a response from the same hop,
                              or no more than NEAR (default 10) times than some
                              next hop, or MAX (default 5.0) seconds (float
                              point values allowed too)
  -q nqueries  --queries=nqueries
                              Set the number of probes per each hop. Default is
                              3
  -s src_addr  --source=src_addr
                              Use source src_addr for outgoing packets
  -V  --version               Print version info and exit
  --help                      Read this help and exit

Arguments:
+     host          The host to traceroute to
      packetlen     The full packet length (default is the length of an IP
                    header plus 40). Can be ignored or increased to a minimal
                    allowed value
`;

const VERSION = 'Modern traceroute for Linux, version 2.1.2, reroute\n';

const MAX_HOPS = 255;
const MAX_PROBES = 10;
const MAX_PACKET = 65_000;

type TracerouteRequest =
  | { readonly type: 'trace'; readonly options: TracerouteOptions }
  | { readonly type: 'text'; readonly text: string };

/** @throws ToolError */
export function parseTracerouteOptions(args: readonly string[]): TracerouteRequest {
  if (args.length === 0) return { type: 'text', text: TRACEROUTE_USAGE };
  const parsed = getopt(args, SPEC);
  if (!parsed.ok) {
    const { name, at } = parsed;
    const option = name.length > 1 ? `--${name}` : `-${name}`;
    if (parsed.problem === 'missing-argument') {
      const letter = Object.entries(LONG).find(([, long]) => long === name)?.[0] ?? name;
      const usage = `${option}${name.length > 1 ? '=' : ' '}${ARGUMENT_NAMES[letter] ?? ''}`;
      throw bad(`Option \`${option}' (argc ${at}) requires an argument: \`${usage}'`);
    }
    if (NOT_EMULATED.includes(name) || LONG_NOT_EMULATED.includes(name))
      throw bad(`traceroute: ${option} is not emulated`);
    throw bad(`Bad option \`${option}' (argc ${at})`);
  }
  const given = new Map<string, ParsedOption>();
  for (const option of parsed.options) {
    const letter = Object.entries(LONG).find(([, long]) => long === option.name)?.[0] ?? option.name;
    given.set(letter, option);
  }
  if (given.has('help')) return { type: 'text', text: TRACEROUTE_USAGE };
  if (given.has('V')) return { type: 'text', text: VERSION };
  const [host, length, extra] = parsed.operands;
  if (extra !== undefined) throw bad(`Extra arg \`${extra.text}' (position 3, argc ${extra.at})`);
  if (host === undefined) throw bad('Specify "host" missing argument.');
  const number = (letter: string, usual: number) => integer(given.get(letter), letter, usual);
  const firstHop = number('f', 1);
  const maxHops = number('m', 30);
  const queries = number('q', 3);
  const packetLength = length === undefined ? null : packetLengthOf(length);
  if (firstHop < 1 || firstHop > maxHops) throw bad('first hop out of range');
  if (maxHops > MAX_HOPS) throw bad(`max hops cannot be more than ${MAX_HOPS}`);
  if (queries < 1 || queries > MAX_PROBES) throw bad(`no more than ${MAX_PROBES} probes per hop`);
  if (packetLength !== null && packetLength > MAX_PACKET)
    throw bad(`too big packetlen ${packetLength} specified`);
  return {
    type: 'trace',
    options: {
      host,
      method: given.has('I') ? 'icmp' : 'udp',
      firstHop,
      maxHops,
      queries,
      simultaneous: Math.max(1, number('N', 16)),
      wait: waitOf(given.get('w')),
      port: number('p', 0),
      family: given.has('6') ? 'ipv6' : given.has('4') ? 'ipv4' : 'any',
      packetLength,
      numeric: given.has('n'),
      dontFragment: given.has('F'),
      source: given.get('s')?.value ?? '',
      device: given.get('i')?.value ?? '',
    },
  };
}

function bad(message: string): ToolError {
  return new ToolError(message, 2);
}

export function cannotHandle({ text, at }: Operand, what: 'host' | 'packetlen', position: number): string {
  return `Cannot handle "${what}" cmdline arg \`${text}' on position ${position} (argc ${at})`;
}

function integer(option: ParsedOption | undefined, letter: string, usual: number): number {
  if (option === undefined) return usual;
  if (!/^\d{1,5}$/.test(option.value)) throw badValue(option, letter);
  return Number(option.value);
}

function badValue({ value, at }: ParsedOption, letter: string): ToolError {
  return bad(`Cannot handle \`-${letter}' option with arg \`${value}' (argc ${at})`);
}

function packetLengthOf(operand: Operand): number {
  if (!/^\d{1,9}$/.test(operand.text)) throw bad(cannotHandle(operand, 'packetlen', 2));
  return Number(operand.text);
}

/** Seconds, then two factors; a factor that is left out of a given specification is off. */
function waitOf(option: ParsedOption | undefined): TracerouteOptions['wait'] {
  if (option === undefined) return { max: 5000, here: 3, near: 10 };
  const parts = option.value.split(',');
  if (parts.length > 3 || !parts.every((part) => /^(\d+\.?\d*|\.\d+)$/.test(part)))
    throw badValue(option, 'w');
  const [max = 0, here = 0, near = 0] = parts.map(Number);
  return { max: max * 1000, here, near };
}
