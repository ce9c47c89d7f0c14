import { getopt } from '../getopt.ts';
import { ToolError } from '../tool.ts';

export interface IperfOptions {
  readonly mode: { readonly side: 'server' } | { readonly side: 'client'; readonly host: string };
  /** `-V`: a server listens on `::`, a client takes addresses of IPv6 alone. */
  readonly family: 'ipv4' | 'ipv6';
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
  /** Bytes of a datagram, or of a write. */
  readonly length: number;
  /** Datagrams a second of a UDP client. */
  readonly pps: number;
  /** When a client ends: after so many ms, or bytes. */
  readonly end:
    | { readonly after: 'time'; readonly ms: number }
    | { readonly after: 'bytes'; readonly bytes: number };
  /** Time between two interim reports, ms; 0 for none. */
  readonly interval: number;
  /** How rates are shown; 'a' picks the unit. */
  readonly format: 'a' | 'k' | 'm' | 'g' | 'K' | 'M' | 'G';
}

const USAGE = `Usage: iperf [-s|-c host] [options]
Try \`iperf --help' for more information.`;

const HELP = `Usage: iperf [-s|-c host] [options]

Client/Server:
  -f, --format    [kmgKMG]  format to report: Kbits, Mbits, Gbits, KBytes, MBytes, GBytes
  -i, --interval  #         seconds between periodic bandwidth reports
  -l, --len       #[kmKM]   length of buffer to read or write, datagram size with -u
  -p, --port      #         server port to listen on/connect to
  -u, --udp                 use UDP rather than TCP
  -V, --ipv6_domain         set the domain to IPv6 (send packets over IPv6)

Server specific:
  -s, --server              run in server mode

Client specific:
  -c, --client    <host>    run in client mode, connecting to <host>
  -b, --bandwidth #[kmgKMG | pps]  for UDP, bandwidth to send at in bits/sec or packets per second
  -n, --num       #[kmgKMG] number of bytes to transmit (instead of -t)
  -t, --time      #         time in seconds to transmit for (default 10 secs)
`;

const LONG: Readonly<Record<string, string>> = {
  format: 'f',
  interval: 'i',
  len: 'l',
  port: 'p',
  udp: 'u',
  server: 's',
  client: 'c',
  bandwidth: 'b',
  num: 'n',
  time: 't',
  help: 'h',
  ipv6_domain: 'V',
};

const DEFAULT_PORT = 5001;
/** What a packet of 1500 bytes has room for. */
const DEFAULT_UDP_LENGTH = { ipv4: 1470, ipv6: 1450 } as const;
const DEFAULT_TCP_LENGTH = 131_072;
/** bit/s */
const DEFAULT_BANDWIDTH = 1_048_576;
/** What a datagram needs for its head, and the most that UDP takes. */
const LENGTH_MIN = 60;
const LENGTH_MAX = 65_507;

/** @throws ToolError */
export function parseIperfOptions(args: readonly string[]): IperfOptions {
  const flags = ['s', 'u', 'h', 'V', 'server', 'udp', 'help', 'ipv6_domain'];
  const values = [
    'c',
    'b',
    'f',
    'i',
    'l',
    'n',
    'p',
    't',
    'client',
    'bandwidth',
    'format',
    'interval',
    'len',
    'num',
    'port',
    'time',
  ];
  const parsed = getopt(args, { flags, values });
  if (!parsed.ok) throw new ToolError(`iperf: unrecognized option '-${parsed.name}'\n${USAGE}`, 1);
  const given = new Map(parsed.options.map(({ name, value }) => [LONG[name] ?? name, value]));
  if (given.has('h')) throw new ToolError(HELP.trimEnd(), 0);
  const [operand] = parsed.operands;
  if (operand !== undefined)
    throw new ToolError(`iperf: ignoring extra argument -- ${operand.text}\n${USAGE}`, 1);
  if (given.has('s') === given.has('c')) throw new ToolError(USAGE, 1);
  const protocol = given.has('u') ? 'udp' : 'tcp';
  const family = given.has('V') ? 'ipv6' : 'ipv4';
  const usual = protocol === 'udp' ? DEFAULT_UDP_LENGTH[family] : DEFAULT_TCP_LENGTH;
  const length = number(given, 'l', usual, scaled);
  if (protocol === 'udp' && (length < LENGTH_MIN || length > LENGTH_MAX))
    throw new ToolError(`iperf: -l takes ${LENGTH_MIN} to ${LENGTH_MAX} bytes with -u`, 1);
  const bytes = number(given, 'n', 0, scaled);
  const ms = number(given, 't', 10, seconds) * 1000;
  return {
    mode: given.has('s') ? { side: 'server' } : { side: 'client', host: given.get('c') ?? '' },
    family,
    protocol,
    port: number(given, 'p', DEFAULT_PORT, (text) =>
      /^\d+$/.test(text) && Number(text) < 65_536 ? Number(text) : null,
    ),
    length,
    pps: ppsOf(given.get('b'), length),
    end: bytes > 0 ? { after: 'bytes', bytes } : { after: 'time', ms },
    interval: number(given, 'i', 0, seconds) * 1000,
    format: formatOf(given.get('f')),
  };
}

function number(
  given: ReadonlyMap<string, string>,
  name: string,
  otherwise: number,
  parse: (text: string) => number | null,
): number {
  const text = given.get(name);
  if (text === undefined) return otherwise;
  const value = parse(text);
  if (value === null) throw new ToolError(`iperf: invalid value '${text}' for -${name}\n${USAGE}`, 1);
  return value;
}

function seconds(text: string): number | null {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

/** `10k` is 10240 and `10m` 10485760 bytes, as iperf counts what is no rate. */
function scaled(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  if (match === null) return null;
  return Math.floor(Number(match[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf(match[2]!.toLowerCase()));
}

/** `-b 10m` is bit/s, `-b 1000pps` datagrams a second. */
function ppsOf(text: string | undefined, length: number): number {
  if (text === undefined) return DEFAULT_BANDWIDTH / (length * 8);
  const pps = /^(\d+(?:\.\d+)?)([kmg]?)pps$/i.exec(text);
  const bits = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text);
  const match = pps ?? bits;
  const value =
    match === null ? 0 : Number(match[1]) * 1000 ** ['', 'k', 'm', 'g'].indexOf(match[2]!.toLowerCase());
  if (value <= 0) throw new ToolError(`iperf: invalid value '${text}' for -b\n${USAGE}`, 1);
  return pps !== null ? value : value / (length * 8);
}

function formatOf(text = 'a'): IperfOptions['format'] {
  const found = (['a', 'k', 'm', 'g', 'K', 'M', 'G'] as const).find((letter) => letter === text);
  if (found === undefined) throw new ToolError(`iperf: invalid format '${text}'\n${USAGE}`, 1);
  return found;
}
