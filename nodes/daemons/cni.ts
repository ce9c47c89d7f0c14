import type { Netns } from '../kernel/netns.ts';

/** The Container Network Interface, specification 1.1.0, as calls within the node. */

/** One attachment: a container and the name of its interface. */
export interface CniAttachment {
  readonly containerId: string;
  readonly ifname: string;
  /** K8S_POD_NAMESPACE and K8S_POD_NAME of CNI_ARGS. */
  readonly namespace: string;
  readonly pod: string;
}

export interface CniAddRequest extends CniAttachment {
  readonly netns: Netns;
}

export interface CniDelRequest extends CniAttachment {
  /** null when the namespace is gone, as after a reboot. */
  readonly netns: Netns | null;
}

export interface CniResult {
  readonly cniVersion: '1.1.0';
  /** `sandbox` is the namespace's name, '' for an interface of the host. */
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly sandbox: string }[];
  readonly ips: readonly {
    /** With prefix length. */
    readonly address: string;
    /** '' if none. */
    readonly gateway: string;
    /** Index into `interfaces`. */
    readonly interface: number;
  }[];
  readonly routes: readonly { readonly dst: string; readonly gw: string }[];
}

export interface CniError {
  readonly cniVersion: '1.1.0';
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** Error codes of the specification, and the one that plug-ins use for all that it has none for (types.ErrInternal). */
export const CNI_TRY_AGAIN_LATER = 11;
export const CNI_NOT_AVAILABLE = 50;
export const CNI_INTERNAL = 999;

export type CniOutcome =
  | { readonly type: 'result'; readonly result: CniResult }
  | { readonly type: 'error'; readonly error: CniError };

export interface CniPlugin {
  /** `type` of the network configuration, which names the plug-in in kubelet's messages. */
  readonly name: string;
  /** ADD. `done` may run within the call or in a later step. A second ADD for one (containerId, ifname) fails. */
  add(request: CniAddRequest, done: (outcome: CniOutcome) => void): void;
  /** DEL. Succeeds also when there is nothing to delete; host and container side are gone when the call returns. */
  del(request: CniDelRequest, done: () => void): void;
  /** GC: releases all that belongs to no valid attachment of this node. */
  gc(valid: ReadonlySet<string>): void;
  /** STATUS: null when ready for ADD, code 11 while it is starting, code 50 when it cannot serve. */
  status(): CniError | null;
}

export function cniError(code: number, msg: string): CniError {
  return { cniVersion: '1.1.0', code, msg, details: '' };
}
