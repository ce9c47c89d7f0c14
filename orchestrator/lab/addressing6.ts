import { formatPrefix } from '../../protocols/ip4.ts';
import {
  addToIp6,
  formatIp6,
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  maskIp6,
  type Prefix6,
  prefixContains6,
} from '../../protocols/ip6.ts';
import { type AddressedPort, type Addressing, hasIpv4 } from './addressing.ts';
import type { ResolvedNode } from './inherit.ts';
import { isSwitchPort } from './openflow.ts';
import type { Path, Reporter } from './problem.ts';
import type { Wire } from './wiring.ts';

/** The IPv6 addresses of a lab, beside those of IPv4. Empty where the file has none. */
export interface Addressing6 {
  readonly subnets: ReadonlyMap<Wire, Prefix6>;
  /** Of an interface; null where it has none. */
  addressOf(port: AddressedPort): Prefix6 | null;
  loopbacksOf(node: ResolvedNode): readonly Ip6[];
}

/**
 * Gives every interface on a wire with a `subnet6` an address of it: the one that the file gives it, else the prefix with
 * the place that its IPv4 address has in its subnet, so that 172.18.18.11/24 goes with 2001:db8:18::b/64, or, without one, its own
 * place on the wire.
 */
export function assignAddresses6(
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  reporter: Reporter,
): Addressing6 {
  const addresses = new Map<string, Prefix6>();
  const owners = new Map<Ip6, string>();
  const claim = (addr: Ip6, owner: string, path: Path) => {
    const other = owners.get(addr);
    if (other === undefined) owners.set(addr, owner);
    else reporter.problem(path, `${formatIp6(addr)} is also the address of ${other}`, 'give each its own');
  };
  const subnets = new Map<Wire, Prefix6>();
  for (const [wire, members] of addressing.members) {
    const subnet = subnetOf(wire, members, reporter);
    if (subnet === null) continue;
    subnets.set(wire, subnet);
    const v4 = addressing.subnets.get(wire)!;
    for (const [i, port] of members.entries()) {
      const given = port.given6;
      // A switch's port has no address at all.
      if (given === 'auto' || isSwitchPort(port)) continue;
      const path = given === null ? port.path : port.node.origin('interfaces', port.iface, 'address6');
      const offset = hasIpv4(port) ? port.address.addr - v4.addr : subnet.len >= 127 ? i : i + 1;
      if (given === null && offset >= 2 ** (128 - subnet.len)) {
        const message = `${formatPrefix6(subnet)} has no place ${offset}, that of ${hasIpv4(port) ? formatPrefix(port.address) : `${port.node.name}:${port.iface}`}`;
        reporter.problem(path, message, 'take a shorter prefix: a /64');
        continue;
      }
      const addr = given?.addr ?? addToIp6(subnet.addr, offset);
      if (!prefixContains6(subnet, addr)) {
        const message = `${formatIp6(addr)} is not in ${formatPrefix6(subnet)}, the subnet6 of ${wire.name}`;
        reporter.problem(path, message, 'take an address of it');
        continue;
      }
      claim(addr, `${port.node.name}:${port.iface}`, path);
      addresses.set(`${port.node.name}:${port.iface}`, { addr, len: subnet.len });
    }
  }
  for (const node of nodes)
    for (const [i, addr] of (node.definition.loopbacks6 ?? []).entries())
      claim(addr, `${node.name}:lo`, node.origin('loopbacks6', i));
  return {
    subnets,
    addressOf: ({ node, iface }) => addresses.get(`${node.name}:${iface}`) ?? null,
    loopbacksOf: (node) => node.definition.loopbacks6 ?? [],
  };
}

/** What the wire has, else that of the first address with a prefix length on it. */
function subnetOf(wire: Wire, members: readonly AddressedPort[], reporter: Reporter): Prefix6 | null {
  const [given = null] = members.flatMap(({ given6 }) =>
    given6 === null || given6 === 'auto' ? [] : [given6],
  );
  if (wire.subnet6 === null && given === null) return null;
  const path = [...wire.path, 'subnet6'];
  const subnet =
    wire.subnet6 ?? (given?.len ? { addr: maskIp6(given.addr, given.len), len: given.len } : null);
  if (subnet === null) {
    const message = `${wire.name} has no IPv6 prefix`;
    reporter.problem(wire.path, message, 'set subnet6, or give the address with its length', 'key');
    return null;
  }
  if (isMulticastIp6(subnet.addr) || isLinkLocal(subnet.addr) || subnet.len < 3) {
    const message = `interfaces have no addresses in ${formatPrefix6(subnet)}`;
    reporter.problem(path, message, 'take one of fd00::/8 or 2001:db8::/32');
    return null;
  }
  return subnet;
}
