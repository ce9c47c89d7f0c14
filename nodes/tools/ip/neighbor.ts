import {
  familyOf,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipPrefixContains,
  parseIp,
} from '../../../protocols/ip.ts';
import { parseMac } from '../../../protocols/mac.ts';
import type { NeighborFacts, NeighborState } from '../../events/kernel.ts';
import { formatNeighbors } from '../format/neighbors.ts';
import { ToolError } from '../tool.ts';
import {
  change,
  type IpContext,
  refused,
  requireDevice,
  requireIpAddress,
  requireIpPrefix,
  takeDevice,
} from './context.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import {
  EXIT_ARGUMENT,
  EXIT_USAGE,
  garbage,
  invalidArgument,
  notEmulated,
  usage,
  type Words,
} from './words.ts';

const USAGE = `Usage: ip neigh { add | del | change | replace }
                { ADDR [ lladdr LLADDR ] [ nud permanent ] } [ dev DEV ]

	ip neigh { show | flush } [ to PREFIX ] [ dev DEV ] [ nud STATE ]
	ip neigh get ADDR dev DEV

STATE := { delay | failed | incomplete | noarp |
           permanent | probe | reachable | stale }`;

const NEIGHBOR: Subcommands = {
  object: 'ip neigh',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: (words, ctx) => set(words, ctx, 'add'),
    change: (words, ctx) => set(words, ctx, 'change'),
    chg: (words, ctx) => set(words, ctx, 'chg'),
    replace: (words, ctx) => set(words, ctx, 'replace'),
    delete: remove,
    get,
    show,
    lst: show,
    list: show,
    flush,
  },
};

/** `ip neigh`. @throws ToolError */
export function ipNeighbor(args: readonly string[], ctx: IpContext): void {
  runSubcommand(NEIGHBOR, args, ctx);
}

const STATES: readonly NeighborState[] = [
  ...(['PERMANENT', 'REACHABLE', 'NOARP', 'STALE', 'DELAY', 'PROBE', 'FAILED', 'INCOMPLETE'] as const),
];

function stateOf(word: string): NeighborState {
  const state = STATES.find((candidate) => candidate.toLowerCase() === word);
  if (state === undefined) throw invalidArgument(word, 'nud state is bad');
  return state;
}

interface Filter {
  readonly dev: string | null;
  matches(neighbor: NeighborFacts): boolean;
}

/** `usual` are the states that are meant when none is named. @throws ToolError */
function parseFilter(words: Words, ctx: IpContext, usual: readonly NeighborState[]): Filter {
  let dev: string | null = null;
  let to: IpPrefix | null = null;
  const states = new Set<NeighborState>();
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = takeDevice(dev, words.argument());
    else if (word === 'nud' || word === 'unused') {
      const value = word === 'nud' ? words.argument() : 'unused';
      if (value === 'unused') throw notEmulated('ip neigh show unused');
      for (const state of value === 'all' ? STATES : [stateOf(value)]) states.add(state);
    } else if (word === 'proxy' || word === 'vrf' || word === 'master' || word === 'nomaster') {
      throw notEmulated(`ip neigh show ${word}`);
    } else {
      const text = word === 'to' ? words.argument() : word;
      if (to !== null) throw garbage('to', text);
      to = requireIpPrefix(text, ctx.options.family);
    }
  }
  if (dev !== null) requireDevice(ctx.ns, dev);
  const wanted = states.size === 0 ? new Set(usual) : states;
  const prefix = to;
  return {
    dev,
    matches: (neighbor) =>
      ofFamily(neighbor, ctx) &&
      (dev === null || neighbor.dev === dev) &&
      (prefix === null || ipPrefixContains(prefix, parseIp(neighbor.ip) ?? 0)) &&
      wanted.has(neighbor.state),
  };
}

function ofFamily({ ip }: NeighborFacts, { options: { family } }: IpContext): boolean {
  return family === 'any' || familyOf(parseIp(ip) ?? 0) === family;
}

function all(ctx: IpContext): NeighborFacts[] {
  return [...ctx.ns.neighbors(), ...ctx.ns.neighbors6()];
}

function print(neighbors: readonly NeighborFacts[], ctx: IpContext, dev: 'shown' | 'hidden'): void {
  const { json } = ctx.options;
  ctx.out.stdout(formatNeighbors(neighbors, { dev, ...(json === undefined ? {} : { json }) }));
}

function show(words: Words, ctx: IpContext): void {
  const filter = parseFilter(
    words,
    ctx,
    STATES.filter((state) => state !== 'NOARP'),
  );
  print(all(ctx).filter(filter.matches), ctx, filter.dev === null ? 'shown' : 'hidden');
}

interface NeighborArguments {
  readonly ip: IpAddress;
  readonly dev: string;
  readonly mac: number | null;
  readonly state: NeighborState;
}

/** @throws ToolError */
function parseNeighbor(words: Words, ctx: IpContext): NeighborArguments {
  let ip: IpAddress | null = null;
  let dev: string | null = null;
  let mac: number | null = null;
  let state: NeighborState = 'PERMANENT';
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = takeDevice(dev, words.argument());
    else if (word === 'nud') state = stateOf(words.argument());
    else if (word === 'lladdr') {
      const text = words.argument();
      mac = parseMac(text);
      if (mac === null) throw new ToolError(`"${text}" is invalid lladdr.`, EXIT_ARGUMENT);
    } else if (['proxy', 'router', 'use', 'managed', 'extern_learn', 'protocol'].includes(word)) {
      throw notEmulated(`ip neigh ${word}`);
    } else {
      const text = word === 'to' ? words.argument() : word;
      if (ip !== null) throw garbage('to', text);
      ip = requireIpAddress(text, ctx.options.family);
    }
  }
  if (ip === null || dev === null)
    throw new ToolError('Device and destination are required arguments.', EXIT_USAGE);
  requireDevice(ctx.ns, dev);
  return { ip, dev, mac, state };
}

function find(ctx: IpContext, { ip, dev }: NeighborArguments): NeighborFacts | undefined {
  return all(ctx).find((neighbor) => neighbor.dev === dev && neighbor.ip === formatIp(ip));
}

function set(words: Words, ctx: IpContext, command: 'add' | 'change' | 'chg' | 'replace'): void {
  const wanted = parseNeighbor(words, ctx);
  const { ip, dev, mac, state } = wanted;
  const exists = find(ctx, wanted) !== undefined;
  if (command === 'add' && exists) throw refused('RTNETLINK answers: File exists');
  if ((command === 'change' || command === 'chg') && !exists)
    throw refused('RTNETLINK answers: No such file or directory');
  if (state !== 'PERMANENT') throw notEmulated(`ip neigh ${command} nud ${state.toLowerCase()}`);
  if (mac === null) throw refused('Error: No link layer address given.');
  change(() => ctx.ns.setNeighbor(dev, ip, mac));
}

function remove(words: Words, ctx: IpContext): void {
  const { ip, dev } = parseNeighbor(words, ctx);
  if (!ctx.ns.deleteNeighbor(dev, ip)) throw refused('RTNETLINK answers: No such file or directory');
}

function get(words: Words, ctx: IpContext): void {
  const found = find(ctx, parseNeighbor(words, ctx));
  if (found === undefined) throw refused('Error: Neighbour entry not found.');
  print([found], ctx, 'shown');
}

function flush(words: Words, ctx: IpContext): void {
  if (words.done) throw new ToolError('Flush requires arguments.', EXIT_ARGUMENT);
  const usual = STATES.filter((state) => state !== 'PERMANENT' && state !== 'NOARP');
  const filter = parseFilter(words, ctx, usual);
  for (const neighbor of all(ctx).filter(filter.matches))
    ctx.ns.deleteNeighbor(neighbor.dev, parseIp(neighbor.ip) ?? 0);
}
