import {
  familyOf,
  type IpAddress,
  type IpPrefix,
  parseIp,
  parseIpAddress,
  parseIpPrefix,
} from '../../../protocols/ip.ts';
import { type Prefix, parseIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import type { LinkFacts } from '../../events/kernel.ts';
import type { Device } from '../../kernel/device.ts';
import { NetlinkError } from '../../kernel/netlink.ts';
import type { Netns } from '../../kernel/netns.ts';
import { RouteError } from '../../kernel/route-error.ts';
import type { JsonStyle } from '../format/json.ts';
import type { RouteFormat } from '../format/routes.ts';
import { type ToolContext, ToolError, type ToolOutput } from '../tool.ts';
import { EXIT_ARGUMENT, EXIT_KERNEL, garbage, notEmulated } from './words.ts';

/** The options that stand before the object. */
export interface IpOptions {
  readonly family: 'any' | 'inet' | 'inet6';
  readonly style: 'full' | 'oneline' | 'brief';
  readonly json?: JsonStyle;
  readonly details?: 'shown';
  /** `ip -s`, of `xfrm` alone. */
  readonly statistics?: 'shown';
  /** `bridge -c`: consecutive VLANs in one row. */
  readonly ranges?: 'compressed';
}

/** What a subcommand of ip(8) or bridge(8) works with. */
export interface IpContext {
  readonly tool: ToolContext;
  readonly ns: Netns;
  readonly options: IpOptions;
  readonly out: Pick<ToolOutput, 'stdout' | 'stderr'>;
}

export function linksOf(ns: Netns): LinkFacts[] {
  return ns.devices().map((device) => device.facts());
}

/** Names of the devices that have netem at their root. */
export function netemOf(ns: Netns): ReadonlySet<string> {
  return new Set(ns.devices().flatMap(({ name, qdisc }) => (qdisc === null ? [] : [name])));
}

/** The state of the links as routes show it. */
export function linkFormat(ns: Netns): Pick<RouteFormat, 'links' | 'ignoring'> {
  const named = (devices: readonly Device[]) => new Set(devices.map(({ name }) => name));
  const devices = ns.devices();
  return {
    links: linksOf(ns),
    ignoring: {
      inet: named(devices.filter((device) => device.ignoresLinkdown)),
      inet6: named(devices.filter((device) => device.inet6.ignoresLinkdown)),
    },
  };
}

/** @throws ToolError */
export function requireDevice(ns: Netns, name: string): Device {
  const device = ns.device(name);
  if (device === undefined) throw new ToolError(`Cannot find device "${name}"`, EXIT_ARGUMENT);
  return device;
}

/** A prefix argument; `default`, `any` and `all` are the prefix of length 0. @throws ToolError */
export function requirePrefix(word: string, family: Family = 'any'): Prefix {
  if (word === 'default' || word === 'any' || word === 'all') return { addr: 0, len: 0 };
  refuseIpv6(word);
  const prefix = parsePrefix(lengthened(word));
  if (prefix === null) throw expected(family, 'prefix', word);
  return prefix;
}

/** `10/8` is 10.0.0.0/8 (`get_addr_ipv4`). */
function lengthened(word: string): string {
  const [, address = '', length = ''] = /^(\d+(?:\.\d+){0,2})(\/\d+)$/.exec(word) ?? [];
  return address === '' ? word : `${address}${'.0'.repeat(4 - address.split('.').length)}${length}`;
}

type Family = IpOptions['family'];

function expected(family: Family, what: 'prefix' | 'address', word: string): ToolError {
  const kind = family === 'any' ? 'any valid' : family;
  return new ToolError(`Error: ${kind} ${what} is expected rather than "${word}".`, EXIT_ARGUMENT);
}

/** As `requirePrefix`, of the family that the command is of, or either. @throws ToolError */
export function requireIpPrefix(word: string, family: Family): IpPrefix {
  if (word === 'default' || word === 'any' || word === 'all')
    return { addr: family === 'inet6' ? ANY_IP6 : 0, len: 0 };
  const prefix = parseIpPrefix(word);
  if (prefix === null || (family !== 'any' && familyOf(prefix.addr) !== family))
    throw expected(family, 'prefix', word);
  return prefix;
}

/** An address with a prefix length, its host bits kept. @throws ToolError */
export function requireInterfaceAddress(word: string, family: Family): IpPrefix {
  const address = parseIpAddress(word);
  if (address === null || (family !== 'any' && familyOf(address.addr) !== family))
    throw expected(family, 'prefix', word);
  return address;
}

/** @throws ToolError */
export function requireIpAddress(word: string, family: Family): IpAddress {
  const addr = parseIp(word);
  if (addr === null || (family !== 'any' && familyOf(addr) !== family))
    throw expected(family, 'address', word);
  return addr;
}

/** @throws ToolError that says an address of `kind` was expected. */
export function requireAddress(word: string, kind: 'inet' | 'any valid'): number {
  refuseIpv6(word);
  const addr = parseIp4(word);
  if (addr === null)
    throw new ToolError(`Error: ${kind} address is expected rather than "${word}".`, EXIT_ARGUMENT);
  return addr;
}

function refuseIpv6(word: string): void {
  if (/^[0-9a-f:]*:[0-9a-f:.]*(\/\d+)?$/i.test(word)) throw notEmulated(`IPv6 (${word})`);
}

/** `dev X`, or `X` where a device is understood; a second one is garbage. @throws ToolError */
export function takeDevice(current: string | null, word: string): string {
  if (current !== null) throw garbage('dev', word);
  return word;
}

/** Does a change; what the kernel refuses becomes the tool's error. @throws ToolError */
export function change(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (error instanceof NetlinkError || error instanceof RouteError)
      throw new ToolError(error.message, EXIT_KERNEL);
    throw error;
  }
}

export function refused(message: string): ToolError {
  return new ToolError(message, EXIT_KERNEL);
}
