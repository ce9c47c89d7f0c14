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
    controllers: z.array(name).optional(),
    failMode: z.enum(['secure', 'standalone']).optional(),
    datapathId: z
      .string()
      .regex(/^[0-9a-f]{16}$/, 'is 16 hex digits, in quotes')
      .optional(),
    flows: z.array(z.string()).optional(),
  }).optional(),
  controller: map({
    program: z.enum(PROGRAMS).optional(),
    role: z.enum(['equal', 'master', 'slave']).optional(),
  }).optional(),
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
    ...controllerAddresses(node, nodes, addressing, reporter),
    failMode,
    inactivityProbe: INACTIVITY_PROBE * timeScale,
    backoff: BACKOFF * timeScale,
    maxBackoff: MAX_BACKOFF * timeScale,
  };
}

/** The addresses of the controllers that it names, else of one on a wire of its own; '' without a controller. */
function controllerAddresses(
  node: ResolvedNode,
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  reporter: Reporter,
): Pick<OpenFlowSwitchConfig, 'controller' | 'controllers'> {
  const { controller, controllers } = node.definition.openflow ?? {};
  const names = nodes.filter(({ kind }) => kind === 'controller').map(({ name }) => name);
  if (controller !== undefined && controllers !== undefined)
    reporter.problem(
      node.origin('openflow', 'controllers'),
      'there is `controller` too',
      'name all of them in `controllers`',
      'key',
    );
  const check = (wanted: string, path: Parameters<Reporter['problem']>[0]) => {
    if (!names.includes(wanted))
      reporter.problem(path, `there is no controller '${wanted}'`, suggest(wanted, names));
  };
  if (controller !== undefined) check(controller, node.origin('openflow', 'controller'));
  for (const [i, one] of (controllers ?? []).entries())
    check(one, [...node.origin('openflow', 'controllers'), i]);
  const own = addressing.ports.get(node.name) ?? [];
  const address = (among: readonly string[], where: 'own wire' | 'any') => {
    const ports = among.flatMap((name) => addressing.ports.get(name) ?? []);
    const shared = ports.find(({ wire }) => own.some((port) => port.wire === wire));
    const port = shared ?? (where === 'any' ? ports[0] : undefined);
    return port === undefined ? '' : formatIp4(port.address.addr);
  };
  const several = (controllers ?? []).map((one) => address([one], 'any')).filter((one) => one !== '');
  if (several.length > 0)
    return { controller: several[0] ?? '', ...(several.length > 1 ? { controllers: several } : {}) };
  return { controller: controller === undefined ? address(names, 'own wire') : address([controller], 'any') };
}

function controllerConfig(
  { definition }: ResolvedNode,
  nodes: readonly ResolvedNode[],
): OpenFlowControllerConfig {
  const switches = nodes.filter(({ kind }) => kind === 'switch');
  const { role } = definition.controller ?? {};
  return {
    program: definition.controller?.program ?? 'learning-switch',
    ...(role === 'master' || role === 'slave' ? { role } : {}),
    switches: Object.fromEntries(switches.map((one) => [datapathOf(one), one.name])),
    flows: Object.fromEntries(
      switches.flatMap((one) => {
        const flows = one.definition.openflow?.flows ?? [];
        return flows.length === 0 ? [] : [[datapathOf(one), flows]];
      }),
    ),
  };
}
