import type { CommandReply, Impairment, NodeCommand } from '../nodes/commands.ts';
import type { EventId } from '../nodes/events/record.ts';
import { changeImpairment, impairmentProblem } from '../nodes/impair.ts';
import type { Random, StoreResult } from '../nodes/runtime.ts';
import { type PodSpec, type StoreOp, storeKeys } from '../nodes/store.ts';
import type { NetemParameters } from '../protocols/netem/parameters.ts';
import type { LabAction, OrchestratorEvent } from './events.ts';
import { type CommandOptions, type NodeState, UnknownNodeError } from './running-lab.ts';

/** What performing an action needs of whatever runs the lab. */
export interface ActionHost {
  /** Appends to the orchestrator's log. */
  record(event: OrchestratorEvent, cause?: EventId): EventId;
  /** undefined if the lab has no such node. */
  stateOf(node: string): NodeState | undefined;
  readonly nodeNames: readonly string[];
  /** The devices at the other end of a point-to-point link; none for a port on a LAN segment. */
  farEnd(node: string, device: string): { readonly node: string; readonly device: string } | null;
  hasDevice(node: string, device: string): boolean;
  devicesOf(node: string): readonly string[];
  command(node: string, command: NodeCommand, options?: CommandOptions): Promise<CommandReply>;
  /** Links without carrier, as `node:device`: a node that boots finds its cable still pulled. */
  readonly pulled: Set<string>;
  /** What is wrong with ports since it was changed, as `node:device`: a node that boots finds its wires as they are. */
  readonly impaired: Map<string, Impairment>;
  /** What is wrong with a port by the lab file. */
  netemOf(node: string, device: string): NetemParameters | null;
  /** Ends the node at once; resolves when it is gone. After a 'silent' end none of its peers hears of it, real daemons neither. */
  halt(node: string, how: 'reset' | 'silent'): Promise<void>;
  startNode(node: string, cause: EventId): Promise<void>;
  store(op: StoreOp, cause: EventId): Promise<StoreResult>;
  readonly random: Random;
}

export class ActionError extends Error {
  override readonly name = 'ActionError';
}

/** Performs an action: checks it, logs it, does it. The event's id is the cause of all that follows. */
export async function perform(host: ActionHost, action: LabAction): Promise<EventId> {
  const state = host.stateOf(action.node);
  if (state === undefined) throw new UnknownNodeError(action.node, host.nodeNames);
  switch (action.type) {
    case 'kill': {
      if (state === 'down') throw new ActionError(`node ${action.node} is already down`);
      const id = host.record({ type: 'action', action });
      if (action.how === 'reset')
        await host.command(action.node, { type: 'crash', how: 'reset' }, { cause: id });
      await host.halt(action.node, action.how);
      return id;
    }
    case 'start': {
      if (state !== 'down') throw new ActionError(`node ${action.node} is already running`);
      const id = host.record({ type: 'action', action });
      await host.startNode(action.node, id);
      return id;
    }
    case 'link': {
      if (!host.hasDevice(action.node, action.device)) {
        const known = host.devicesOf(action.node).join(', ');
        throw new ActionError(`node ${action.node} has no interface ${action.device}; it has: ${known}`);
      }
      const id = host.record({ type: 'action', action });
      const far = host.farEnd(action.node, action.device);
      const ends = far === null ? [action] : [action, far];
      for (const end of ends) {
        const name = `${end.node}:${end.device}`;
        if (action.carrier === 'down') host.pulled.add(name);
        else host.pulled.delete(name);
        if (host.stateOf(end.node) === 'down') continue;
        await host.command(
          end.node,
          { type: 'carrier', device: end.device, carrier: action.carrier },
          { cause: id },
        );
      }
      return id;
    }
    case 'impair': {
      if (!host.hasDevice(action.node, action.device)) {
        const known = host.devicesOf(action.node).join(', ');
        throw new ActionError(`node ${action.node} has no interface ${action.device}; it has: ${known}`);
      }
      const name = `${action.node}:${action.device}`;
      const { device, change } = action;
      const before = impairmentOf(host, action.node, device);
      const after = changeImpairment(before, change);
      const problem = impairmentProblem(after);
      if (problem !== null) throw new ActionError(`${name}: ${problem}`);
      const id = host.record({ type: 'action', action });
      if (state === 'down') host.impaired.set(name, after);
      else {
        const reply = await host.command(action.node, { type: 'impair', device, change }, { cause: id });
        if (reply.type !== 'value') throw new ActionError(`${name}: ${messageOf(reply)}`);
        host.impaired.set(name, reply.value as Impairment);
      }
      return id;
    }
    case 'bgp': {
      if (state !== 'running') throw new ActionError(`node ${action.node} is not running`);
      const id = host.record({ type: 'action', action });
      const reply = await host.command(action.node, { type: 'bgp', request: action.request }, { cause: id });
      if (reply.type === 'error') {
        const isNamed = reply.message.startsWith(`${action.node} `);
        throw new ActionError(isNamed ? reply.message : `${action.node}: ${reply.message}`);
      }
      return id;
    }
    case 'pod.create': {
      const id = host.record({ type: 'action', action });
      const { namespace, name, node, labels } = action;
      const value: PodSpec = { namespace, name, node, labels, uid: uuid(host.random) };
      const result = await host.store({ op: 'create', key: storeKeys.pod(node, namespace, name), value }, id);
      if (!result.ok) throw new ActionError(`pod ${namespace}/${name} already exists on node ${node}`);
      return id;
    }
    case 'pod.delete': {
      const id = host.record({ type: 'action', action });
      await host.store({ op: 'delete', key: storeKeys.pod(action.node, action.namespace, action.name) }, id);
      return id;
    }
  }
}

function messageOf(reply: CommandReply): string {
  return reply.type === 'error' ? reply.message : `unexpected answer '${reply.type}'`;
}

/** What is wrong with a port now, as far as the orchestrator knows. */
export function impairmentOf(host: ActionHost, node: string, device: string): Impairment {
  return host.impaired.get(`${node}:${device}`) ?? { netem: host.netemOf(node, device), cut: 'none' };
}

/** What a node that boots is to find wrong with its ports, beside what its configuration says. */
export function impairedOf(host: ActionHost, node: string): Record<string, Impairment> {
  const own = host.devicesOf(node).map((device) => [device, host.impaired.get(`${node}:${device}`)] as const);
  return Object.fromEntries(own.flatMap(([device, found]) => (found === undefined ? [] : [[device, found]])));
}

/** A version 4 UUID (RFC 9562 §5.4) from the lab's own generator, so that a seed gives the same uids. */
export function uuid(random: Random): string {
  const hex = Array.from({ length: 32 }, () => random.int(0, 15).toString(16));
  hex[12] = '4';
  hex[16] = (8 + random.int(0, 3)).toString(16);
  const text = hex.join('');
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join(
    '-',
  );
}
