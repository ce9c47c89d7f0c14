import type { EventId } from './events/record.ts';

/** A JSON-like value as the store holds it. */
export type StoreValue = { readonly [key: string]: unknown };

/** A change that a node asks of the store. Keys are dot-separated tokens of [-_a-zA-Z0-9]. */
export type StoreOp =
  | { readonly op: 'put'; readonly key: string; readonly value: StoreValue }
  /** Fails with a conflict if the key exists. */
  | { readonly op: 'create'; readonly key: string; readonly value: StoreValue }
  /** Compare and swap: fails with a conflict unless `revision` is the key's current one. */
  | { readonly op: 'update'; readonly key: string; readonly value: StoreValue; readonly revision: number }
  | { readonly op: 'delete'; readonly key: string; readonly revision?: number };

/** What a watch delivers: a key's value now, `null` when it was deleted. */
export interface StoreChange {
  readonly key: string;
  readonly value: StoreValue | null;
  readonly revision: number;
  /** Event that wrote it: the cause crosses the store as it crosses the wire. */
  readonly cause: EventId;
}

/**
 * Keys of the store.
 *
 *     pods.<node>.<namespace>.<name>        PodSpec: desired, written by the orchestrator
 *     podstatus.<node>.<namespace>.<name>   PodStatus: written by the node's kubelet
 *     flannel.subnets.<a-b-c-d-len>         a subnet lease
 *     ipam.blocks.<a-b-c-d-len>             a Calico IPAM block; `ipam6.blocks.…` one of an IPv6 pool
 *     nodes.<node>                          NodeStatus
 */
export const storeKeys = {
  pod: (node: string, namespace: string, name: string) => `pods.${node}.${namespace}.${name}`,
  podsOf: (node: string) => `pods.${node}.>`,
  podStatus: (node: string, namespace: string, name: string) => `podstatus.${node}.${namespace}.${name}`,
  flannelSubnet: (cidr: string) => `flannel.subnets.${cidr.replace(/[./]/g, '-')}`,
  flannelSubnets: 'flannel.subnets.>',
  ipamBlock: (cidr: string) =>
    `${cidr.includes(':') ? 'ipam6' : 'ipam'}.blocks.${cidr.replace(/[.:/]/g, '-')}`,
  ipamBlocks: 'ipam.blocks.>',
  node: (node: string) => `nodes.${node}`,
} as const;

export interface PodSpec extends StoreValue {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface PodStatus extends StoreValue {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly phase: 'Pending' | 'Running' | 'Failed';
  readonly podIP: string;
  /** Of both families, that of IPv4 first; absent where there is but the one. */
  readonly podIPs?: readonly string[];
  /** Why it is not running, '' if it is. */
  readonly message: string;
}
