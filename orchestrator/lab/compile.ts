import type { CniConfig, InterfaceConfig, NodeConfig, StaticRoute, Timings } from '../../nodes/config.ts';
import { deriveSeed } from '../../nodes/random.ts';
import { formatIp, formatIpPrefix, type IpAddress, ipPrefixContains } from '../../protocols/ip.ts';
import { formatIp4, formatPrefix, type Prefix } from '../../protocols/ip4.ts';
import { formatIp6, formatPrefix6, isLinkLocal, type Prefix6 } from '../../protocols/ip6.ts';
import { formatMac } from '../../protocols/mac.ts';
import { type AddressedPort, type Addressing, assignAddresses, hasIpv4 } from './addressing.ts';
import { type Addressing6, assignAddresses6 } from './addressing6.ts';
import { compileBgp } from './bgp.ts';
import { withIpv6 } from './bgp6.ts';
import { cniConfig, isClusterNode, resolveCluster } from './cluster.ts';
import type { CompiledLab, CompiledSegment } from './compiled.ts';
import { dockerConfig, dockerPlaces } from './docker.ts';
import { connectDaemons } from './external.ts';
import { inherit, mergeTimers, type ResolvedNode } from './inherit.ts';
import { isSwitched, isSwitchPort, openflowConfig } from './openflow.ts';
import { desiredPods } from './pods.ts';
import { policyConfig } from './policy.ts';
import { portMac } from './port-mac.ts';
import { formatProblem, type Path, Reporter, type Source } from './problem.ts';
import { type LabParts, readLab } from './read.ts';
import { recordConfig } from './record.ts';
import { scaleBgp, scaleTimings } from './scale.ts';
import { checkTimings, defaultTimings, resolveTimings } from './timers.ts';
import { wireUp } from './wiring.ts';
import { readYaml } from './yaml-source.ts';

/** Seed of a lab that gives none. */
const DEFAULT_SEED = 1;

/**
 * Compiles the text of a lab file (docs/lab-file.md).
 * @throws LabError with everything that is wrong with it.
 */
export function compileLab(text: string, filename: string): CompiledLab {
  const { raw, source, problems, warnings } = readYaml(text, filename);
  const reporter = new Reporter(source);
  reporter.problems.push(...problems);
  reporter.warnings.push(...warnings);
  return compileRaw(raw, reporter);
}

/** Compiles plain values in the form of a lab file, from whatever source. */
export function compileValues(raw: unknown, source: Source, warnings: readonly string[]): CompiledLab {
  const lab = compileRaw(raw, new Reporter(source));
  return { ...lab, warnings: [...warnings, ...lab.warnings] };
}

function compileRaw(raw: unknown, reporter: Reporter): CompiledLab {
  const parts = readLab(raw, reporter);
  const lab = parts === null ? null : compileParts(parts, reporter);
  reporter.check();
  if (lab === null) throw new Error('a lab file was not understood and nothing was found wrong with it');
  return { ...lab, warnings: reporter.warnings.map(formatProblem) };
}

function compileParts(parts: LabParts, reporter: Reporter): CompiledLab {
  const { file, broken } = parts;
  const nodes = inherit(file.topology);
  if (nodes.length === 0) reporter.problem(['topology', 'nodes'], 'there is no node', 'add one');
  checkInheritance(parts, nodes, reporter);
  const wires = wireUp(parts, nodes, reporter);
  const addressing = assignAddresses(file.topology, nodes, wires, reporter);
  const addressing6 = assignAddresses6(nodes, addressing, reporter);
  const cluster =
    file.cluster === undefined ? null : resolveCluster(file.cluster, nodes, addressing, broken, reporter);
  const policy = file.policy === undefined ? null : policyConfig(file.policy, reporter);
  const bgp = compileBgp(nodes, addressing, addressing6, cluster, broken, policy, reporter);
  const pods = cluster === null ? [] : desiredPods(cluster, reporter);
  const seed = file.seed ?? DEFAULT_SEED;
  const timeScale = file.timers?.scale ?? 1;

  const configs = nodes.map((node): NodeConfig => {
    const { definition, number, name, kind } = node;
    const speaker = bgp.get(name);
    const stack = cluster?.podCIDR6 && isClusterNode(node) ? 'dual-stack' : 'single-stack';
    const bgpConfig =
      speaker === undefined ? undefined : withIpv6(speaker, node, addressing, addressing6, stack);
    const interfaces = (addressing.ports.get(name) ?? []).map((port, i) =>
      interfaceConfig(port, number, i, addressing6),
    );
    const loopbacks = [
      ...(addressing.loopbacks.get(name) ?? []).map((addr) => `${formatIp4(addr)}/32`),
      ...addressing6.loopbacksOf(node).map((addr) => `${formatIp6(addr)}/128`),
    ];
    const routes = staticRoutes(node, addressing, addressing6, reporter);
    const cni = cluster !== null && isClusterNode(node) ? cniConfig(cluster, node) : null;
    const ports = addressing.ports.get(name) ?? [];
    const unnumbered = ports.some((port) => !hasIpv4(port) && !isSwitchPort(port));
    const ipv6 = usesIpv6(
      node,
      [
        ...interfaces.flatMap(({ addresses }) => addresses),
        ...loopbacks,
        ...(unnumbered ? ['fe80::'] : []),
        ...(bgpConfig?.neighbors ?? []).map(({ localAddress }) => localAddress),
      ],
      cni,
      reporter,
    );
    const docker = dockerConfig(node, reporter);
    return {
      schema: 1,
      lab: file.name,
      name,
      number,
      role: kind,
      labels: definition.labels ?? {},
      seed: deriveSeed(seed, name),
      interfaces,
      loopbacks,
      routes,
      ipForward: kind !== 'host' && kind !== 'switch' && kind !== 'controller',
      ...(ipv6 ? { ipv6: true as const } : {}),
      ...(bgpConfig === undefined ? {} : { bgp: scaleBgp(bgpConfig, timeScale) }),
      ...(cni === null ? {} : { cni }),
      ...(docker === null ? {} : { docker }),
      ...openflowConfig(node, nodes, addressing, timeScale, reporter),
      timers: scaleTimings(timingsOf(node, parts, reporter), timeScale),
    };
  });
  const segments = wires.map(
    (wire): CompiledSegment => ({
      name: wire.name,
      kind: wire.kind,
      subnet: subnetText(addressing.subnets.get(wire), addressing6.subnets.get(wire)),
      delay: wire.netem?.delay ?? 0,
      members: (addressing.members.get(wire) ?? []).map(({ node, iface }) => ({ node: node.name, iface })),
    }),
  );
  const connected = connectDaemons(nodes, configs, reporter);
  const places = Object.fromEntries(
    nodes.flatMap((node) => {
      const own = dockerPlaces(node, reporter);
      return own.length === 0 ? [] : [[node.name, own] as const];
    }),
  );
  const lab: CompiledLab = {
    name: file.name,
    seed,
    nodes: connected,
    segments,
    pods,
    timeScale,
    ...(Object.keys(places).length === 0 ? {} : { dockerPlaces: places }),
    warnings: [],
  };
  return file.record === undefined ? lab : { ...lab, record: recordConfig(file.record, lab, reporter) };
}

/** That of IPv4 or, without it, of IPv6; a wire with neither has its link-local addresses. */
function subnetText(subnet: Prefix | undefined, subnet6: Prefix6 | undefined): string {
  if (subnet !== undefined && subnet.len > 0) return formatPrefix(subnet);
  return subnet6 === undefined ? 'none' : formatPrefix6(subnet6);
}

function checkInheritance(
  { file, broken }: LabParts,
  nodes: readonly ResolvedNode[],
  reporter: Reporter,
): void {
  const groups = Object.keys(file.topology.groups ?? {});
  for (const node of nodes) {
    if (broken.nodes.has(node.name)) continue;
    const { group, routeReflectorClusterID } = node.definition;
    if (group !== undefined && !groups.includes(group)) {
      const mend = groups.length === 0 ? 'add it under topology.groups' : `groups: ${groups.join(', ')}`;
      reporter.problem(node.origin('group'), `there is no group '${group}'`, mend);
    }
    if (routeReflectorClusterID !== undefined && node.kind !== 'reflector') {
      const message = 'only a reflector has a cluster id';
      reporter.problem(node.origin('routeReflectorClusterID'), message, 'set kind: reflector', 'key');
    }
    if (isClusterNode(node) && file.cluster === undefined && !broken.cluster) {
      const message = `kind ${node.kind} is part of a cluster, and the lab has none`;
      reporter.problem(
        node.origin('kind'),
        message,
        'add `cluster: {cni: calico}`, or make it a router or a host',
      );
    }
  }
  if (file.cluster !== undefined && !nodes.some(isClusterNode)) {
    reporter.warning(['cluster'], 'no node is of kind node or reflector: the cluster is empty', '', 'key');
  }
}

/** IPv6 is on where the file says so, and where it gives the node an address of it. */
function usesIpv6(
  { name, kind, definition, origin }: ResolvedNode,
  addresses: readonly string[],
  cni: CniConfig | null,
  reporter: Reporter,
): boolean {
  const asked = Object.values(definition.interfaces ?? {}).some(
    ({ address6, ra }) => address6 === 'auto' || ra === true,
  );
  for (const [iface, { ra }] of Object.entries(definition.interfaces ?? {}))
    if (ra === true && kind === 'host')
      reporter.problem(
        origin('interfaces', iface, 'ra'),
        'a host is no router to advertise',
        'make it a router',
        'key',
      );
  const used = asked || addresses.some((address) => address.includes(':'));
  const pods = cni?.ipv6 !== undefined;
  if (definition.ipv6 === false && (used || pods))
    reporter.problem(origin('ipv6'), `${name} has IPv6 addresses`, 'remove them, or ipv6: false');
  if (pods && !used && definition.ipv6 !== true)
    reporter.problem(
      origin(),
      `${name} gives its pods IPv6 addresses and has none itself`,
      'give its segment a subnet6',
      'key',
    );
  // As on any Linux host; Docker turns it off in its containers.
  return definition.ipv6 ?? (used || pods || definition.docker !== undefined);
}

function interfaceConfig(
  addressed: AddressedPort,
  number: number,
  port: number,
  addressing6: Addressing6,
): InterfaceConfig {
  const { iface, wire, mtu, address, netem } = addressed;
  const address6 = addressing6.addressOf(addressed);
  return {
    name: iface,
    port,
    segment: wire.name,
    mac: formatMac(portMac(number, port)),
    mtu,
    addresses: [
      ...(hasIpv4(addressed) ? [formatPrefix(address)] : []),
      ...(address6 === null ? [] : [formatPrefix6(address6)]),
    ],
    ...(netem === null ? {} : { netem }),
    ...(addressed.ra ? { ra: true as const } : {}),
  };
}

/** The static routes of a node; a host without a gateway takes the one router that it shares a wire with. */
function staticRoutes(
  node: ResolvedNode,
  addressing: Addressing,
  addressing6: Addressing6,
  reporter: Reporter,
): StaticRoute[] {
  const { definition } = node;
  const ports = addressing.ports.get(node.name) ?? [];
  const routes: StaticRoute[] = [];
  const subnets = ports.flatMap(({ wire }) =>
    [addressing.subnets.get(wire), addressing6.subnets.get(wire)].flatMap((subnet) =>
      subnet === undefined || subnet.len === 0 ? [] : [subnet],
    ),
  );
  const add = (dst: string, via: IpAddress, dev: string, path: Path, metric = 0) => {
    const onLink = typeof via === 'string' && isLinkLocal(via) && dev !== '';
    const reachable = onLink || subnets.some((subnet) => ipPrefixContains(subnet, via));
    if (!reachable) {
      const known = subnets.map(formatIpPrefix).join(', ');
      const message = `${formatIp(via)} is on no subnet of ${node.name}`;
      reporter.problem(path, message, known === '' ? 'put the node on a segment' : `they are ${known}`);
    }
    routes.push({ dst, via: formatIp(via), dev, ...(metric === 0 ? {} : { metric }) });
  };
  if (definition.gateway !== undefined) add('0.0.0.0/0', definition.gateway, '', node.origin('gateway'));
  else if (node.kind === 'host') {
    const neighbors = ports.flatMap(({ wire }) => addressing.members.get(wire) ?? []);
    const [gateway, ...more] = neighbors.filter((port) => port.node.kind === 'router' && hasIpv4(port));
    if (gateway !== undefined) add('0.0.0.0/0', gateway.address.addr, '', node.origin());
    // What a Docker host sends is for those on its own wires, as often as not.
    const switched = ports.some(({ wire }) => isSwitched(wire));
    const wanted = gateway === undefined && definition.docker === undefined && !switched;
    if (wanted || more.length > 0) {
      const message =
        gateway === undefined
          ? `${node.name} has no router to send to`
          : `${node.name} has several routers and uses ${gateway.node.name}`;
      reporter.warning(node.origin(), message, 'set gateway', 'key');
    }
  }
  if (definition.gateway6 !== undefined) add('::/0', definition.gateway6, '', node.origin('gateway6'));
  else if (node.kind === 'host') {
    const reached = ports.flatMap(({ wire }) => addressing.members.get(wire) ?? []);
    const own = ports.some((port) => addressing6.addressOf(port) !== null);
    const [gateway] = reached.flatMap((port) =>
      port.node.kind === 'router' ? (addressing6.addressOf(port) ?? []) : [],
    );
    if (own && gateway !== undefined) add('::/0', gateway.addr, '', node.origin());
  }
  for (const [i, { dst, via, dev = '', metric }] of (definition.routes ?? []).entries()) {
    const path = node.origin('routes', i);
    if (dev !== '' && !ports.some(({ iface }) => iface === dev)) {
      reporter.problem(
        [...path, 'dev'],
        `${node.name} has no interface ${dev}`,
        'leave it out to find it by via',
      );
    }
    if (typeof dst.addr !== typeof via)
      reporter.problem(
        [...path, 'via'],
        `${formatIp(via)} and ${formatIpPrefix(dst)} are of two families`,
        'take a gateway of the same',
      );
    else add(formatIpPrefix(dst), via, dev, [...path, 'via'], metric);
  }
  return routes;
}

/** Timers of a node before the time scale: the node's, the lab's, the real system's. */
function timingsOf(node: ResolvedNode, { file }: LabParts, reporter: Reporter): Timings {
  const { scale: _, ...ofLab } = file.timers ?? {};
  const ofNode = node.definition.timers ?? {};
  const defaults = defaultTimings(isClusterNode(node) ? 'calico' : 'router');
  const timings = resolveTimings(defaults, mergeTimers(ofLab, ofNode));
  for (const { path, message, mend } of checkTimings(timings)) {
    const [section = '', key = ''] = path.map(String);
    const own = Object.hasOwn(ofNode, section) && Object.hasOwn(Object(Reflect.get(ofNode, section)), key);
    reporter.problem(own ? node.origin('timers', ...path) : ['timers', ...path], message, mend);
  }
  return timings;
}
