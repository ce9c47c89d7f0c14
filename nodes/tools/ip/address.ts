import {
  familyOf,
  formatIpPrefix,
  type IpFamily,
  type IpPrefix,
  ipPrefixContains,
} from '../../../protocols/ip.ts';
import { broadcastOf, formatIp4, parsePrefix } from '../../../protocols/ip4.ts';
import type { AddressFacts, RouteScope } from '../../events/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import { addresses6Of, addressesOf, formatAddresses, type ShownAddress } from '../format/addresses.ts';
import { ToolError } from '../tool.ts';
import {
  change,
  type IpContext,
  linksOf,
  netemOf,
  refused,
  requireAddress,
  requireDevice,
  requireInterfaceAddress,
  requireIpPrefix,
  takeDevice,
} from './context.ts';
import { LinkSelection } from './selection.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { EXIT_ARGUMENT, garbage, invalidArgument, notEmulated, usage, type Words } from './words.ts';

const USAGE = `Usage: ip address {add|change|replace} IFADDR dev IFNAME [ noprefixroute ]
       ip address del IFADDR dev IFNAME
       ip address flush [ dev IFNAME ] [ scope SCOPE-ID ] [ to PREFIX ] [up]
       ip address [ show [ dev IFNAME ] [ scope SCOPE-ID ] [ master DEVICE ]
                         [ nomaster ] [ type TYPE ] [ to PREFIX ]
                         [ primary | secondary ] [up] ]
IFADDR := PREFIX [ broadcast + ] [ scope SCOPE-ID ]
SCOPE-ID := [ host | link | global ]`;

const ADDRESS: Subcommands = {
  object: 'ip address',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: (words, ctx) => add(words, ctx, 'new'),
    change: (words, ctx) => add(words, ctx, 'any'),
    chg: (words, ctx) => add(words, ctx, 'any'),
    replace: (words, ctx) => add(words, ctx, 'any'),
    delete: remove,
    show,
    lst: show,
    list: show,
    flush,
    save: null,
    showdump: null,
    restore: null,
  },
};

/** `ip address`. @throws ToolError */
export function ipAddress(args: readonly string[], ctx: IpContext): void {
  runSubcommand(ADDRESS, args, ctx);
}

interface Filter {
  readonly links: LinkSelection;
  readonly address: (address: ShownAddress) => boolean;
  /** Family of the prefix that `to` names; links on which it leaves no address are left out. */
  readonly to: IpFamily | null;
}

/** @throws ToolError */
function parseFilter(words: Words, ctx: IpContext): Filter {
  const links = new LinkSelection(ctx);
  const tests: ((address: ShownAddress) => boolean)[] = [];
  let to: IpFamily | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'scope') {
      const value = words.argument();
      const scope = value === 'all' ? null : scopeOf(value);
      if (scope !== null) tests.push(({ facts }) => facts.scope === scope);
    } else if (word === 'to') {
      const prefix = requireIpPrefix(words.argument(), ctx.options.family);
      to = familyOf(prefix.addr);
      tests.push(({ prefix: own }) => own.len >= prefix.len && ipPrefixContains(prefix, own.addr));
    } else if (word === 'primary' || word === 'secondary') {
      const role = word;
      tests.push((address) => address.role === role);
    } else if (word === 'permanent') {
      // Every address of the emulated kernel is.
    } else if (word === 'label') throw notEmulated('ip address show label');
    else links.take(word, words);
  }
  return { links, address: (address) => tests.every((test) => test(address)), to };
}

function show(words: Words, ctx: IpContext): void {
  const { links, address, to } = parseFilter(words, ctx);
  const { family, style, json } = ctx.options;
  const text = formatAddresses(linksOf(ctx.ns), allAddresses(ctx.ns), {
    ns: ctx.ns.name,
    netem: netemOf(ctx.ns),
    style,
    family: family === 'any' && to !== null ? to : family,
    only: links.matches,
    links: links.dev === null && family === 'inet6' ? 'all' : 'one',
    now: ctx.tool.rt.now,
    onlyAddress: address,
    ...(json === undefined ? {} : { json }),
  });
  ctx.out.stdout(text);
}

function allAddresses(ns: Netns): AddressFacts[] {
  return [...ns.addresses.list(), ...ns.ipv6.addresses.list()];
}

function scopeOf(word: string): RouteScope {
  if (word === 'global' || word === 'link' || word === 'host') return word;
  throw invalidArgument(word, 'invalid scope value.');
}

interface AddressArguments {
  readonly text: string;
  readonly prefixLength: 'given' | 'implied';
  readonly dev: string;
  readonly scope: RouteScope | null;
  readonly prefixRoute: 'add' | 'none';
  readonly dad: 'claim' | 'none';
}

/** @throws ToolError */
function parseAddressArguments(words: Words, ctx: IpContext): AddressArguments {
  let local: string | null = null;
  let dev: string | null = null;
  let scope: RouteScope | null = null;
  let broadcast: string | null = null;
  let prefixRoute: 'add' | 'none' = 'add';
  let dad: 'claim' | 'none' = 'claim';
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'dev':
        dev = takeDevice(dev, words.argument());
        break;
      case 'scope':
        scope = scopeOf(words.argument());
        break;
      case 'brd':
      case 'broadcast':
        broadcast = words.argument();
        if (broadcast !== '+' && broadcast !== '-') requireAddress(broadcast, 'inet');
        break;
      case 'noprefixroute':
        prefixRoute = 'none';
        break;
      case 'nodad':
        dad = 'none';
        break;
      case 'peer':
      case 'label':
      case 'anycast':
      case 'metric':
      case 'valid_lft':
      case 'preferred_lft':
        throw notEmulated(`ip address ${word}`);
      default: {
        const text = word === 'local' ? words.argument() : word;
        if (local !== null) throw garbage('local', text);
        requireInterfaceAddress(text, ctx.options.family);
        local = text;
      }
    }
  }
  if (dev === null) throw new ToolError('Not enough information: "dev" argument is required.', EXIT_ARGUMENT);
  requireDevice(ctx.ns, dev);
  if (local === null) throw refused('RTNETLINK answers: Operation not supported');
  const subnet = parsePrefix(local);
  const usual = subnet === null ? '' : formatIp4(broadcastOf(subnet));
  if (broadcast !== null && broadcast !== '+' && broadcast !== usual)
    throw notEmulated('a broadcast address other than the last of the subnet');
  return {
    text: local,
    prefixLength: local.includes('/') ? 'given' : 'implied',
    dev,
    scope,
    prefixRoute,
    dad,
  };
}

/** `ip address change` and `replace` also take an address that is there, and add one that is not. */
function add(words: Words, ctx: IpContext, which: 'new' | 'any'): void {
  const { text, dev, scope, prefixRoute, dad } = parseAddressArguments(words, ctx);
  const { addr, len } = requireInterfaceAddress(text, 'any');
  const device = requireDevice(ctx.ns, dev);
  const { addresses, inet6 } = device;
  if (typeof addr === 'string') {
    if (which === 'any' && inet6.find(addr)?.len === len) return;
    if (scope !== null) throw notEmulated('ip address scope of an IPv6 address');
    change(() => ctx.ns.ipv6.addresses.add(device, text, { prefixRoute, dad }));
    return;
  }
  if (which === 'any' && addresses.some((address) => address.addr === addr && address.len === len)) return;
  const usual = addr >>> 24 === 127 ? 'host' : 'global';
  change(() => ctx.ns.addAddress(dev, `${formatIp4(addr)}/${len}`, { scope: scope ?? usual, prefixRoute }));
}

function remove(words: Words, ctx: IpContext): void {
  const { text, prefixLength, dev } = parseAddressArguments(words, ctx);
  const { addr, len } = requireInterfaceAddress(text, 'any');
  if (typeof addr === 'string') {
    change(() => ctx.ns.removeAddress(dev, formatIpPrefix({ addr, len })));
    return;
  }
  if (prefixLength === 'given') {
    change(() => ctx.ns.removeAddress(dev, `${formatIp4(addr)}/${len}`));
    return;
  }
  ctx.out.stderr(
    'Warning: Executing wildcard deletion to stay compatible with old scripts.\n' +
      `         Explicitly specify the prefix length (${formatIp4(addr)}/32) to avoid this warning.\n` +
      '         This special behaviour is likely to disappear in further releases,\n' +
      '         fix your scripts!\n',
  );
  const found = requireDevice(ctx.ns, dev).addresses.find((address) => address.addr === addr);
  change(() => ctx.ns.removeAddress(dev, `${formatIp4(addr)}/${found?.len ?? 32}`));
}

function flush(words: Words, ctx: IpContext): void {
  if (words.done) throw new ToolError('Flush requires arguments.', EXIT_ARGUMENT);
  const { links, address } = parseFilter(words, ctx);
  const addresses = allAddresses(ctx.ns);
  const { family } = ctx.options;
  for (const link of linksOf(ctx.ns)) {
    if (!links.matches(link)) continue;
    const found: ShownAddress[] = [
      ...(family === 'inet6' ? [] : addressesOf(link, addresses)),
      ...(family === 'inet' ? [] : addresses6Of(link, addresses)),
    ];
    for (const { facts, prefix } of found.filter(address)) {
      // A secondary address has gone with its primary; ip(8) takes no notice of that either.
      const { addresses: inet, inet6 } = requireDevice(ctx.ns, facts.dev);
      const left: readonly IpPrefix[] = [...inet, ...inet6.addresses];
      if (left.some(({ addr, len }) => addr === prefix.addr && len === prefix.len))
        change(() => ctx.ns.removeAddress(facts.dev, facts.address));
    }
  }
}
