import type { BridgePortFacts } from '../../events/kernel.ts';
import { NetlinkError } from '../../kernel/netlink.ts';
import { type IpContext, takeDevice } from '../ip/context.ts';
import { EXIT_USAGE, notEmulated, type Words } from '../ip/words.ts';
import { ToolError } from '../tool.ts';

/** `-EINVAL` as an exit code. */
const EXIT_INVALID = 234;
/** `BR_PORT_BITS` leave it six bits. */
const PRIORITY_MAX = 63;

/** The settings that are on or off, by iproute2's words. */
const FLAGS = {
  guard: 'guard',
  hairpin: 'hairpin',
  fastleave: 'fastLeave',
  root_block: 'rootBlock',
  learning: 'learning',
  flood: 'flood',
  mcast_flood: 'mcastFlood',
  bcast_flood: 'bcastFlood',
  mcast_to_unicast: 'mcastToUnicast',
  neigh_suppress: 'neighSuppress',
  isolated: 'isolated',
  locked: 'locked',
} as const satisfies Record<string, keyof BridgePortFacts>;

const OTHERS = [
  'state',
  'vlan_tunnel',
  'hwmode',
  'backup_port',
  'nobackup_port',
  'mcast_router',
  'learning_sync',
];

/** `bridge link set`. @throws ToolError */
export function bridgeLinkSet(words: Words, ctx: IpContext, usage: () => ToolError): void {
  let dev: string | null = null;
  const settings: { -readonly [K in keyof BridgePortFacts]: BridgePortFacts[K] } = {};
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = takeDevice(dev, words.argument());
    else if (word === 'cost') {
      const cost = leadingNumber(words.argument());
      if (cost > 0) settings.cost = cost;
    } else if (word === 'priority') settings.priority = leadingNumber(words.argument());
    else if (Object.hasOwn(FLAGS, word)) settings[FLAGS[word as keyof typeof FLAGS]] = onOff(words, word);
    else if (word === 'self' || word === 'master') continue;
    else if (OTHERS.includes(word)) throw notEmulated(`bridge link set ${word}`);
    else throw usage();
  }
  if (dev === null) throw new ToolError('Device is a required argument.', EXIT_USAGE);
  const device = ctx.ns.device(dev);
  if (device === undefined) throw new ToolError(`Cannot find bridge device "${dev}"`, EXIT_USAGE);
  if ((settings.priority ?? 0) > PRIORITY_MAX)
    throw new ToolError('RTNETLINK answers: Numerical result out of range', EXIT_USAGE);
  try {
    ctx.ns.links.configureBridgePort(device, settings);
  } catch (error) {
    if (error instanceof NetlinkError) throw new ToolError(error.message, EXIT_USAGE);
    throw error;
  }
}

/** atoi(3) */
function leadingNumber(word: string): number {
  const value = Number.parseInt(word, 10);
  return Number.isNaN(value) ? 0 : value;
}

function onOff(words: Words, name: string): boolean {
  const word = words.argument();
  if (word !== 'on' && word !== 'off')
    throw new ToolError(
      `Error: argument of "${name}" must be one of "off", "on", not "${word}"`,
      EXIT_INVALID,
    );
  return word === 'on';
}
