import { formatBridgePorts } from '../format/bridge-ports.ts';
import { type IpContext, linksOf, takeDevice } from '../ip/context.ts';
import { runSubcommand, type Subcommands } from '../ip/subcommand.ts';
import { EXIT_USAGE, garbage, usage, type Words } from '../ip/words.ts';
import { ToolError } from '../tool.ts';
import { bridgeLinkSet } from './link-set.ts';

const USAGE = `Usage: bridge link set dev DEV [ cost COST ] [ priority PRIO ]
                               [ guard {on | off} ]
                               [ hairpin {on | off} ]
                               [ fastleave {on | off} ]
                               [ root_block {on | off} ]
                               [ learning {on | off} ]
                               [ flood {on | off} ]
                               [ mcast_flood {on | off} ]
                               [ bcast_flood {on | off} ]
                               [ mcast_to_unicast {on | off} ]
                               [ neigh_suppress {on | off} ]
                               [ isolated {on | off} ]
                               [ locked {on | off} ]
                               [ self ] [ master ]
       bridge link show [dev DEV]`;

const LINK: Subcommands = {
  object: 'bridge link',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    set: (words, ctx) => bridgeLinkSet(words, ctx, () => usage(USAGE)),
    show,
    lst: show,
    list: show,
  },
};

/** `bridge link`. @throws ToolError */
export function bridgeLink(args: readonly string[], ctx: IpContext): void {
  runSubcommand(LINK, args, ctx);
}

function show(words: Words, ctx: IpContext): void {
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word !== 'dev') throw garbage('dev', word);
    dev = takeDevice(dev, words.argument());
  }
  if (dev !== null && ctx.ns.device(dev) === undefined)
    throw new ToolError(`Cannot find device "${dev}"`, EXIT_USAGE);
  const { json, details } = ctx.options;
  const text = formatBridgePorts(linksOf(ctx.ns), {
    ns: ctx.ns.name,
    only: (link) => dev === null || link.name === dev,
    ...(json === undefined ? {} : { json }),
    ...(details === undefined ? {} : { details }),
  });
  ctx.out.stdout(text);
}
