/** Events of the node's cluster daemons: kubelet, CNI plug-ins and IPAM, flanneld. */

/** A pod's sandbox (pause container) on this node: what kubelet and the container runtime keep on disk. */
export interface SandboxFacts {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** 64 hex digits, as a container runtime's. Also the CNI container id. */
  readonly containerId: string;
  /** Name of the network namespace. */
  readonly netns: string;
  /** Pod address without prefix length, '' until CNI ADD has answered. */
  readonly ip: string;
  /** IPv6 address of a dual-stack pod, likewise. */
  readonly ip6?: string;
  /** Host side of the veth pair, '' until CNI ADD has answered. */
  readonly hostDevice: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A Calico IPAM block that this node has an affinity for. */
export interface BlockFacts {
  readonly cidr: string;
  readonly state: 'pending' | 'confirmed';
}

/** A flannel subnet lease as it stands in the store. */
export interface LeaseFacts {
  readonly subnet: string;
  readonly publicIP: string;
  readonly backendType: string;
  /** VXLAN: {VNI, VtepMAC}; {} for other backends. */
  readonly backendData: Readonly<Record<string, string | number>>;
  /** Expiry, ms on the lab's clock. */
  readonly expiresAt: number;
  /** Of a flannel with both families. */
  readonly ipv6?: {
    readonly subnet: string;
    readonly publicIP: string;
    readonly backendData: Readonly<Record<string, string | number>>;
  };
}

export type ClusterEvent =
  | { readonly type: 'pod.sandbox'; readonly sandbox: SandboxFacts }
  | {
      readonly type: 'pod.removed';
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string;
      readonly ip: string;
    }
  | { readonly type: 'ipam.block'; readonly block: BlockFacts }
  | { readonly type: 'ipam.block.released'; readonly cidr: string }
  /** `handle` is the CNI container id that holds the address. */
  | { readonly type: 'ipam.assigned'; readonly ip: string; readonly handle: string }
  | { readonly type: 'ipam.released'; readonly ip: string; readonly handle: string }
  /** flanneld: this node's own lease, also written to subnet.env. */
  | { readonly type: 'flannel.acquired'; readonly lease: LeaseFacts; readonly mtu: number }
  | { readonly type: 'flannel.revoked'; readonly subnet: string }
  /** flanneld: a peer's lease was added or changed, and its rows programmed. */
  | { readonly type: 'flannel.peer'; readonly lease: LeaseFacts }
  | { readonly type: 'flannel.peer.removed'; readonly subnet: string };
