import type { LookupFamily } from '../../protocols/dns/resolver.ts';
import { servicePort } from '../../protocols/services.ts';
import { getopt } from './getopt.ts';
import { ToolError } from './tool.ts';

export interface NcOptions {
  readonly protocol: 'tcp' | 'udp';
  readonly flags: ReadonlySet<'4' | '6' | 'z' | 'v' | 'n' | 'k' | 'N' | 'd' | 'l' | 'C'>;
  readonly family: LookupFamily;
  readonly host: string;
  readonly ports: readonly number[];
  /** ms; null: none. */
  readonly timeout: number | null;
  /** After the end of the input, ms; null: until the other end closes. */
  readonly quit: number | null;
  readonly sourcePort: number | null;
  readonly source: string;
  /** Port to listen at. */
  readonly listenPort: number;
}

const USAGE = `usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]
\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]
\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]
\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]
\t  [destination] [port]`;

const NOT_EMULATED = 'DFrStUZIiMmOPTVWXxbeco';

/** nc(1) of OpenBSD, Debian's 1.219. @throws ToolError */
export function parseNcOptions(args: readonly string[]): NcOptions {
  const parsed = getopt(args, { flags: '46CdhklNnuvz', values: 'pqsw' });
  if (!parsed.ok) {
    if (parsed.problem === 'unknown' && NOT_EMULATED.includes(parsed.name))
      throw new ToolError(`nc: -${parsed.name} is not emulated`, 1);
    throw new ToolError(USAGE, 1);
  }
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (const { name, value } of parsed.options) {
    if ('pqsw'.includes(name)) values.set(name, value);
    else flags.add(name);
  }
  if (flags.has('h')) throw new ToolError(`OpenBSD netcat (reroute)\n${USAGE}`, 0);
  const protocol = flags.has('u') ? 'udp' : 'tcp';
  const words = parsed.operands.map(({ text }) => text);
  const common = {
    protocol,
    // The last of them counts.
    family: familyOf(parsed.options.map(({ name }) => name)),
    flags: flags as NcOptions['flags'],
    timeout: wholeSeconds(values.get('w'), 'timeout'),
    quit: wholeSeconds(values.get('q'), 'quit timer'),
    sourcePort: values.has('p') && !flags.has('l') ? portOf(values.get('p')!, protocol) : null,
    source: values.get('s') ?? '',
  } as const;
  if (flags.has('l')) {
    if (flags.has('z')) throw new ToolError('nc: cannot use -z and -l', 1);
    const [first, second, third] = words;
    if (third !== undefined) throw new ToolError(USAGE, 1);
    const port = values.get('p') ?? second ?? first;
    if (port === undefined) throw new ToolError('nc: missing port number', 1);
    const host = (values.has('p') ? first : second === undefined ? undefined : first) ?? '';
    return { ...common, host, ports: [], listenPort: portOf(port, protocol) };
  }
  if (flags.has('k')) throw new ToolError('nc: must use -l with -k', 1);
  const [host, ports, more] = words;
  if (host === undefined || more !== undefined) throw new ToolError(USAGE, 1);
  if (ports === undefined) throw new ToolError('nc: missing port number', 1);
  return { ...common, host, ports: portsOf(ports, protocol), listenPort: 0 };
}

function familyOf(names: readonly string[]): LookupFamily {
  const last = names.findLast((name) => name === '4' || name === '6');
  return last === undefined ? 'any' : last === '4' ? 'ipv4' : 'ipv6';
}

function portsOf(text: string, protocol: 'tcp' | 'udp'): number[] {
  const [, low, high] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  if (low === undefined || high === undefined) return [portOf(text, protocol)];
  const [a, b] = [portOf(low, protocol), portOf(high, protocol)];
  const [from, to] = a <= b ? [a, b] : [b, a];
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function portOf(text: string, protocol: 'tcp' | 'udp'): number {
  const named = servicePort(text, protocol);
  if (named !== null) return named;
  if (!/^\d+$/.test(text)) throw new ToolError(`nc: port number invalid: ${text}`, 1);
  const port = Number(text);
  if (port > 65_535) throw new ToolError(`nc: port number too large: ${text}`, 1);
  if (port < 1) throw new ToolError(`nc: port number too small: ${text}`, 1);
  return port;
}

function wholeSeconds(text: string | undefined, what: string): number | null {
  if (text === undefined) return null;
  if (!/^-?\d+$/.test(text)) throw new ToolError(`nc: ${what} invalid: ${text}`, 1);
  return Number(text) < 0 ? null : Number(text) * 1000;
}
