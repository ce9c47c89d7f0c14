import { type IpAddress, parseIp } from '../../protocols/ip.ts';
import { HEAD_START } from './curl-connect.ts';
import { getopt, type ParsedOption } from './getopt.ts';
import { ToolError } from './tool.ts';

export interface CurlOptions {
  readonly urls: readonly string[];
  readonly flags: ReadonlySet<CurlFlag>;
  /** '' for none; absent: as the data and `-I` say. */
  readonly method: string | null;
  readonly headers: readonly string[];
  /** Parts of the data, joined by `&`; null: no data. */
  readonly data: string | null;
  readonly userAgent: string | null;
  readonly user: string;
  /** Where the content goes: '' to stdout, else /dev/null. */
  readonly output: '' | '/dev/null';
  readonly writeOut: string;
  /** ms; 0: none. */
  readonly maxTime: number;
  readonly connectTimeout: number;
  readonly interface: string;
  readonly localPort: number | null;
  /** `host:port:address[,address]...` */
  readonly resolve: readonly AddedHost[];
  /** How long the first family of addresses is tried alone, ms. */
  readonly headStart: number;
  readonly retry: number;
  /** ms; 0: one second, doubling. */
  readonly retryDelay: number;
  readonly maxRedirs: number;
}

export interface AddedHost {
  readonly host: string;
  readonly port: number;
  /** As they were written. */
  readonly text: string;
  readonly addresses: readonly IpAddress[];
}

export type CurlFlag =
  | 'silent'
  | 'show-error'
  | 'verbose'
  | 'include'
  | 'head'
  | 'fail'
  | 'fail-with-body'
  | 'location'
  | 'ipv4'
  | 'ipv6'
  | 'get'
  | 'globoff'
  | 'json'
  | 'retry-connrefused'
  | 'http1.0';

const SHORT: Readonly<Record<string, string>> = {
  s: 'silent',
  S: 'show-error',
  v: 'verbose',
  i: 'include',
  I: 'head',
  f: 'fail',
  L: 'location',
  k: 'insecure',
  '4': 'ipv4',
  '6': 'ipv6',
  G: 'get',
  g: 'globoff',
  N: 'no-buffer',
  '0': 'http1.0',
  V: 'version',
  o: 'output',
  w: 'write-out',
  m: 'max-time',
  X: 'request',
  H: 'header',
  d: 'data',
  A: 'user-agent',
  e: 'referer',
  b: 'cookie',
  u: 'user',
  h: 'help',
};

const FLAGS = [
  'silent',
  'show-error',
  'verbose',
  'include',
  'head',
  'fail',
  'fail-with-body',
  'location',
  'insecure',
  'ipv4',
  'ipv6',
  'get',
  'globoff',
  'no-buffer',
  'no-progress-meter',
  'no-keepalive',
  'tcp-nodelay',
  'http1.0',
  'http1.1',
  'retry-connrefused',
  'version',
  'help',
];

const VALUES = [
  'output',
  'write-out',
  'max-time',
  'connect-timeout',
  'request',
  'header',
  'data',
  'data-raw',
  'data-ascii',
  'data-binary',
  'json',
  'user-agent',
  'referer',
  'cookie',
  'user',
  'resolve',
  'interface',
  'local-port',
  'retry',
  'retry-delay',
  'retry-max-time',
  'happy-eyeballs-timeout-ms',
  'max-redirs',
  'noproxy',
  'url',
];

/** Options of curl that mean something that is not here. */
const NOT_EMULATED = [
  ...'aBcCDEFjJKlMnOpPqQrRtTUxyYzZ#123',
  'proxy',
  'upload-file',
  'form',
  'remote-name',
  'cookie-jar',
  'cert',
  'cacert',
  'key',
  'http2',
  'http3',
  'compressed',
  'limit-rate',
  'parallel',
  'range',
  'trace',
  'trace-ascii',
  'unix-socket',
  'dump-header',
  'config',
];

const TRY = "curl: try 'curl --help' or 'curl --manual' for more information";
const VERSION = `curl 7.88.1 (reroute) libcurl/7.88.1
Protocols: http
Features: IPv6`;
const HELP = `Usage: curl [options...] <url>
 -d, --data <data>           HTTP POST data
 -f, --fail                  Fail fast with no output on HTTP errors
     --happy-eyeballs-timeout-ms <milliseconds> Time for IPv6 before trying IPv4
 -g, --globoff               Disable URL sequences and ranges using {} and []
 -G, --get                   Put the post data in the URL and use GET
 -H, --header <header>       Pass custom header to server
 -I, --head                  Show document info only
 -i, --include               Include protocol response headers in the output
     --interface <name>      Use network INTERFACE (or address)
 -4, --ipv4                  Resolve names to IPv4 addresses
 -6, --ipv6                  Resolve names to IPv6 addresses
 -L, --location              Follow redirects
 -m, --max-time <fractional seconds> Maximum time allowed for transfer
     --connect-timeout <fractional seconds> Maximum time allowed for connection
 -o, --output <file>         Write to /dev/null instead of stdout
 -X, --request <method>      Specify request method to use
     --resolve <host:port:addr> Resolve the host+port to this address
     --retry <num>           Retry request if transient problems occur
     --retry-connrefused     Retry on connection refused (use with --retry)
     --retry-delay <seconds> Wait time between retries
 -s, --silent                Silent mode
 -S, --show-error            Show error even when -s is used
 -A, --user-agent <name>     Send User-Agent <name> to server
 -v, --verbose               Make the operation more talkative
 -V, --version               Show version number and quit
 -w, --write-out <format>    Use output FORMAT after completion`;

/** @throws ToolError; with code 0 where only help or the version was asked for, its text then belongs on stdout. */
export function parseCurlOptions(args: readonly string[]): CurlOptions {
  const short = (names: readonly string[]) =>
    Object.entries(SHORT).flatMap(([letter, name]) => (names.includes(name) ? [letter] : []));
  const parsed = getopt(args, { flags: [...FLAGS, ...short(FLAGS)], values: [...VALUES, ...short(VALUES)] });
  if (!parsed.ok) {
    const shown = parsed.name.length > 1 ? `--${parsed.name}` : `-${parsed.name}`;
    if (parsed.problem === 'missing-argument')
      throw new ToolError(`curl: option ${shown}: requires parameter\n${TRY}`, 2);
    if (NOT_EMULATED.includes(parsed.name))
      throw new ToolError(`curl: option ${shown}: is not emulated\n${TRY}`, 2);
    throw new ToolError(`curl: option ${shown}: is unknown\n${TRY}`, 2);
  }
  const flags = new Set<string>();
  const values = new Map<string, ParsedOption[]>();
  for (const option of parsed.options) {
    const name = SHORT[option.name] ?? option.name;
    if (FLAGS.includes(name)) flags.add(name);
    else values.set(name, [...(values.get(name) ?? []), option]);
  }
  if (flags.has('help')) throw new ToolError(HELP, 0);
  if (flags.has('version')) throw new ToolError(VERSION, 0);
  const all = (name: string) => (values.get(name) ?? []).map(({ value }) => value);
  const last = (name: string) => all(name).at(-1) ?? null;
  const number = (name: string): number => {
    const option = values.get(name)?.at(-1);
    if (option === undefined) return 0;
    if (!/^\d+(\.\d*)?$/.test(option.value)) {
      const shown = option.name.length > 1 ? `--${option.name}` : `-${option.name}`;
      throw new ToolError(`curl: option ${shown}: expected a proper numerical parameter\n${TRY}`, 2);
    }
    return Number(option.value);
  };
  const urls = [...all('url'), ...parsed.operands.map(({ text }) => text)];
  if (urls.length === 0) throw new ToolError(args.length === 0 ? TRY : `curl: no URL specified!\n${TRY}`, 2);
  const json = last('json');
  if (json !== null) flags.add('json');
  const data = [
    ...['data', 'data-raw', 'data-ascii', 'data-binary'].flatMap(all),
    ...(json === null ? [] : [json]),
  ];
  const file = data.find((part) => part.startsWith('@')) ?? null;
  if (file !== null && last('data-raw') === null)
    throw new ToolError(`curl: Failed to open ${file.slice(1)}: data from files is not emulated\n${TRY}`, 26);
  const output = last('output') ?? '';
  if (!['', '-', '/dev/null'].includes(output))
    throw new ToolError(`curl: option -o: only /dev/null and - are emulated, not ${output}\n${TRY}`, 2);
  const fields = ['referer', 'cookie'].flatMap((name) =>
    all(name).map((value) => `${name === 'referer' ? 'Referer' : 'Cookie'}: ${value}`),
  );
  return {
    urls,
    flags: flags as ReadonlySet<CurlFlag>,
    method: last('request'),
    headers: [...fields, ...all('header')],
    data: data.length === 0 ? null : data.join('&'),
    userAgent: last('user-agent'),
    user: last('user') ?? '',
    output: output === '/dev/null' ? output : '',
    writeOut: last('write-out') ?? '',
    maxTime: number('max-time') * 1000,
    connectTimeout: number('connect-timeout') * 1000,
    interface: last('interface') ?? '',
    localPort: last('local-port') === null ? null : number('local-port'),
    resolve: all('resolve').map(parseResolve),
    headStart: last('happy-eyeballs-timeout-ms') === null ? HEAD_START : number('happy-eyeballs-timeout-ms'),
    retry: number('retry'),
    retryDelay: number('retry-delay') * 1000,
    maxRedirs: last('max-redirs') === null ? 50 : number('max-redirs'),
  };
}

function parseResolve(text: string): AddedHost {
  const [, host, port, given] = /^([^:]+):(\d+):(.+)$/.exec(text.replace(/^\+/, '')) ?? [];
  const addresses = (given ?? '').split(',').map((one) => parseIp(one.replace(/^\[(.*)\]$/, '$1')));
  if (host === undefined || port === undefined || given === undefined || addresses.includes(null))
    throw new ToolError(`curl: (49) Couldn't parse CURLOPT_RESOLVE entry '${text}'`, 49);
  return {
    host,
    port: Number(port),
    text: given,
    addresses: addresses.filter((addr) => addr !== null),
  };
}
