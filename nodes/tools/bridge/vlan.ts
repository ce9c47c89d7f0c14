import { VLAN_ID_MAX } from '../../../protocols/vlan.ts';
import { BridgeDevice } from '../../kernel/bridge.ts';
import type { Device } from '../../kernel/device.ts';
import { formatBridgeVlans, type PortVlans } from '../format/bridge-vlans.ts';
import { type IpContext, takeDevice } from '../ip/context.ts';
import { runSubcommand, type Subcommands } from '../ip/subcommand.ts';
import { EXIT_USAGE, garbage, notEmulated, usage, type Words } from '../ip/words.ts';
import { ToolError } from '../tool.ts';

const USAGE = `Usage: bridge vlan { add | del } vid VLAN_ID dev DEV [ pvid ] [ untagged ]
                                                     [ self ] [ master ]
       bridge vlan { show } [ dev DEV ] [ vid VLAN_ID ]`;

const VLAN: Subcommands = {
  object: 'bridge vlan',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: (words, ctx) => change(words, ctx, 'add'),
    delete: (words, ctx) => change(words, ctx, 'del'),
    show,
    lst: show,
    list: show,
    tunnelshow: null,
    set: null,
    global: null,
  },
};

/** `bridge vlan`. @throws ToolError */
export function bridgeVlan(args: readonly string[], ctx: IpContext): void {
  runSubcommand(VLAN, args, ctx);
}

interface VlanRange {
  readonly first: number;
  readonly last: number;
}

/** What has 12 bits. */
const VLAN_ID_LIMIT = 4095;

function refused(message: string): ToolError {
  return new ToolError(message, EXIT_USAGE);
}

/** `10`, `10-20`. @throws ToolError */
function rangeOf(word: string): VlanRange {
  const [first = '', last = first] = word.split(/-(.*)/s);
  const number = (text: string) => (/^\d{1,9}$/.test(text) ? Number(text) : 0);
  const range = { first: number(first), last: number(last) };
  if (range.first > VLAN_ID_LIMIT || range.last > VLAN_ID_LIMIT) throw refused(`Invalid VLAN ID "${word}"`);
  if (word.includes('-') && range.first >= range.last) throw refused(`Invalid VLAN range "${first}-${last}"`);
  return range;
}

function change(words: Words, ctx: IpContext, command: 'add' | 'del'): void {
  let dev: string | null = null;
  let vid: VlanRange | null = null;
  let pvid = false;
  let untagged = false;
  let self = false;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = takeDevice(dev, words.argument());
    else if (word === 'vid') {
      const text = words.argument();
      if (vid !== null) throw garbage('vid', text);
      vid = rangeOf(text);
    } else if (word === 'pvid') pvid = true;
    else if (word === 'untagged') untagged = true;
    else if (word === 'self') self = true;
    else if (word === 'tunnel_info') throw notEmulated('bridge vlan tunnel_info');
    // Other words are passed over, as iproute2 does.
  }
  if (dev === null || vid === null) throw refused('Device and VLAN ID are required arguments.');
  const device = ctx.ns.device(dev);
  if (device === undefined) throw refused(`Cannot find bridge device "${dev}"`);
  if (pvid && vid.last !== vid.first) throw refused('pvid cannot be configured for a vlan range');
  if (vid.first === 0 || vid.last > VLAN_ID_MAX) throw refused('Error: bridge: Vlan id is invalid.');
  const bridge = bridgeOf(device, self);
  for (let id = vid.first; id <= vid.last; id++) {
    const flags = {
      ...(pvid ? { pvid: true as const } : {}),
      ...(untagged ? { untagged: true as const } : {}),
    };
    if (command === 'add') bridge.addVlan(device, { vid: id, ...flags });
    // What it is not in, it need not leave (`br_vlan_info`).
    else bridge.removeVlan(device, id);
  }
}

/** The bridge whose VLANs a device's are: its own with `self`, its master's otherwise. @throws ToolError */
function bridgeOf(device: Device, self: boolean): BridgeDevice {
  const bridge = self ? device : device.master;
  if (!(bridge instanceof BridgeDevice)) throw refused('RTNETLINK answers: Operation not supported');
  return bridge;
}

function show(words: Words, ctx: IpContext): void {
  let dev: string | null = null;
  let only: VlanRange | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = takeDevice(dev, words.argument());
    else if (word === 'vid') {
      const id = Number(words.argument());
      only = { first: id, last: id };
    }
  }
  if (dev !== null && ctx.ns.device(dev) === undefined) throw refused(`Cannot find device "${dev}"`);
  const ports = ctx.ns
    .devices()
    .filter(({ name }) => dev === null || name === dev)
    .map((device): PortVlans => {
      const bridge = device instanceof BridgeDevice ? device : device.master;
      const vlans = bridge instanceof BridgeDevice ? bridge.vlansOf(device) : [];
      const { first = 0, last = VLAN_ID_MAX } = only ?? {};
      return { name: device.name, vlans: vlans.filter((vlan) => vlan.vid >= first && vlan.vid <= last) };
    });
  const { json, ranges } = ctx.options;
  ctx.out.stdout(
    formatBridgeVlans(ports, {
      ...(json === undefined ? {} : { json }),
      ...(ranges === undefined ? {} : { ranges }),
    }),
  );
}
