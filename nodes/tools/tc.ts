import { changeNetem, isPlain, netemProblem, PLAIN_NETEM } from '../../protocols/netem/parameters.ts';
import { formatNetem, NetemError, parseNetem } from '../../protocols/netem/words.ts';
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
const EXIT_KERNEL = 2;

interface Request {
  readonly dev: string | null;
  readonly kind: string | null;
  readonly options: readonly string[];
}

/** tc(8) of iproute2, of which the emulated kernel has the netem queueing discipline at a device's root. */
export const tc: Command = (args, ctx, out) => {
  const statistics = args.some((word) => /^-s(t(a(t(i(s(t(i(c(s)?)?)?)?)?)?)?)?)?$/.test(word));
  const [object = '', command = 'show', ...rest] = args.filter((word) => !word.startsWith('-'));
  if (object === '' || object === 'help') throw new ToolError(USAGE, EXIT_USAGE);
  if (!'qdisc'.startsWith(object)) {
    if (['class', 'filter', 'chain', 'action', 'monitor', 'exec'].some((name) => name.startsWith(object)))
      throw new ToolError(`"tc ${object}" is not emulated, only "tc qdisc"`, EXIT_USAGE);
    throw new ToolError(`Object "${object}" is unknown, try "tc help".`, EXIT_USAGE);
  }
  const request = read(rest);
  switch (command) {
    case 'show':
    case 'list':
    case 'ls':
      for (const device of devicesOf(ctx, request.dev)) out.stdout(show(device, statistics));
      return 0;
    case 'add':
    case 'change':
    case 'replace':
      set(command, request, ctx);
      return 0;
    case 'del':
    case 'delete':
      if (!ctx.ns.impairments.removeNetem(required(request, ctx).name))
        throw new ToolError('Error: Cannot delete qdisc with handle of zero.', EXIT_KERNEL);
      return 0;
    case 'help':
      throw new ToolError(QDISC_USAGE, EXIT_USAGE);
    default:
      throw new ToolError(`Command "${command}" is unknown, try "tc qdisc help".`, EXIT_USAGE);
  }
};

function read(words: readonly string[]): Request {
  let dev: string | null = null;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === 'dev') dev = words[++i] ?? null;
    else if (word === 'handle') i++;
    else if (word === 'parent' || word === 'ingress' || word === 'clsact')
      throw new ToolError(`"${word}" is not emulated: netem stands at the root`, EXIT_USAGE);
    else if (word !== 'root') return { dev, kind: word, options: words.slice(i + 1) };
  }
  return { dev, kind: null, options: [] };
}

function required({ dev }: Request, ctx: ToolContext): Device {
  if (dev === null) throw new ToolError('Command line is not complete. Try option "help"', EXIT_USAGE);
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
  const { kind, options } = request;
  if (kind === null) throw new ToolError('Error: Qdisc kind is missing.', EXIT_KERNEL);
  if (kind !== 'netem') throw new ToolError('Error: Specified qdisc kind is unknown.', EXIT_KERNEL);
  if (command === 'add' && device.qdisc !== null)
    throw new ToolError('Error: Exclusivity flag on, cannot modify.', EXIT_KERNEL);
  if (command === 'change' && device.qdisc === null)
    throw new ToolError('Error: Qdisc not found. To create specify NLM_F_CREATE flag.', EXIT_KERNEL);
  const netem = changeNetem(PLAIN_NETEM, parse(options));
  const problem = netemProblem(netem);
  if (problem !== null) throw new ToolError(problem, EXIT_USAGE);
  ctx.ns.impairments.setNetem(device.name, netem);
}

function parse(options: readonly string[]) {
  try {
    return parseNetem(options);
  } catch (error) {
    if (error instanceof NetemError) throw new ToolError(error.message, EXIT_USAGE);
    throw error;
  }
}

/** pfifo_fast's bands by the priority of a packet (tc-pfifo_fast(8)). */
const PRIOMAP = ' bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1';

function show(device: Device, statistics: boolean): string {
  const { name, qdisc } = device;
  if (qdisc === null) {
    const kind = defaultQdisc(device.facts().kind);
    return `qdisc ${kind} 0: dev ${name} root refcnt 2${kind === 'pfifo_fast' ? PRIOMAP : ' '}\n`;
  }
  const { bytes, packets, dropped, queued, backlog } = qdisc.statistics;
  const counted = ` Sent ${bytes} bytes ${packets} pkt (dropped ${dropped}, overlimits 0 requeues 0) \n backlog ${backlog}b ${queued}p requeues 0\n`;
  const options = isPlain(qdisc.parameters) ? 'limit 1000' : formatNetem(qdisc.parameters);
  return `qdisc netem 8001: dev ${name} root refcnt 2 ${options}\n${statistics ? counted : ''}`;
}
