import type { Command } from '../tool.ts';
import { ToolError } from '../tool.ts';
import { ipAddress } from './address.ts';
import type { IpContext, IpOptions } from './context.ts';
import { ipLink } from './link.ts';
import { openNamespace } from './namespaces.ts';
import { ipNeighbor } from './neighbor.ts';
import { ipNetns } from './netns.ts';
import { ipRoute } from './route.ts';
import { ipRule } from './rule.ts';
import { abbreviates, EXIT_ARGUMENT, EXIT_USAGE, keywordOf, notEmulated, usage } from './words.ts';
import { ipXfrm } from './xfrm/xfrm.ts';

/** ip.c's objects in the order in which it tries an abbreviation. */
const OBJECTS = [
  ...['address', 'addrlabel', 'maddress', 'route', 'rule', 'neighbor', 'neighbour', 'ntable', 'ntbl', 'link'],
  ...['l2tp', 'fou', 'ila', 'macsec', 'tunnel', 'tunl', 'tuntap', 'tap', 'token', 'tcpmetrics', 'monitor'],
  ...[
    'xfrm',
    'mroute',
    'mrule',
    'netns',
    'netconf',
    'vrf',
    'sr',
    'nexthop',
    'mptcp',
    'ioam',
    'help',
    'stats',
  ],
];

const objects: Readonly<Record<string, (words: readonly string[], ctx: IpContext) => void>> = {
  address: ipAddress,
  route: ipRoute,
  rule: ipRule,
  neighbor: ipNeighbor,
  neighbour: ipNeighbor,
  link: ipLink,
  netns: ipNetns,
  xfrm: ipXfrm,
};

const USAGE = `Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { address | link | neighbor | neighbour | route | rule |
                   netns | xfrm }
       OPTIONS := { -V[ersion] | -d[etails] | -j[son] | -p[retty] |
                    -f[amily] { inet | inet6 } | -4 | -6 |
                    -n[etns] name | -br[ief] | -o[neline] | -c[olor]}`;

const VERSION = 'ip utility, iproute2-6.1.0, reroute';

/** ip(8) of iproute2: address, link, neighbor, netns, route, rule, xfrm. */
export const ip: Command = (args, ctx, out) => {
  const { options, rest, version, netns } = parseOptions(args);
  if (version) {
    out.stdout(`${VERSION}\n`);
    return 0;
  }
  const [word, ...words] = rest;
  if (word === undefined) throw usage(USAGE);
  const object = keywordOf(word, OBJECTS);
  if (object === undefined) throw new ToolError(`Object "${word}" is unknown, try "ip help".`, EXIT_ARGUMENT);
  if (object === 'help') throw usage(USAGE);
  const run = objects[object];
  if (run === undefined) throw notEmulated(`ip ${object}`);
  const ns = netns === null ? ctx.ns : openNamespace(ctx, netns);
  run(words, { tool: { ...ctx, ns }, ns, options, out });
  return 0;
};

/** Options that iproute2 knows and that would change what is printed or done. */
const REFUSED = ['statistics', 'stats', 'resolve', 'human-readable', 'iec', 'loops', 'timestamp', 'tshort'];
const REFUSED_LETTERS = ['M', 'B', '0', 'batch', 'force', 'rcvbuf', 'Numeric', 'all'];

/** @throws ToolError */
function parseOptions(args: readonly string[]): {
  readonly options: IpOptions;
  readonly rest: readonly string[];
  readonly version: boolean;
  /** `-n`: the namespace to work in. */
  readonly netns: string | null;
} {
  let family: IpOptions['family'] = 'any';
  let style: IpOptions['style'] = 'full';
  let netns: string | null = null;
  const seen = new Set<string>();
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at]!;
    if (!word.startsWith('-') || word === '-') break;
    const name = word.startsWith('--') ? word.slice(2) : word.slice(1);
    if (name === '') {
      at++;
      break;
    }
    const is = (keyword: string) => abbreviates(name, keyword);
    if (name === '4') family = 'inet';
    else if (name === '6') family = 'inet6';
    else if (is('family')) {
      const value = args[++at];
      if (value !== 'inet' && value !== 'inet6') throw notEmulated(`-family ${value ?? ''}`.trimEnd());
      family = value;
    } else if (is('netns')) {
      netns = args[++at] ?? null;
      if (netns === null) throw usage(USAGE);
    } else if (is('oneline')) style = 'oneline';
    else if (is('brief') && name !== 'b') style = 'brief';
    else if (is('json') || is('pretty') || is('details') || is('Version')) seen.add(name[0]!);
    else if (is('help')) throw usage(USAGE);
    else if (is('color') || name.startsWith('color=')) continue;
    else if ((is('statistics') || is('stats')) && isXfrm(args.slice(at + 1))) seen.add('s');
    else if ([...REFUSED, ...REFUSED_LETTERS].some(is)) throw notEmulated(`ip -${name}`);
    else throw new ToolError(`Option "-${name}" is unknown, try "ip -help".`, EXIT_USAGE);
  }
  return {
    options: {
      family,
      style,
      ...(seen.has('j') ? { json: seen.has('p') ? 'pretty' : 'compact' } : {}),
      ...(seen.has('d') ? { details: 'shown' } : {}),
      ...(seen.has('s') ? { statistics: 'shown' } : {}),
    },
    rest: args.slice(at),
    version: seen.has('V'),
    netns,
  };
}

/** Of what else has statistics none are shown here. */
function isXfrm(rest: readonly string[]): boolean {
  const object = rest.find((word) => !word.startsWith('-')) ?? '';
  return object !== '' && abbreviates(object, 'xfrm');
}
