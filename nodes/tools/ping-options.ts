import { getopt, type ParsedOption } from './getopt.ts';
import { ToolError } from './tool.ts';

export interface PingOptions {
  readonly target: string;
  readonly family: 'any' | 'ipv4' | 'ipv6';
  /** Replies after which it ends; 0: never. */
  readonly count: number;
  /** ms */
  readonly interval: number;
  /** How long to wait for a first answer after the last packet, ms; 0: for ever. */
  readonly linger: number;
  /** When to end whatever has come, ms from the start; 0: never. */
  readonly deadline: number;
  /** Bytes of payload. */
  readonly size: number;
  readonly ttl: number | null;
  readonly dontFragment: boolean;
  /** Address or device to send from, '' if none is asked for. */
  readonly from: string;
  readonly flags: ReadonlySet<'q' | 'n' | 'D' | 'O' | 'b'>;
}

/** Options of iputils' ping that mean something that is not here. */
const NOT_EMULATED = 'aABCdefFlLmNpQRSTUv';

const USAGE = `
Usage
  ping [options] <destination>

Options:
  <destination>      dns name or ip address
  -c <count>         stop after <count> replies
  -D                 print timestamps
  -h                 print help and exit
  -I <interface>     either interface name or address
  -i <interval>      seconds between sending each packet
  -M <pmtud opt>     define mtu discovery, can be one of <do|dont|want>
  -n                 no dns name resolution
  -O                 report outstanding replies
  -q                 quiet output
  -s <size>          use <size> as number of data bytes to be sent
  -t <ttl>           define time to live
  -V                 print version and exit
  -w <deadline>      reply wait <deadline> in seconds
  -W <timeout>       time to wait for response

IPv4 options:
  -4                 use IPv4
  -b                 allow pinging broadcast

IPv6 options:
  -6                 use IPv6

For more details see ping(8).`;

const VERSION = 'ping from iputils 20221126, reroute';

const DEFAULT_INTERVAL = 1000;
/** `MAXWAIT` of ping_common.h, ms. */
const DEFAULT_LINGER = 10_000;
const DEFAULT_SIZE = 56;
/** What a user without privileges may ask for, ms: below it, a ping of the host itself would flood. */
const MIN_INTERVAL = 2;
const INT_MAX = 2_147_483_647;

/**
 * Without `-M do`, packets may be fragmented on their way: `want` is taken for `dont`.
 * @throws ToolError; with code 0 where only the version was asked for, its text then belongs on stdout.
 */
export function parsePingOptions(args: readonly string[]): PingOptions {
  const parsed = getopt(args, { flags: 'qnDObhV46', values: 'ciIWwstM' });
  if (!parsed.ok) {
    if (parsed.problem === 'missing-argument')
      throw new ToolError(`ping: option requires an argument -- '${parsed.name}'\n${USAGE}`, 2);
    if (NOT_EMULATED.includes(parsed.name)) throw new ToolError(`ping: -${parsed.name} is not emulated`, 2);
    throw new ToolError(`ping: invalid option -- '${parsed.name}'\n${USAGE}`, 2);
  }
  let count = 0;
  let interval = DEFAULT_INTERVAL;
  let linger = DEFAULT_LINGER;
  let deadline = 0;
  let size = DEFAULT_SIZE;
  let ttl: number | null = null;
  let dontFragment = false;
  let from = '';
  const flags = new Set<'q' | 'n' | 'D' | 'O' | 'b'>();
  for (const option of parsed.options) {
    switch (option.name) {
      case 'c':
        count = integer(option, 1, '9223372036854775807');
        break;
      case 'i':
        interval = seconds(option, 'bad timing interval');
        break;
      case 'W':
        linger = seconds(option, 'bad linger time');
        break;
      case 'w':
        deadline = integer(option, 0, String(INT_MAX)) * 1000;
        break;
      case 's':
        size = integer(option, 0, String(INT_MAX));
        break;
      case 't':
        ttl = integer(option, 0, '255');
        break;
      case 'M':
        if (!['do', 'dont', 'want'].includes(option.value))
          throw new ToolError(`ping: invalid -M argument: ${option.value}`, 2);
        dontFragment = option.value === 'do';
        break;
      case 'I':
        from = option.value;
        break;
      case 'q':
      case 'n':
      case 'D':
      case 'O':
      case 'b':
        flags.add(option.name);
        break;
      case 'h':
        throw new ToolError(USAGE, 2);
      case 'V':
        throw new ToolError(VERSION, 0);
      default:
    }
  }
  const families = new Set(
    parsed.options.map(({ name }) => name).filter((name) => name === '4' || name === '6'),
  );
  if (families.size > 1) throw new ToolError('ping: only one -4 or -6 option may be specified', 2);
  const target = parsed.operands.at(-1)?.text;
  if (target === undefined) throw new ToolError('ping: usage error: Destination address required', 1);
  if (interval < MIN_INTERVAL)
    throw new ToolError(
      `ping: cannot flood, minimal interval for user must be >= ${MIN_INTERVAL} ms, use -i 0.002 (or higher)`,
      2,
    );
  if (ttl === 0) throw new ToolError('ping: cannot set unicast time-to-live: Invalid argument', 2);
  const family = families.has('4') ? 'ipv4' : families.has('6') ? 'ipv6' : 'any';
  return { target, family, count, interval, linger, deadline, size, ttl, dontFragment, from, flags };
}

/** `strtol_or_err` */
function integer({ value }: ParsedOption, min: number, max: string): number {
  if (!/^[+-]?\d+$/.test(value)) throw new ToolError(`ping: invalid argument: '${value}'`, 1);
  if (Number(value) < min || Number(value) > Number(max))
    throw new ToolError(`ping: invalid argument: '${value}': out of range: ${min} <= value <= ${max}`, 1);
  return Number(value);
}

/** ms */
function seconds({ value }: ParsedOption, complaint: string): number {
  const number = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= 0 && number <= INT_MAX / 1e6)) throw new ToolError(`ping: ${complaint}: ${value}`, 2);
  return Math.floor(number * 1000);
}
