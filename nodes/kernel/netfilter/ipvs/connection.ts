import { formatIp4 } from '../../../../protocols/ip4.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../../protocols/ipv4.ts';
import type { IpvsConnectionFacts, IpvsForward } from '../../../events/ipvs.ts';
import { type EventId, NO_CAUSE } from '../../../events/record.ts';
import type { Destination } from './service.ts';
import type { TcpState } from './states.ts';

/** What names a connection: protocol, client and virtual service. Of a template, the client's port is 0. */
export interface ConnectionKey {
  /** 0 where `vaddr` is a mark. */
  readonly proto: number;
  readonly caddr: number;
  readonly cport: number;
  readonly vaddr: number;
  readonly vport: number;
}

/** ASSURED: of a template, that a connection by it has come about (IP_VS_CTPL_S_ASSURED). */
export type ConnectionState = TcpState | 'UDP' | 'ASSURED';

/** A connection, or the template of a persistent service's connections (`struct ip_vs_conn`). */
export class Connection implements ConnectionKey {
  readonly proto: number;
  readonly caddr: number;
  readonly cport: number;
  readonly vaddr: number;
  readonly vport: number;
  readonly daddr: number;
  readonly dport: number;
  readonly destination: Destination;
  /** As its destination's was when it began. */
  readonly forward: IpvsForward;
  readonly kind: 'connection' | 'template' | 'one-packet';
  /** Not counted as an active one of its destination. */
  inactive = true;
  /** Nothing of the server's has been seen (IP_VS_CONN_F_NOOUTPUT): it answers past us. */
  noOutput: boolean;
  /** Its flow of conntrack is kept with it (IP_VS_CONN_F_NFCT). */
  conntrack: boolean;
  state: ConnectionState = 'NONE';
  /** How long it is kept for without packets, ms. */
  timeout = 3_000;
  expires = 0;
  queuedAt = 0;
  dying = false;
  lastEvent: EventId = NO_CAUSE;
  /** The template that it came by, and of a template, how many came by it. */
  template: Connection | null = null;
  controls = 0;
  /** Whether the log knows of it. */
  told = false;
  next: Connection | null = null;

  constructor(
    key: ConnectionKey,
    destination: Destination,
    dport: number,
    kind: Connection['kind'],
    conntrack: boolean,
  ) {
    this.proto = key.proto;
    this.caddr = key.caddr;
    this.cport = key.cport;
    this.vaddr = key.vaddr;
    this.vport = key.vport;
    this.daddr = destination.addr;
    this.dport = dport;
    this.destination = destination;
    this.forward = destination.forward;
    this.kind = kind;
    this.noOutput = this.forward !== 'Masq';
    this.conntrack = conntrack;
  }

  /** `ip_vs_bind_dest` */
  bind(): void {
    const { destination } = this;
    if (this.kind === 'template') destination.persistent++;
    else destination.inactive++;
    const { upper, active, inactive } = destination;
    if (upper !== 0 && active + inactive >= upper) destination.overloaded = true;
  }

  /** `ip_vs_unbind_dest` */
  unbind(): void {
    const { destination } = this;
    if (this.kind === 'template') destination.persistent--;
    else if (this.inactive) destination.inactive--;
    else destination.active--;
    const total = destination.active + destination.inactive;
    const { lower, upper } = destination;
    const relieved = lower !== 0 ? total < lower : upper === 0 || total * 4 < upper * 3;
    if (relieved) destination.overloaded = false;
  }

  setActive(active: boolean): void {
    if (active !== this.inactive) return;
    const by = active ? 1 : -1;
    this.inactive = !active;
    this.destination.active += by;
    this.destination.inactive -= by;
  }

  facts(): IpvsConnectionFacts {
    return {
      ...connectionName(this),
      destination: `${formatIp4(this.daddr)}:${this.dport}`,
      state: this.state,
      ...(this.kind === 'template' ? { template: true as const } : {}),
    };
  }
}

const PROTOCOLS: Readonly<Record<number, string>> = { [PROTO_TCP]: 'TCP', [PROTO_UDP]: 'UDP', 0: 'IP' };

/** As `ipvsadm -Lnc` prints it. */
export function connectionName({
  proto,
  caddr,
  cport,
  vaddr,
  vport,
}: ConnectionKey): Pick<IpvsConnectionFacts, 'protocol' | 'client' | 'virtual'> {
  return {
    protocol: PROTOCOLS[proto] ?? String(proto),
    client: `${formatIp4(caddr)}:${cport}`,
    virtual: `${formatIp4(vaddr)}:${vport}`,
  };
}

const LEAST = 64;

/** Connections by protocol, client address and port, whichever way a packet goes (`ip_vs_conn_tab`). */
export class ConnectionTable {
  #buckets: (Connection | null)[] = new Array<Connection | null>(LEAST).fill(null);
  #size = 0;

  /** Of a packet from a client (`ip_vs_conn_in_get`). */
  findIn(proto: number, caddr: number, cport: number, vaddr: number, vport: number): Connection | null {
    for (let here = this.#head(proto, caddr, cport); here !== null; here = here.next)
      if (
        here.cport === cport &&
        here.vport === vport &&
        here.caddr === caddr &&
        here.vaddr === vaddr &&
        here.proto === proto &&
        here.kind !== 'template'
      )
        return here;
    return null;
  }

  /** Of a packet from a server (`ip_vs_conn_out_get`). */
  findOut(proto: number, saddr: number, sport: number, caddr: number, cport: number): Connection | null {
    for (let here = this.#head(proto, caddr, cport); here !== null; here = here.next) {
      if (here.cport !== cport || here.caddr !== caddr || here.proto !== proto) continue;
      const masq = here.forward === 'Masq';
      if (here.dport !== sport && masq) continue;
      if (here.kind === 'template') continue;
      if (masq ? here.daddr === saddr : here.vaddr === saddr && here.vport === sport) return here;
    }
    return null;
  }

  /** `ip_vs_ct_in_get` */
  findTemplate({ proto, caddr, cport, vaddr, vport }: ConnectionKey): Connection | null {
    for (let here = this.#head(proto, caddr, cport); here !== null; here = here.next)
      if (
        here.caddr === caddr &&
        here.vaddr === vaddr &&
        here.vport === vport &&
        here.cport === cport &&
        here.proto === proto &&
        here.kind === 'template'
      )
        return here;
    return null;
  }

  add(connection: Connection): void {
    if (this.#size >= this.#buckets.length) this.#grow();
    this.#link(connection);
    this.#size++;
  }

  remove(connection: Connection): void {
    const at = hashOf(connection.proto, connection.caddr, connection.cport) & (this.#buckets.length - 1);
    let before: Connection | null = null;
    for (let here = this.#buckets[at] ?? null; here !== null; before = here, here = here.next) {
      if (here !== connection) continue;
      if (before === null) this.#buckets[at] = here.next;
      else before.next = here.next;
      here.next = null;
      this.#size--;
      return;
    }
  }

  all(): Connection[] {
    const list: Connection[] = [];
    for (const head of this.#buckets) for (let here = head; here !== null; here = here.next) list.push(here);
    return list;
  }

  #head(proto: number, caddr: number, cport: number): Connection | null {
    return this.#buckets[hashOf(proto, caddr, cport) & (this.#buckets.length - 1)] ?? null;
  }

  #grow(): void {
    const all = this.all().reverse();
    this.#buckets = new Array<Connection | null>(this.#buckets.length * 2).fill(null);
    for (const each of all) this.#link(each);
  }

  #link(connection: Connection): void {
    const at = hashOf(connection.proto, connection.caddr, connection.cport) & (this.#buckets.length - 1);
    connection.next = this.#buckets[at] ?? null;
    this.#buckets[at] = connection;
  }
}

function hashOf(proto: number, addr: number, port: number): number {
  let hash = Math.imul(addr, 0x9e3779b1) ^ Math.imul(port * 256 + proto, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}
