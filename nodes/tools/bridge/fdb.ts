import type { IpAddress } from '../../../protocols/ip.ts';
import { formatMac, parseMac } from '../../../protocols/mac.ts';
import { VLAN_ID_MAX } from '../../../protocols/vlan.ts';
import type { FdbFacts } from '../../events/kernel.ts';
import { BridgeDevice } from '../../kernel/bridge.ts';
import type { Device } from '../../kernel/device.ts';
import { NetlinkError } from '../../kernel/netlink.ts';
import { VxlanDevice } from '../../kernel/vxlan.ts';
import { fdbDevice, formatFdb } from '../format/fdb.ts';
import { type IpContext, requireIpAddress } from '../ip/context.ts';
import { runSubcommand, type Subcommands } from '../ip/subcommand.ts';
import { EXIT_USAGE, garbage, invalidArgument, notEmulated, usage, type Words } from '../ip/words.ts';
import { ToolError } from '../tool.ts';

/** `bridge fdb get` ends with -2 (ENOENT). */
const EXIT_NOT_FOUND = 254;

const USAGE = `Usage: bridge fdb { add | append | del | replace } ADDR dev DEV
              [ self ] [ master ] [ permanent | local | static ] [ dst IPADDR ]
       bridge fdb [ show [ br BRDEV ] [ brport DEV ] [ state STATE ] [ dynamic ] ]
       bridge fdb get [ to ] LLADDR [ br BRDEV ] [ { brport | dev } DEV ]`;

const FDB: Subcommands = {
  object: 'bridge fdb',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: (words, ctx) => set(words, ctx, 'add'),
    append: (words, ctx) => set(words, ctx, 'append'),
    replace: (words, ctx) => set(words, ctx, 'replace'),
    delete: remove,
    get,
    show,
    lst: show,
    list: show,
    flush: null,
  },
};

/** `bridge fdb`. @throws ToolError */
export function bridgeFdb(args: readonly string[], ctx: IpContext): void {
  runSubcommand(FDB, args, ctx);
}

type RowTest = (row: FdbFacts) => boolean;

function requirePort(ctx: IpContext, name: string, what: 'device' | 'bridge device'): Device {
  const device = ctx.ns.device(name);
  if (device === undefined) throw new ToolError(`Cannot find ${what} "${name}"`, EXIT_USAGE);
  return device;
}

/** Those of the hosts' own addresses, which nobody set, too. */
function allRows({ ns }: IpContext): FdbFacts[] {
  const bridges = ns.devices().filter((device) => device instanceof BridgeDevice);
  return [...ns.fdb(), ...bridges.flatMap((bridge) => bridge.localFdb())];
}

/** Rows of a bridge, and those of its ports' own tables. */
function ofBridge(ctx: IpContext, name: string): RowTest {
  requirePort(ctx, name, 'bridge device');
  return (row) => row.dev === name || ctx.ns.device(row.dev)?.master?.name === name;
}

function show(words: Words, ctx: IpContext): void {
  const tests: RowTest[] = [];
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'brport' || word === 'dev') {
      const name = words.argument();
      if (dev !== null) throw garbage('brport', name);
      requirePort(ctx, name, 'device');
      dev = name;
      tests.push((row) => fdbDevice(row) === name);
    } else if (word === 'br') tests.push(ofBridge(ctx, words.argument()));
    else if (word === 'dynamic') tests.push((row) => row.kind !== 'permanent');
    else if (word === 'state') tests.push(stateTest(words.argument()));
    else if (word === 'vlan') {
      const vlan = vlanOf(words.argument());
      tests.push((row) => row.vlan === vlan);
    } else throw garbage('brport', word);
  }
  const rows = allRows(ctx).filter((row) => tests.every((test) => test(row)));
  print(rows, ctx, dev === null ? 'shown' : 'hidden');
}

function print(rows: readonly FdbFacts[], ctx: IpContext, dev: 'shown' | 'hidden'): void {
  const { json } = ctx.options;
  ctx.out.stdout(formatFdb(rows, { dev, ...(json === undefined ? {} : { json }) }));
}

function stateTest(word: string): RowTest {
  switch (word) {
    case 'all':
      return () => true;
    case 'permanent':
    case 'static':
      return (row) => row.kind === word;
    case 'temp':
    case 'temporary':
    case 'dynamic':
    case 'reachable':
      return (row) => row.kind === 'learned';
    default:
      throw invalidArgument(word, 'invalid state');
  }
}

function get(words: Words, ctx: IpContext): void {
  const tests: RowTest[] = [];
  let mac: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'br') tests.push(ofBridge(ctx, words.argument()));
    else if (word === 'dev' || word === 'brport') {
      const name = words.argument();
      requirePort(ctx, name, 'device');
      tests.push((row) => row.dev === name || row.port === name);
    } else if (word !== 'self' && word !== 'master' && word !== 'dynamic') {
      const text = word === 'to' ? words.argument() : word;
      if (mac !== null) throw garbage('to', text);
      mac = formatMac(macOf(text));
    }
  }
  if (mac === null) throw new ToolError('No address specified', EXIT_USAGE);
  if (tests.length === 0) throw new ToolError('No bridge or bridge port specified', EXIT_USAGE);
  const found = allRows(ctx).find((row) => row.mac === mac && tests.every((test) => test(row)));
  if (found === undefined) throw new ToolError('Error: Fdb entry not found.', EXIT_NOT_FOUND);
  print([found], ctx, 'shown');
}

function macOf(text: string): number {
  const mac = parseMac(text);
  if (mac === null) throw new ToolError(`Invalid mac address ${text}`, EXIT_USAGE);
  return mac;
}

interface RowArguments {
  readonly mac: number;
  readonly device: Device;
  /** null: none was given. */
  readonly dst: IpAddress | null;
  readonly kind: FdbFacts['kind'];
  /** The only device that it leaves by, of a VXLAN's row. */
  readonly via: Device | null;
  /** The bridge that the device is a port of, when `master` was said. */
  readonly bridge: BridgeDevice | null;
  /** 0: none was given. */
  readonly vlan: number;
}

/** @throws ToolError */
function parseRow(words: Words, ctx: IpContext): RowArguments {
  let mac: string | null = null;
  let dev: string | null = null;
  let dst: IpAddress | null = null;
  let kind: RowArguments['kind'] = 'permanent';
  let vlan = 0;
  let via: Device | null = null;
  let table: 'self' | 'master' = 'self';
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'dev') dev = words.argument();
    else if (word === 'dst') dst = requireIpAddress(words.argument(), 'any');
    else if (word === 'self' || word === 'master') table = word;
    else if (word === 'vlan') vlan = vlanOf(words.argument());
    else if (word === 'local' || word === 'permanent') kind = 'permanent';
    else if (word === 'static' || word === 'temp') kind = 'static';
    else if (word === 'dynamic') kind = 'learned';
    else if (word === 'via') via = requirePort(ctx, words.argument(), 'device');
    else if (UNKNOWN_SETTINGS.has(word)) throw notEmulated(`bridge fdb ${word}`);
    else {
      const text = word === 'to' ? words.argument() : word;
      if (mac !== null) throw garbage('to', text);
      mac = text;
    }
  }
  if (dev === null || mac === null)
    throw new ToolError('Device and address are required arguments.', EXIT_USAGE);
  const device = requirePort(ctx, dev, 'device');
  const { master } = device;
  if (table === 'master' && !(master instanceof BridgeDevice))
    throw new ToolError('RTNETLINK answers: Operation not supported', EXIT_USAGE);
  const bridge = table === 'master' && master instanceof BridgeDevice ? master : null;
  if (bridge !== null && kind === 'learned') throw notEmulated('bridge fdb dynamic');
  return { mac: macOf(mac), device, dst, kind, via, bridge, vlan };
}

const UNKNOWN_SETTINGS = new Set([
  ...['vni', 'port', 'src_vni', 'nhid', 'use', 'router', 'extern_learn', 'sticky'],
]);

function vlanOf(word: string): number {
  const vlan = /^\d{1,4}$/.test(word) ? Number(word) : 0;
  if (vlan < 1 || vlan > VLAN_ID_MAX) throw new ToolError('Error: bridge: Vlan id is invalid.', EXIT_USAGE);
  return vlan;
}

/** The VLANs that a row is for: the one said, or none and all that the port is in (`br_fdb_add`). @throws ToolError */
function vlansOf({ device, vlan }: RowArguments, bridge: BridgeDevice): number[] {
  const ids = bridge.vlansOf(device).map(({ vid }) => vid);
  if (vlan === 0) return [0, ...ids];
  if (!ids.includes(vlan)) throw new ToolError('RTNETLINK answers: Invalid argument', EXIT_USAGE);
  return [vlan];
}

function rowsOf(ctx: IpContext, mac: number, bridge: BridgeDevice): FdbFacts[] {
  return ctx.ns.fdb().filter((row) => row.dev === bridge.name && row.mac === formatMac(mac));
}

function set(words: Words, ctx: IpContext, command: 'add' | 'append' | 'replace'): void {
  const wanted = parseRow(words, ctx);
  const { mac, device, dst, kind, via, bridge } = wanted;
  if (bridge !== null) {
    const there = rowsOf(ctx, mac, bridge);
    for (const vlan of vlansOf(wanted, bridge)) {
      if (command === 'add' && there.some((row) => (row.vlan ?? 0) === vlan))
        throw new ToolError('RTNETLINK answers: File exists', EXIT_USAGE);
      if (kind !== 'learned') bridge.addFdb(mac, device, kind, vlan);
    }
    return;
  }
  if (!(device instanceof VxlanDevice)) throw notEmulated(`a forwarding row of ${device.name} itself`);
  if (dst === null) throw new ToolError('RTNETLINK answers: Invalid argument', EXIT_USAGE);
  const how = command === 'add' ? 'create' : command;
  try {
    ctx.ns.setVxlanFdb(device.name, mac, { dst, via }, kind, how);
  } catch (error) {
    if (error instanceof NetlinkError) throw new ToolError(error.message, EXIT_USAGE);
    throw error;
  }
}

function remove(words: Words, ctx: IpContext): void {
  const wanted = parseRow(words, ctx);
  const { mac, device, dst, via, bridge } = wanted;
  if (
    !(bridge === null
      ? ctx.ns.deleteVxlanFdb(device.name, mac, dst ?? undefined, via)
      : removeRows(ctx, wanted, bridge))
  )
    throw new ToolError('RTNETLINK answers: No such file or directory', EXIT_USAGE);
}

/** Whether there was any at that port. */
function removeRows(ctx: IpContext, wanted: RowArguments, bridge: BridgeDevice): boolean {
  const { mac, device } = wanted;
  const vlans = vlansOf(wanted, bridge);
  const rows = rowsOf(ctx, mac, bridge).filter(
    (row) => row.port === device.name && vlans.includes(row.vlan ?? 0),
  );
  for (const { vlan } of rows) bridge.deleteFdb(mac, vlan);
  return rows.length > 0;
}
