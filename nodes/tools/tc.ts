import {
  changeByTc,
  changeNetem,
  isPlain,
  type NetemParameters,
  netemProblem,
  PLAIN_NETEM,
} from '../../protocols/netem/parameters.ts';
import { formatNetem, IncompleteNetemError, NetemError, parseNetem } from '../../protocols/netem/words.ts';
import type { Device } from '../kernel/device.ts';
import { defaultQdisc } from './format/link-names.ts';
import type { Command, ToolContext } from './tool.ts';
import { ToolError } from './tool.ts';

const USAGE = `Usage:	tc [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { qdisc }
       OPTIONS := { -s[tatistics] }`;

const QDISC_USAGE = `Usage: tc qdisc [ add | del | replace | change | show ] dev STRING
       [ handle QHANDLE ] [ root ]
       [ [ QDISC_KIND ] [ help | OPTIONS ] ]

       tc qdisc { show | list } [ dev STRING ]
Where:
QDISC_KIND := { netem }`;

/** Codes that iproute2 exits with: bad usage, and what the kernel refuses. */
const EXIT_USAGE = 1;
const EXIT_ARGUMENT = 255;
const EXIT_KERNEL = 2;

/** In the order in which they are looked for. */
const COMMANDS = ['add', 'change', 'replace', 'delete', 'list', 'show', 'lst', 'help'] as const;

interface Request {
  readonly dev: string | null;
  /** Whether it says that it is about the device's root. */
  readonly place: 'root' | 'none';
  readonly kind: string | null;
  readonly options: readonly string[];
}

/** tc(8) of iproute2, of which the emulated kernel has the netem queueing discipline at a device's root. */
export const tc: Command = (args, ctx, out) => {
  const first = args.findIndex((word) => !word.startsWith('-'));
  const options = first < 0 ? args : args.slice(0, first);
  const statistics = options.some((word) => /^-s(t(a(t(i(s(t(i(c(s)?)?)?)?)?)?)?)?)?$/.test(word));
  const [object = '', abbreviated = 'show', ...rest] = args.slice(options.length);
  if (object === '' || object === 'help') throw new ToolError(USAGE, EXIT_USAGE);
  if (!'qdisc'.startsWith(object)) {
    if (['class', 'filter', 'chain', 'action', 'monitor', 'exec'].some((name) => name.startsWith(object)))
      throw new ToolError(`"tc ${object}" is not emulated, only "tc qdisc"`, EXIT_USAGE);
    throw new ToolError(`Object "${object}" is unknown, try "tc help".`, EXIT_ARGUMENT);
  }
  const request = read(rest);
  const command = COMMANDS.find((name) => name.startsWith(abbreviated));
  switch (command) {
    case 'show':
    case 'list':
    case 'lst': {
      // Who asks for one knows which it is.
      const shown = (device: Device) => (request.dev === null ? ` dev ${device.name}` : '');
      for (const device of devicesOf(ctx, request.dev)) out.stdout(show(device, shown(device), statistics));
      return 0;
    }
    case 'add':
    case 'change':
    case 'replace':
      set(command, request, ctx);
      return 0;
    case 'delete':
      remove(request, ctx);
      return 0;
    case 'help':
      throw new ToolError(QDISC_USAGE, EXIT_USAGE);
    default:
      throw new ToolError(`Command "${abbreviated}" is unknown, try "tc qdisc help".`, EXIT_ARGUMENT);
  }
};

function read(words: readonly string[]): Request {
  let dev: string | null = null;
  let place: Request['place'] = 'none';
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === 'dev') dev = words[++i] ?? null;
    else if (word === 'handle') i++;
    else if (word === 'parent' || word === 'ingress' || word === 'clsact')
      throw new ToolError(`"${word}" is not emulated: netem stands at the root`, EXIT_USAGE);
    else if (word === 'root') place = 'root';
    else return { dev, place, kind: word, options: words.slice(i + 1) };
  }
  return { dev, place, kind: null, options: [] };
}

function required({ dev }: Request, ctx: ToolContext): Device {
  if (dev === null) throw new ToolError('RTNETLINK answers: No such device', EXIT_KERNEL);
  return devicesOf(ctx, dev)[0]!;
}

function devicesOf({ ns }: ToolContext, dev: string | null): readonly Device[] {
  if (dev === null) return ns.devices();
  const device = ns.device(dev);
  if (device === undefined) throw new ToolError(`Cannot find device "${dev}"`, EXIT_USAGE);
  return [device];
}

function set(command: 'add' | 'change' | 'replace', request: Request, ctx: ToolContext): void {
  const device = required(request, ctx);
  const { place, kind, options } = request;
  const changes = kind === 'netem' ? parse(options) : {};
  const problem = netemProblem(changeNetem(PLAIN_NETEM, changes));
  if (problem !== null) throw new ToolError(problem, EXIT_USAGE);
  if (place === 'none') throw new ToolError('Error: Handle cannot be zero.', EXIT_KERNEL);
  if (kind === null) throw new ToolError('Error: Qdisc kind is missing.', EXIT_KERNEL);
  if (kind !== 'netem') throw new ToolError('Error: Specified qdisc kind is unknown.', EXIT_KERNEL);
  if (command === 'add' && device.qdisc !== null)
    throw new ToolError('Error: Exclusivity flag on, cannot modify.', EXIT_KERNEL);
  if (command === 'change' && device.qdisc === null)
    throw new ToolError('Error: Qdisc not found. To create specify NLM_F_CREATE flag.', EXIT_KERNEL);
  const old = device.qdisc?.parameters ?? PLAIN_NETEM;
  ctx.ns.impairments.setNetem(device.name, changeByTc(old, changes));
}

/** `tc_get_qdisc` */
function remove(request: Request, ctx: ToolContext): void {
  const device = required(request, ctx);
  const kind = device.qdisc === null ? defaultQdisc(device.facts().kind) : 'netem';
  if (request.kind !== null && request.kind !== kind)
    throw new ToolError('Error: Invalid qdisc name.', EXIT_KERNEL);
  if (!ctx.ns.impairments.removeNetem(device.name))
    throw new ToolError('Error: Cannot delete qdisc with handle of zero.', EXIT_KERNEL);
}

function parse(options: readonly string[]) {
  try {
    return parseNetem(options);
  } catch (error) {
    if (error instanceof NetemError)
      throw new ToolError(error.message, error instanceof IncompleteNetemError ? EXIT_ARGUMENT : EXIT_USAGE);
    throw error;
  }
}

/** pfifo_fast's bands by the priority of a packet (tc-pfifo_fast(8)). */
const PRIOMAP = ' bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1';

function show(device: Device, name: string, statistics: boolean): string {
  const { qdisc } = device;
  if (qdisc === null) {
    const kind = defaultQdisc(device.facts().kind);
    return `qdisc ${kind} 0:${name} root refcnt 2${kind === 'pfifo_fast' ? PRIOMAP : ' '}\n`;
  }
  const { bytes, packets, dropped, queued, backlog } = qdisc.statistics;
  const counted = ` Sent ${bytes} bytes ${packets} pkt (dropped ${dropped}, overlimits 0 requeues 0) \n backlog ${backlog}b ${queued}p requeues 0\n`;
  const options = isPlain(qdisc.parameters) ? 'limit 1000' : formatNetem(shownByTc(qdisc.parameters));
  return `qdisc netem 8001:${name} root refcnt 2 ${options}\n${statistics ? counted : ''}`;
}

/** tc does not tell the shape of jitter, and has times in ticks of 64 ns, those below a millisecond in whole microseconds. */
function shownByTc(netem: NetemParameters): NetemParameters {
  const time = (ms: number) => {
    const us = (Math.floor((ms * 1e6) / TICK) * TICK) / 1e3;
    return (us < 1_000 ? Math.floor(us) : us) / 1e3;
  };
  return { ...netem, delay: time(netem.delay), jitter: time(netem.jitter), distribution: 'uniform' };
}

/** ns (`PSCHED_SHIFT`). */
const TICK = 64;
