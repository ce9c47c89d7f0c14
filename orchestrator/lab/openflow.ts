import { z } from 'zod';
import type { NodeConfig, OpenFlowControllerConfig, OpenFlowSwitchConfig } from '../../nodes/config.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { parseFlow } from '../../protocols/openflow/flow-text.ts';
import { FlowSyntaxError } from '../../protocols/openflow/match-text.ts';
import type { Addressing } from './addressing.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Reporter } from './problem.ts';
import { map, name } from './schema-types.ts';
import { suggest } from './suggest.ts';
import type { Port, Wire } from './wiring.ts';

const PROGRAMS = ['learning-switch', 'hub', 'static', 'arp-responder', 'bus'] as const;

/** What a switch says of its OpenFlow bridge, and a controller of what it does. */
export const openflowShape = {
  openflow: map({
    controller: name.optional(),
    failMode: z.enum(['secure', 'standalone']).optional(),
    datapathId: z
      .string()
      .regex(/^[0-9a-f]{16}$/, 'is 16 hex digits, in quotes')
      .optional(),
    flows: z.array(z.string()).optional(),
  }).optional(),
  controller: map({ program: z.enum(PROGRAMS).optional() }).optional(),
};

/** ovs-vswitchd.conf.db(5): `inactivity_probe`, `max_backoff`, ms. */
const INACTIVITY_PROBE = 5000;
const BACKOFF = 1000;
const MAX_BACKOFF = 8000;

/** Whether an interface is a port of a switch: all are but those on a wire with a controller. */
export function isSwitchPort({ node, wire }: Port): boolean {
  return node.kind === 'switch' && !wire.members.some((other) => other.node.kind === 'controller');
}

/** Whether a wire is part of what switches join. */
export function isSwitched(wire: Wire): boolean {
  return wire.members.some(isSwitchPort);
}

/** The wires that switches make one network of this one. */
export function joinedWith(wire: Wire, wires: readonly Wire[]): Wire[] {
  const joined = [wire];
  for (const one of joined) {
    const switches = one.members.filter(isSwitchPort).map(({ node }) => node.name);
    for (const other of wires) {
      if (joined.includes(other)) continue;
      if (other.members.some((port) => isSwitchPort(port) && switches.includes(port.node.name)))
        joined.push(other);
    }
  }
  return joined;
}

function datapathOf({ definition, number }: ResolvedNode): string {
  return definition.openflow?.datapathId ?? number.toString(16).padStart(16, '0');
}

/** What is the node's of OpenFlow. */
export function openflowConfig(
  node: ResolvedNode,
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  timeScale: number,
  reporter: Reporter,
): Pick<NodeConfig, 'openflow' | 'controller'> {
  const { kind, definition, origin } = node;
  if (kind !== 'switch' && definition.openflow !== undefined)
    reporter.problem(origin('openflow'), 'only a switch has a bridge', 'set kind: switch', 'key');
  if (kind !== 'controller' && definition.controller !== undefined)
    reporter.problem(origin('controller'), 'only a controller runs a program', 'set kind: controller', 'key');
  if (kind === 'switch') return { openflow: switchConfig(node, nodes, addressing, timeScale, reporter) };
  return kind === 'controller' ? { controller: controllerConfig(node, nodes) } : {};
}

function switchConfig(
  node: ResolvedNode,
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  timeScale: number,
  reporter: Reporter,
): OpenFlowSwitchConfig {
  const { definition, origin } = node;
  const { failMode = 'standalone', flows = [] } = definition.openflow ?? {};
  for (const [i, flow] of flows.entries()) {
    try {
      parseFlow(flow);
    } catch (error) {
      if (!(error instanceof FlowSyntaxError)) throw error;
      const mend = "write it as for ovs-ofctl add-flow: 'priority=10,in_port=1,actions=output:2'";
      reporter.problem([...origin('openflow', 'flows'), i], error.message, mend);
    }
  }
  const twin = nodes.find(
    (other) =>
      other.kind === 'switch' && other.number < node.number && datapathOf(other) === datapathOf(node),
  );
  if (twin !== undefined)
    reporter.problem(
      origin('openflow', 'datapathId'),
      `it is also that of ${twin.name}`,
      'give each its own',
    );
  const ports = (addressing.ports.get(node.name) ?? []).filter(isSwitchPort).map(({ iface }) => iface);
  return {
    bridge: 'br0',
    datapathId: datapathOf(node),
    ports,
    controller: controllerAddress(node, nodes, addressing, reporter),
    failMode,
    inactivityProbe: INACTIVITY_PROBE * timeScale,
    backoff: BACKOFF * timeScale,
    maxBackoff: MAX_BACKOFF * timeScale,
  };
}

/** The controller's address on a wire that both are on, else its first; '' without a controller. */
function controllerAddress(
  node: ResolvedNode,
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  reporter: Reporter,
): string {
  const controllers = nodes.filter(({ kind }) => kind === 'controller');
  const wanted = node.definition.openflow?.controller;
  const names = controllers.map(({ name }) => name);
  if (wanted !== undefined && !names.includes(wanted)) {
    const path = node.origin('openflow', 'controller');
    reporter.problem(path, `there is no controller '${wanted}'`, suggest(wanted, names));
    return '';
  }
  const own = addressing.ports.get(node.name) ?? [];
  const ports = controllers
    .filter(({ name }) => wanted === undefined || name === wanted)
    .flatMap(({ name }) => addressing.ports.get(name) ?? []);
  const shared = ports.find(({ wire }) => own.some((port) => port.wire === wire));
  const port = shared ?? (wanted === undefined ? undefined : ports[0]);
  return port === undefined ? '' : formatIp4(port.address.addr);
}

function controllerConfig(
  { definition }: ResolvedNode,
  nodes: readonly ResolvedNode[],
): OpenFlowControllerConfig {
  const switches = nodes.filter(({ kind }) => kind === 'switch');
  return {
    program: definition.controller?.program ?? 'learning-switch',
    switches: Object.fromEntries(switches.map((one) => [datapathOf(one), one.name])),
    flows: Object.fromEntries(
      switches.flatMap((one) => {
        const flows = one.definition.openflow?.flows ?? [];
        return flows.length === 0 ? [] : [[datapathOf(one), flows]];
      }),
    ),
  };
}
