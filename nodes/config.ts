import type { NeighborConfig, SpeakerConfig, SpeakerTimings } from '../protocols/bgp/config.ts';
import type { PolicyConfig } from '../protocols/bgp/policy/config.ts';
import type { NetemParameters } from '../protocols/netem/parameters.ts';
import type { BfdMode } from './events/bfd.ts';

/** What a node is told at boot: the part of the compiled lab that concerns it. Times are ms, already scaled. */
export interface NodeConfig {
  readonly schema: 1;
  readonly lab: string;
  readonly name: string;
  /** Number in the lab, from 1; the high part of the node's event ids. */
  readonly number: number;
  readonly role: 'node' | 'reflector' | 'router' | 'host' | 'switch' | 'controller' | DaemonKind;
  readonly labels: Readonly<Record<string, string>>;
  readonly seed: number;
  readonly interfaces: readonly InterfaceConfig[];
  /** Addresses on lo beside 127.0.0.1/8 and ::1/128, with prefix length. */
  readonly loopbacks: readonly string[];
  readonly routes: readonly StaticRoute[];
  readonly ipForward: boolean;
  /** Whether the kernel is booted with IPv6; without, as with `ipv6.disable_ipv6=1`. */
  readonly ipv6?: true;
  readonly bgp?: BgpConfig;
  readonly cni?: CniConfig;
  readonly docker?: DockerConfig;
  readonly openflow?: OpenFlowSwitchConfig;
  readonly controller?: OpenFlowControllerConfig;
  readonly timers: Timings;
  /** Of a real daemon that reroute starts: text to be added to the configuration that is written for it. */
  readonly daemonConfig?: string;
}

export interface InterfaceConfig {
  readonly name: string;
  /** Index of the machine's port, from 0; frames go in and out by it. */
  readonly port: number;
  readonly segment: string;
  readonly mac: string;
  readonly mtu: number;
  /** Sends router advertisements. */
  readonly ra?: true;
  /** With prefix length, that of IPv4 first. */
  readonly addresses: readonly string[];
  /** What happens to what it sends; absent for nothing. */
  readonly netem?: NetemParameters;
}

export interface StaticRoute {
  readonly dst: string;
  readonly via: string;
  /** '' lets the kernel find the device from the gateway. */
  readonly dev: string;
  /** Default 0. */
  readonly metric?: number;
}

export interface BgpConfig extends Omit<SpeakerConfig, 'neighbors' | 'policies'> {
  readonly neighbors: readonly BgpNeighbor[];
  /** What the names in the neighbours' `import` and `export` stand for. */
  readonly policy?: PolicyConfig;
  /** An MRT dump whose routes the node originates: its path on the host, and the peer in it whose routes they are. */
  readonly originate?: { readonly mrt: string; readonly peer: string };
}

export interface BgpNeighbor extends NeighborConfig {
  readonly type: 'node-to-node mesh' | 'global' | 'node specific' | 'external';
  /** The session runs over real TCP, past the emulated kernel. */
  readonly external?: ExternalTransport;
}

/** What is no emulated node but a real BGP daemon: one that reroute starts, or ('external') one that runs already. */
export type DaemonKind = 'external' | 'bird' | 'frr' | 'gobgp';

/** How long a daemon may be silent and still have something to say, ms; nobody hears its counters. */
export interface Patience {
  /** After the session has come up, as long as it has not told all its routes. */
  readonly opening: number;
  /** After a message, its own or one to it. */
  readonly message: number;
}

/** Real TCP between a node's process and a real daemon. Addresses are those of the host's stack. */
export interface ExternalTransport {
  /** Where to connect to; null if the other end is the one that connects. */
  readonly remote: { readonly address: string; readonly port: number } | null;
  /** Address to connect from and to listen on; '' for any. */
  readonly local: string;
  /** Port to take connections on; null for none. */
  readonly listen: number | null;
  readonly patience: Patience;
  /** Which BFD the daemon speaks on the session, where it has any: by that, the UDP port on both ends. */
  readonly bfd?: BfdMode;
}

/** The OpenFlow bridge of a switch. */
export interface OpenFlowSwitchConfig {
  readonly bridge: string;
  /** 16 hex digits. */
  readonly datapathId: string;
  /** Interfaces that are its ports, in the order of their numbers, from 1. */
  readonly ports: readonly string[];
  /** Address of the controller, '' for none. */
  readonly controller: string;
  /** Addresses of all of them, where there is more than one. */
  readonly controllers?: readonly string[];
  readonly failMode: 'secure' | 'standalone';
  /** After so long without a word from the controller it is asked for one, ms; after as long again it is lost. */
  readonly inactivityProbe: number;
  /** Between two attempts to connect, ms: the first and the longest. */
  readonly backoff: number;
  readonly maxBackoff: number;
}

/** What decides on packets at an OpenFlow controller; `bus` leaves it to a program on the bus. */
export type ControllerProgram = 'learning-switch' | 'hub' | 'static' | 'arp-responder' | 'bus';

export interface OpenFlowControllerConfig {
  readonly program: ControllerProgram;
  /** What it asks to be at every switch that comes; absent: equal to any other. */
  readonly role?: 'master' | 'slave';
  /** Name of each switch by its datapath id. */
  readonly switches: Readonly<Record<string, string>>;
  /** Flows that a switch is given when it comes, by its datapath id, as ovs-ofctl reads them. */
  readonly flows: Readonly<Record<string, readonly string[]>>;
}

/** What daemon.json says, every default filled in. */
export interface DockerConfig {
  /** Address of docker0 with its prefix length, '' for one of the default pools. */
  readonly bip: string;
  /** [] for Docker's own. */
  readonly defaultAddressPools: readonly { readonly base: string; readonly size: number }[];
  /** Whether containers of the default bridge reach each other. */
  readonly icc: boolean;
  readonly mtu: number;
  readonly userlandProxy: boolean;
  /** Servers, search domains and options for containers that are given none of their own; [] for the host's. */
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  /** Whether dockerd keeps rules of iptables. */
  readonly iptables: boolean;
  /** What the node is in the lab's swarm, '' for nothing. */
  readonly swarm: 'manager' | 'worker' | '';
  /** Command lines of the docker client, without `docker`, that are run at the node's first boot. */
  readonly containers: readonly (readonly string[])[];
}

export type CniConfig =
  | {
      readonly type: 'calico';
      readonly pool: string;
      readonly blockSize: number;
      readonly mtu: number;
      /** Pods have an IPv6 address too. */
      readonly ipv6?: { readonly pool: string; readonly blockSize: number };
    }
  | {
      readonly type: 'flannel';
      readonly network: string;
      readonly subnetLen: number;
      readonly backend: FlannelBackend;
      /** Name of the interface whose address is the node's public address. */
      readonly iface: string;
      /** Present where pods are dual-stack. */
      readonly ipv6?: { readonly network: string; readonly subnetLen: number };
    };

export type FlannelBackend =
  | { readonly type: 'udp'; readonly port: number }
  | { readonly type: 'vxlan'; readonly vni: number; readonly port: number; readonly directRouting: boolean }
  | { readonly type: 'host-gw' }
  | { readonly type: 'ipip'; readonly directRouting: boolean }
  | { readonly type: 'wireguard'; readonly port: number }
  | { readonly type: 'ipsec'; readonly psk: string };

/** All in ms, after the lab's time scale. Defaults in orchestrator/lab are those of the real systems. */
export interface Timings {
  readonly bgp: SpeakerTimings;
  /** Absent for RFC 5880's own. */
  readonly bfd?: { readonly slowInterval: number };
  readonly neighbor: {
    readonly reachable: number;
    readonly delayFirstProbe: number;
    readonly retrans: number;
    readonly gcStale: number;
  };
  readonly bridge: { readonly ageing: number };
  readonly tcp: {
    readonly rtoInitial: number;
    readonly rtoMin: number;
    readonly rtoMax: number;
    readonly msl: number;
  };
  readonly flannel: { readonly leaseTtl: number; readonly renewMargin: number; readonly routeCheck: number };
}
