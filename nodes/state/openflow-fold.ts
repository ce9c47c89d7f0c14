import type { NodeEvent } from '../events/node.ts';
import type { OpenFlowEvent, OpenFlowFdb } from '../events/openflow.ts';
import {
  fdbKey,
  hostKey,
  inOrder,
  type OpenFlowBridgeFacts,
  type OpenFlowHostFacts,
  type OpenFlowView,
} from './openflow-view.ts';

interface FoldedBridge {
  facts: Omit<OpenFlowBridgeFacts, 'flows' | 'fdb'>;
  readonly flows: Map<string, string>;
  readonly fdb: Map<string, OpenFlowFdb>;
}

/** OpenFlow state of a node from its events alone. */
export class OpenFlowFold {
  readonly #bridges = new Map<string, FoldedBridge>();
  readonly #switches = new Map<string, string>();
  readonly #hosts = new Map<string, OpenFlowHostFacts>();

  apply(event: OpenFlowEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#bridges.clear();
        this.#switches.clear();
        this.#hosts.clear();
        break;
      case 'openflow.bridge': {
        const { type: _, ...facts } = event;
        const state = { channel: 'disconnected', mode: 'controlled' } as const;
        this.#bridges.set(event.bridge, { facts: { ...facts, ...state }, flows: new Map(), fdb: new Map() });
        break;
      }
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
    const bridges = [...this.#bridges.values()].map(({ facts, flows, fdb }) => ({
      ...facts,
      flows: inOrder(flows, ([rule]) => rule).map(([, flow]) => flow),
      fdb: inOrder(fdb.values(), fdbKey),
    }));
    const switches = [...this.#switches].map(([datapathId, address]) => ({ datapathId, address }));
    return {
      bridges: inOrder(bridges, ({ bridge }) => bridge),
      switches: inOrder(switches, ({ datapathId }) => datapathId),
      hosts: inOrder(this.#hosts.values(), hostKey),
    };
  }
}

function applyToBridge(
  bridge: FoldedBridge,
  event: Exclude<Extract<OpenFlowEvent, { readonly bridge: string }>, { type: 'openflow.bridge' }>,
): void {
  switch (event.type) {
    case 'openflow.fail-mode':
      bridge.facts = { ...bridge.facts, failMode: event.failMode };
      break;
    case 'openflow.channel':
      bridge.facts = { ...bridge.facts, channel: event.state };
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
