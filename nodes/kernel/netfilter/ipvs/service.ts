import { formatIp4 } from '../../../../protocols/ip4.ts';
import { PROTO_TCP } from '../../../../protocols/ipv4.ts';
import type { IpvsDestinationFacts, IpvsForward, IpvsServiceFacts } from '../../../events/ipvs.ts';
import { makeScheduler, type Scheduler, type SchedulerName } from './schedulers.ts';
import { IpvsStats } from './stats.ts';

/** What IPVS balances: an address and port of a protocol, or packets with a mark. */
export type ServiceKey =
  | { readonly proto: number; readonly addr: number; readonly port: number }
  | { readonly fwmark: number };

/** How it does so (`struct ip_vs_service_user_kern`). */
export interface ServiceSpec {
  readonly scheduler: SchedulerName;
  /** `-b sh-fallback,sh-port` */
  readonly shFallback: boolean;
  readonly shPort: boolean;
  /** Seconds that a client keeps its server for; null: every connection is scheduled anew. */
  readonly persistent: number | null;
  /** What of a client's address counts for that. */
  readonly netmask: number;
  /** `-o`: every UDP packet is scheduled anew. */
  readonly onePacket: boolean;
}

/** What `ipvsadm -A` has where nothing is said. */
export const DEFAULT_SERVICE: ServiceSpec = {
  scheduler: 'wlc',
  shFallback: false,
  shPort: false,
  persistent: null,
  netmask: 0xffffffff,
  onePacket: false,
};

/** `struct ip_vs_dest_user_kern` */
export interface DestinationSpec {
  readonly addr: number;
  readonly port: number;
  readonly forward: IpvsForward;
  readonly weight: number;
  /** Connections above which it gets no new ones, and below which it gets some again; 0 for no limit. */
  readonly upper: number;
  readonly lower: number;
}

/** A real server of a service (`struct ip_vs_dest`). */
export class Destination {
  service: Service;
  readonly addr: number;
  readonly port: number;
  forward: IpvsForward;
  weight: number;
  upper: number;
  lower: number;
  /** Whether it is in its service (IP_VS_DEST_F_AVAILABLE), and not taken out while connections still go there. */
  available = true;
  overloaded = false;
  active = 0;
  inactive = 0;
  persistent = 0;
  readonly stats: IpvsStats;

  constructor(service: Service, spec: DestinationSpec, now: number) {
    this.service = service;
    this.addr = spec.addr;
    this.port = spec.port;
    this.forward = spec.forward;
    this.weight = spec.weight;
    this.upper = spec.upper;
    this.lower = spec.lower;
    this.stats = new IpvsStats(now);
  }

  /** `__ip_vs_update_dest` */
  update({ forward, weight, upper, lower }: DestinationSpec): void {
    this.forward = forward;
    this.weight = weight;
    if (upper === 0 || upper > this.upper) this.overloaded = false;
    this.upper = upper;
    this.lower = lower;
  }

  /** Whether the log's tale of connections still knows it. */
  get inUse(): boolean {
    return this.active + this.inactive + this.persistent > 0;
  }

  get text(): string {
    return `${formatIp4(this.addr)}:${this.port}`;
  }

  facts(): IpvsDestinationFacts {
    const { forward, weight, upper, lower } = this;
    return {
      destination: this.text,
      forward,
      weight,
      ...(upper > 0 ? { upper } : {}),
      ...(lower > 0 ? { lower } : {}),
    };
  }
}

/** A virtual service (`struct ip_vs_service`). */
export class Service {
  readonly key: ServiceKey;
  spec: ServiceSpec;
  scheduler: Scheduler;
  /** The newest first, as `list_add_rcu` has them. */
  readonly destinations: Destination[] = [];
  readonly stats: IpvsStats;

  constructor(key: ServiceKey, spec: ServiceSpec, now: number) {
    this.key = key;
    this.spec = spec;
    this.stats = new IpvsStats(now);
    this.scheduler = makeScheduler(this);
  }

  /** 0 of one by mark. */
  get port(): number {
    return 'port' in this.key ? this.key.port : 0;
  }

  get fwmark(): number {
    return 'fwmark' in this.key ? this.key.fwmark : 0;
  }

  get text(): string {
    return serviceText(this.key);
  }

  find(addr: number, port: number): Destination | undefined {
    return this.destinations.find((other) => other.addr === addr && other.port === port);
  }

  update(spec: ServiceSpec): void {
    const again = spec.scheduler !== this.spec.scheduler;
    this.spec = spec;
    if (again) this.scheduler = makeScheduler(this);
  }

  facts(): IpvsServiceFacts {
    const { scheduler, persistent, netmask, onePacket, shFallback, shPort } = this.spec;
    const flags = [...(shFallback ? ['sh-fallback'] : []), ...(shPort ? ['sh-port'] : [])];
    return {
      service: this.text,
      scheduler,
      ...(flags.length > 0 ? { flags } : {}),
      ...(persistent !== null ? { persistent } : {}),
      ...(persistent !== null && netmask !== 0xffffffff ? { netmask: formatIp4(netmask) } : {}),
      ...(onePacket ? { ops: true as const } : {}),
    };
  }
}

/** A service as `ipvsadm -Ln` names it: `TCP 10.96.0.10:80`, `FWM 256`. */
export function serviceText(key: ServiceKey): string {
  if ('fwmark' in key) return `FWM ${key.fwmark}`;
  return `${key.proto === PROTO_TCP ? 'TCP' : 'UDP'} ${formatIp4(key.addr)}:${key.port}`;
}
