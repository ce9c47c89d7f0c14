import type { NodeEvent } from '../events/node.ts';
import type { OpenFlowEvent, OpenFlowFdb, OpenFlowRole } from '../events/openflow.ts';
import {
  fdbKey,
  hostKey,
  inOrder,
  type OpenFlowBridgeFacts,
  type OpenFlowConnection,
  type OpenFlowHostFacts,
  type OpenFlowView,
} from './openflow-view.ts';

type OpenFlowBridgeEvent = Extract<OpenFlowEvent, { type: 'openflow.bridge' }>;

class FoldedBridge {
  facts: Omit<OpenFlowBridgeFacts, 'flows' | 'fdb' | 'groups' | 'meters' | 'portConfigs' | 'connections'>;
  readonly flows = new Map<string, string>();
  readonly fdb = new Map<string, OpenFlowFdb>();
  readonly groups = new Map<number, string>();
  readonly meters = new Map<number, string>();
  readonly ports = new Map<number, number>();
  readonly connections = new Map<string, OpenFlowConnection>();

  constructor({ bridge, datapathId, failMode, controller, ports }: OpenFlowBridgeEvent) {
    this.facts = { bridge, datapathId, failMode, controller, ports, mode: 'controlled', generation: '' };
    for (const one of controller.split(' ').filter((target) => target !== ''))
      this.connections.set(one, { controller: one, state: 'disconnected', role: 'equal', async: null });
  }

  change(controller: string, change: Partial<OpenFlowConnection>): void {
    const connection = this.connections.get(controller);
    if (connection !== undefined) this.connections.set(controller, { ...connection, ...change });
  }

  view(): OpenFlowBridgeFacts {
    return {
      ...this.facts,
      connections: [...this.connections.values()],
      flows: inOrder(this.flows, ([rule]) => rule).map(([, flow]) => flow),
      fdb: inOrder(this.fdb.values(), fdbKey),
      groups: byNumber(this.groups).map(([, spec]) => spec),
      meters: byNumber(this.meters).map(([, spec]) => spec),
      portConfigs: byNumber(this.ports).map(([port, config]) => ({ port, config })),
    };
  }
}

function byNumber<T>(rows: ReadonlyMap<number, T>): [number, T][] {
  return [...rows].sort(([a], [b]) => a - b);
}

/** OpenFlow state of a node from its events alone. */
export class OpenFlowFold {
  readonly #bridges = new Map<string, FoldedBridge>();
  readonly #switches = new Map<string, string>();
  readonly #hosts = new Map<string, OpenFlowHostFacts>();
  #role: OpenFlowRole = 'equal';

  apply(event: OpenFlowEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#bridges.clear();
        this.#switches.clear();
        this.#hosts.clear();
        this.#role = 'equal';
        break;
      case 'openflow.controller':
        this.#role = event.role;
        break;
      case 'openflow.bridge':
        this.#bridges.set(event.bridge, new FoldedBridge(event));
        break;
      case 'openflow.switch':
        if (event.state === 'up') this.#switches.set(event.datapathId, event.address);
        else this.#switches.delete(event.datapathId);
        break;
      case 'openflow.host': {
        const { datapathId, mac, port, ip } = event;
        this.#hosts.set(hostKey(event), { datapathId, mac, port, ip });
        break;
      }
      case 'openflow.packet-in':
      case 'openflow.error':
        break;
      default: {
        const bridge = this.#bridges.get(event.bridge);
        if (bridge !== undefined) applyToBridge(bridge, event);
      }
    }
  }

  view(): OpenFlowView {
    const bridges = [...this.#bridges.values()].map((bridge) => bridge.view());
    const switches = [...this.#switches].map(([datapathId, address]) => ({ datapathId, address }));
    return {
      bridges: inOrder(bridges, ({ bridge }) => bridge),
      switches: inOrder(switches, ({ datapathId }) => datapathId),
      hosts: inOrder(this.#hosts.values(), hostKey),
      role: this.#role,
    };
  }
}

function applyToBridge(
  bridge: FoldedBridge,
  event: Exclude<Extract<OpenFlowEvent, { readonly bridge: string }>, OpenFlowBridgeEvent>,
): void {
  switch (event.type) {
    case 'openflow.fail-mode':
      bridge.facts = { ...bridge.facts, failMode: event.failMode };
      break;
    case 'openflow.channel':
      // A new connection begins as all do.
      bridge.change(event.controller ?? bridge.facts.controller, {
        state: event.state,
        role: 'equal',
        async: null,
      });
      break;
    case 'openflow.role':
      bridge.change(event.controller, { role: event.role });
      bridge.facts = { ...bridge.facts, generation: event.generation };
      break;
    case 'openflow.async':
      bridge.change(event.controller, { async: event.masks });
      break;
    case 'openflow.group':
      bridge.groups.set(event.group, event.spec);
      break;
    case 'openflow.group.removed':
      bridge.groups.delete(event.group);
      break;
    case 'openflow.meter':
      bridge.meters.set(event.meter, event.spec);
      break;
    case 'openflow.meter.removed':
      bridge.meters.delete(event.meter);
      break;
    case 'openflow.port':
      if (event.config === 0) bridge.ports.delete(event.port);
      else bridge.ports.set(event.port, event.config);
      break;
    case 'openflow.mode':
      bridge.facts = { ...bridge.facts, mode: event.mode };
      break;
    case 'openflow.flow':
      bridge.flows.set(event.rule, event.flow);
      break;
    case 'openflow.flow.removed':
      bridge.flows.delete(event.rule);
      break;
    case 'openflow.fdb':
      bridge.fdb.set(fdbKey(event), { mac: event.mac, vlan: event.vlan, port: event.port });
      break;
    case 'openflow.fdb.removed':
      bridge.fdb.delete(fdbKey(event));
  }
}
