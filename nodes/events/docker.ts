/** Events of the node's dockerd: what it keeps on disk of its networks and containers. Addresses are text. */

export type DockerDriver = 'bridge' | 'host' | 'null' | 'macvlan' | 'ipvlan' | 'overlay';

/** A subnet of a network, as `docker network inspect` shows it. */
export interface DockerIpamFacts {
  /** `172.18.0.0/16` */
  readonly subnet: string;
  /** The part of it that containers get addresses from, '' for all of it. */
  readonly ipRange: string;
  /** '' if the network has none. */
  readonly gateway: string;
  /** Addresses that are somebody else's, by name (`--aux-address`). */
  readonly auxAddress: Readonly<Record<string, string>>;
}

export interface DockerNetworkFacts {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** ms at the node. */
  readonly created: number;
  readonly driver: DockerDriver;
  readonly scope: 'local' | 'swarm';
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly ipam: readonly DockerIpamFacts[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A container's place in one network: what was asked for, and what it has got while it is there. */
export interface DockerEndpointFacts {
  readonly network: string;
  readonly networkId: string;
  /** `--ip`, '' for any. */
  readonly requestedIp: string;
  readonly aliases: readonly string[];
  /** `container:alias` */
  readonly links: readonly string[];
  /** 64 hex digits; '' while the container does not run. */
  readonly endpointId: string;
  /** With prefix length, '' while there is none. */
  readonly address: string;
  readonly gateway: string;
  readonly mac: string;
  /** Name of the interface in the container. */
  readonly ifname: string;
  /** Absent: the container is no service's. */
  readonly service?: DockerServiceFacts;
}

/** A port that every node of a swarm has for a service (`mode=ingress`). */
export interface DockerIngressPort {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  readonly published: number;
  readonly target: number;
}

/** The service that an endpoint is a task of, as swarm's endpoint_table tells of it. */
export interface DockerServiceFacts {
  readonly id: string;
  readonly name: string;
  readonly aliases: readonly string[];
  /** The service's virtual address in the network, '' with `--endpoint-mode dnsrr`. */
  readonly vip: string;
  /** In the ingress network alone. */
  readonly ports: readonly DockerIngressPort[];
  /** The task is on its way out: its connections end, new ones go elsewhere. */
  readonly disabled?: true;
}

/** A port as `80/tcp` and where on the host it is to be had. */
export interface DockerPortBinding {
  readonly port: number;
  readonly proto: 'tcp' | 'udp' | 'sctp';
  readonly hostIp: string;
  /** 0 for any that is free. */
  readonly hostPort: number;
}

export interface DockerRestartPolicy {
  readonly name: 'no' | 'always' | 'unless-stopped' | 'on-failure';
  /** Of on-failure; 0 for no limit. */
  readonly maximumRetryCount: number;
}

export interface DockerStateFacts {
  readonly status: 'created' | 'running' | 'restarting' | 'exited';
  /** 0 while no process runs. */
  readonly pid: number;
  readonly exitCode: number;
  readonly error: string;
  /** ms at the node, null for never. */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly restartCount: number;
  /** It runs, but its processes are frozen (`docker pause`). */
  readonly paused?: true;
  /** Stopped by hand since it last ran: `unless-stopped` leaves it so. */
  readonly stoppedByHand: boolean;
}

export interface DockerContainerFacts {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** A name that dockerd has made up is known to no DNS. */
  readonly naming: 'given' | 'generated';
  readonly created: number;
  readonly image: string;
  /** The process and its arguments. */
  readonly command: readonly string[];
  readonly hostname: string;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** `8080/tcp` */
  readonly exposed: readonly string[];
  /** `default`, `host`, `none`, `container:<id>`, or the network it was made in. */
  readonly networkMode: string;
  readonly portBindings: readonly DockerPortBinding[];
  readonly publishAll: boolean;
  /** `id:alias`, of the default bridge. */
  readonly links: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** `name:address` */
  readonly extraHosts: readonly string[];
  readonly restart: DockerRestartPolicy;
  readonly autoRemove: boolean;
  /** `--mac-address`, '' for one made of the address. */
  readonly macAddress: string;
  readonly state: DockerStateFacts;
  /** 64 hex digits; '' while it has no sandbox of its own. */
  readonly sandboxId: string;
  /** In the order in which it joined. */
  readonly endpoints: readonly DockerEndpointFacts[];
  /** What is published while it runs. */
  readonly published: readonly DockerPortBinding[];
}

/** This node as a member of the lab's swarm. */
export interface DockerSwarmFacts {
  /** 25 characters, as swarmkit's. */
  readonly id: string;
  readonly role: 'manager' | 'worker';
  /** Where it takes VXLAN. */
  readonly address: string;
}

/** An endpoint behind another host in an overlay network (a row of libnetwork's overlay_peer_table). */
export interface DockerPeerFacts {
  readonly networkId: string;
  readonly endpointId: string;
  readonly address: string;
  readonly mac: string;
  /** Address of the host that it is behind. */
  readonly vtep: string;
  readonly node: string;
  /** What the embedded DNS knows it as. */
  readonly names: readonly string[];
  readonly service?: DockerServiceFacts;
  /** Of a node's load balancer in the network. */
  readonly role?: 'load-balancer';
}

export type DockerEvent =
  /** The node has joined a swarm, or left it. */
  | { readonly type: 'docker.swarm'; readonly swarm: DockerSwarmFacts | null }
  | { readonly type: 'docker.peer'; readonly peer: DockerPeerFacts }
  | { readonly type: 'docker.peer.removed'; readonly networkId: string; readonly endpointId: string }
  /** Made, or any fact of it changed: the network's whole state now. */
  | { readonly type: 'docker.network'; readonly network: DockerNetworkFacts }
  | { readonly type: 'docker.network.removed'; readonly id: string; readonly name: string }
  /** Made, or any fact of it changed: the container's whole state now. */
  | { readonly type: 'docker.container'; readonly container: DockerContainerFacts }
  | { readonly type: 'docker.container.removed'; readonly id: string; readonly name: string }
  /** A command of the lab file's, run at the node's first boot, and what it said if it has failed. */
  | {
      readonly type: 'docker.command';
      readonly argv: readonly string[];
      readonly code: number;
      readonly error: string;
    };
