import {
  broadcastOf,
  formatIp4,
  formatPrefix,
  isLoopback,
  isMulticast,
  type Prefix,
  prefixContains,
  prefixesOverlap,
  prefixMask,
} from '../../protocols/ip4.ts';
import type { ResolvedNode } from './inherit.ts';
import { isSwitched, isSwitchPort, joinedWith } from './openflow.ts';
import type { Path, Reporter } from './problem.ts';
import type { LabFile } from './schema.ts';
import { natural, type Port, type Wire } from './wiring.ts';

export interface AddressedPort extends Port {
  /** With the subnet's prefix length; one of length 0 where it has none, see `hasIpv4`. */
  readonly address: Prefix;
}

/** A switch's port has no address, and what is on a wire without a subnet has none of IPv4. */
export function hasIpv4({ address }: AddressedPort): boolean {
  return address.len > 0;
}

export interface Addressing {
  /** Of each node, in the order of the interfaces' names, which is the order of its ports. */
  readonly ports: ReadonlyMap<string, readonly AddressedPort[]>;
  readonly members: ReadonlyMap<Wire, readonly AddressedPort[]>;
  readonly subnets: ReadonlyMap<Wire, Prefix>;
  readonly loopbacks: ReadonlyMap<string, readonly number[]>;
}

/** Pools that links and loopbacks come from where the file names none. */
const DEFAULT_LINK_SUBNET: Prefix = { addr: 0x0a000000, len: 16 };
const DEFAULT_LOOPBACK_SUBNET: Prefix = { addr: 0x0aff0000, len: 16 };

/** That of a port without one, and the subnet of a wire where nobody has one. */
const NO_ADDRESS: Prefix = { addr: 0, len: 0 };

/** Gives every interface and every router's loopback an address. Links without a subnet get a /31 each (RFC 3021). */
export function assignAddresses(
  topology: LabFile['topology'],
  nodes: readonly ResolvedNode[],
  wires: readonly Wire[],
  reporter: Reporter,
): Addressing {
  const subnets = chooseSubnets(topology, wires, reporter);
  checkSubnets(subnets, reporter);
  const owners = new Owners(reporter);
  const givenPorts = new Map<Port, number>();
  for (const [wire, subnet] of subnets) {
    for (const port of wire.members) {
      if (port.given !== null && isSwitchPort(port)) {
        const message = `${port.iface} is a port of a switch, which has no address`;
        reporter.problem(addressPath(port), message, 'remove it');
        continue;
      }
      if (port.given !== null && subnet.len === 0) {
        const message = `${port.iface} is on ${describeWire(wire)}, which has no subnet`;
        reporter.problem(addressPath(port), message, 'remove it, or give the wire a subnet');
        continue;
      }
      if (port.given === null || !checkGiven(port, subnet, reporter)) continue;
      givenPorts.set(port, port.given.addr);
      owners.claim(port.given.addr, `${port.node.name}:${port.iface}`, addressPath(port));
    }
  }
  const ports = new Map<string, AddressedPort[]>(nodes.map((node) => [node.name, []]));
  const members = new Map<Wire, AddressedPort[]>();
  for (const [wire, subnet] of subnets) {
    const addressed: AddressedPort[] = [];
    const free = freeAddresses(subnet, subnet.len === 0 ? 0 : firstToGive(wire, subnet, reporter), owners);
    let short = false;
    for (const port of wire.members) {
      if (isSwitchPort(port) || subnet.len === 0) {
        addressed.push({ ...port, address: NO_ADDRESS });
        continue;
      }
      const given = givenPorts.get(port);
      const addr = given ?? free.next().value;
      if (addr === undefined) {
        short = true;
        continue;
      }
      if (given === undefined) owners.claim(addr, `${port.node.name}:${port.iface}`, port.path);
      addressed.push({ ...port, address: { addr, len: subnet.len } });
    }
    if (short) reportTooSmall(wire, subnet, reporter);
    members.set(wire, addressed);
    for (const port of addressed) ports.get(port.node.name)?.push(port);
  }
  for (const list of ports.values()) list.sort((a, b) => natural(a.iface, b.iface));
  const loopbacks = assignLoopbacks(topology, nodes, [...subnets.values()], owners, reporter);
  return { ports, members, subnets, loopbacks };
}

function addressPath(port: Port): Path {
  return port.node.origin('interfaces', port.iface, 'address');
}

function chooseSubnets(
  topology: LabFile['topology'],
  wires: readonly Wire[],
  reporter: Reporter,
): Map<Wire, Prefix> {
  const fixed = new Map<Wire, Prefix>();
  for (const wire of wires) {
    const subnet = wire.subnet === 'none' ? NO_ADDRESS : (wire.subnet ?? givenSubnet(wire));
    if (subnet !== null) fixed.set(wire, subnet);
  }
  const { linkSubnet } = topology;
  const pool = linkSubnet === undefined || linkSubnet === 'none' ? DEFAULT_LINK_SUBNET : linkSubnet;
  const taken = [...fixed.values()].filter((subnet) => subnet.len > 0 && prefixesOverlap(subnet, pool));
  let next = pool.addr;
  const subnets = new Map<Wire, Prefix>();
  for (const wire of wires) {
    let subnet = fixed.get(wire);
    if (subnet === undefined && isSwitched(wire)) subnet = switchedSubnet(wire, wires, fixed, reporter);
    if (subnet === undefined) {
      let clash = taken.find((other) => prefixesOverlap(other, { addr: next, len: 31 }));
      while (clash !== undefined) {
        next = Math.max(next + 2, broadcastOf(clash) + 1);
        const candidate = { addr: next, len: 31 };
        clash = taken.find((other) => prefixesOverlap(other, candidate));
      }
      if (pool.len > 31 || next > broadcastOf(pool)) {
        const mend = 'give links a larger linkSubnet, or subnets of their own';
        reporter.problem(
          ['topology', 'linkSubnet'],
          `${formatPrefix(pool)} is used up: a link takes two addresses`,
          mend,
        );
        break;
      }
      subnet = { addr: next, len: 31 };
      next += 2;
    }
    subnets.set(wire, subnet);
  }
  return subnets;
}

/** What switches join is one network with one subnet, which any of its wires may name. */
function switchedSubnet(
  wire: Wire,
  wires: readonly Wire[],
  fixed: ReadonlyMap<Wire, Prefix>,
  reporter: Reporter,
): Prefix {
  if (wire.members.every(isSwitchPort)) return NO_ADDRESS;
  for (const other of joinedWith(wire, wires)) {
    const subnet = fixed.get(other);
    if (subnet !== undefined) return subnet;
  }
  const message = `${describeWire(wire)} is joined to others by a switch and none of them has a subnet`;
  reporter.problem(wire.path, message, 'give one of them a subnet, or an interface on it an address');
  return NO_ADDRESS;
}

/** The subnet of a link one end of which has an address with a prefix length. */
function givenSubnet(wire: Wire): Prefix | null {
  for (const { given } of wire.members) {
    if (given !== null && given.len !== null) {
      return { addr: (given.addr & prefixMask(given.len)) >>> 0, len: given.len };
    }
  }
  return null;
}

function checkSubnets(subnets: ReadonlyMap<Wire, Prefix>, reporter: Reporter): void {
  const sorted = [...subnets]
    .filter(([, { len }]) => len !== 0)
    .sort(([, a], [, b]) => a.addr - b.addr || a.len - b.len);
  let widest: readonly [Wire, Prefix] | null = null;
  for (const entry of sorted) {
    const [wire, subnet] = entry;
    const path = wire.subnet === null ? wire.path : [...wire.path, 'subnet'];
    if (
      subnet.addr >>> 24 === 0 ||
      isLoopback(subnet.addr) ||
      isMulticast(subnet.addr) ||
      subnet.addr >>> 28 === 0xf
    ) {
      const mend = 'take a private one: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16';
      reporter.problem(path, `interfaces have no addresses in ${formatPrefix(subnet)}`, mend);
    }
    const joined =
      widest !== null && isSwitched(wire) && joinedWith(wire, [...subnets.keys()]).includes(widest[0]);
    if (widest !== null && !joined && subnet.addr <= broadcastOf(widest[1])) {
      const other = `${formatPrefix(widest[1])} of ${describeWire(widest[0])}`;
      reporter.problem(path, `${formatPrefix(subnet)} overlaps ${other}`, 'give each its own');
    }
    if (widest === null || broadcastOf(subnet) > broadcastOf(widest[1])) widest = entry;
  }
}

function checkGiven(port: Port, subnet: Prefix, reporter: Reporter): boolean {
  const { addr, len } = port.given!;
  const path = addressPath(port);
  const where = `${formatPrefix(subnet)}, the subnet of ${describeWire(port.wire)}`;
  if (!prefixContains(subnet, addr)) {
    reporter.problem(path, `${formatIp4(addr)} is not in ${where}`, 'take an address of it');
  } else if (len !== null && len !== subnet.len) {
    reporter.problem(
      path,
      `/${len} is not the prefix length of ${where}`,
      `write ${formatIp4(addr)}/${subnet.len}`,
    );
  } else if (subnet.len < 31 && (addr === subnet.addr || addr === broadcastOf(subnet))) {
    const which = addr === subnet.addr ? 'network' : 'broadcast';
    reporter.problem(path, `${formatIp4(addr)} is the ${which} address of ${where}`, 'take one between');
  } else return true;
  return false;
}

function firstToGive(wire: Wire, subnet: Prefix, reporter: Reporter): number {
  const [first, last] = hostRange(subnet);
  const start = wire.rangeStart ?? first;
  if (start >= first && start <= last) return start;
  const message = `${formatIp4(start)} is no host address of ${formatPrefix(subnet)}`;
  const mend = `it is between ${formatIp4(first)} and ${formatIp4(last)}`;
  reporter.problem([...wire.path, 'rangeStart'], message, mend);
  return first;
}

function* freeAddresses(subnet: Prefix, start: number, owners: Owners): Generator<number, undefined> {
  const [, last] = hostRange(subnet);
  for (let addr = start; addr <= last; addr++) if (!owners.has(addr)) yield addr;
}

function reportTooSmall(wire: Wire, subnet: Prefix, reporter: Reporter): void {
  const [first, last] = hostRange(subnet);
  const start =
    wire.rangeStart !== null && wire.rangeStart <= last ? Math.max(first, wire.rangeStart) : first;
  const room = last - start + 1;
  const from = start === first ? '' : ` from ${formatIp4(start)} on`;
  const path = wire.subnet === null ? wire.path : [...wire.path, 'subnet'];
  reporter.problem(
    path,
    `${formatPrefix(subnet)} has ${room} addresses${from} and ${wire.members.length} interfaces to give them to`,
    start === first ? 'take a shorter prefix' : 'take a shorter prefix or a lower rangeStart',
  );
}

/** First and last address for hosts; a /31 has two (RFC 3021), a /32 one. */
function hostRange(subnet: Prefix): readonly [number, number] {
  const last = broadcastOf(subnet);
  return subnet.len >= 31 ? [subnet.addr, last] : [subnet.addr + 1, last - 1];
}

function assignLoopbacks(
  topology: LabFile['topology'],
  nodes: readonly ResolvedNode[],
  subnets: readonly Prefix[],
  owners: Owners,
  reporter: Reporter,
): Map<string, number[]> {
  const pool = topology.loopbackSubnet ?? DEFAULT_LOOPBACK_SUBNET;
  const loopbacks = new Map<string, number[]>();
  for (const node of nodes) {
    const listed = node.definition.loopbacks;
    const automatic = node.kind === 'router' ? [pool.addr + node.number] : [];
    loopbacks.set(node.name, listed ?? automatic);
    for (const [i, addr] of (listed ?? automatic).entries()) {
      const path = listed === undefined ? ['topology', 'loopbackSubnet'] : node.origin('loopbacks', i);
      const inside = subnets.find((subnet) => subnet.len > 0 && prefixContains(subnet, addr));
      if (listed === undefined && addr > broadcastOf(pool)) {
        const mend = 'take a shorter prefix';
        reporter.problem(path, `${formatPrefix(pool)} has no address for node number ${node.number}`, mend);
      } else if (inside !== undefined) {
        const message = `${formatIp4(addr)}, the loopback of ${node.name}, overlaps ${formatPrefix(inside)}`;
        reporter.problem(path, message, 'give loopbacks a range of their own');
      } else owners.claim(addr, `${node.name}:lo`, path);
    }
  }
  return loopbacks;
}

/** Who has which address. */
class Owners {
  readonly #owners = new Map<number, string>();
  readonly #reporter: Reporter;

  constructor(reporter: Reporter) {
    this.#reporter = reporter;
  }

  has(addr: number): boolean {
    return this.#owners.has(addr);
  }

  claim(addr: number, owner: string, path: Path): void {
    const other = this.#owners.get(addr);
    if (other === undefined) this.#owners.set(addr, owner);
    else
      this.#reporter.problem(path, `${formatIp4(addr)} is also the address of ${other}`, 'give each its own');
  }
}

function describeWire(wire: Wire): string {
  if (wire.kind === 'lan') return `segment ${wire.name}`;
  return `link ${wire.members.map((port) => `${port.node.name}:${port.iface}`).join(' - ')}`;
}
