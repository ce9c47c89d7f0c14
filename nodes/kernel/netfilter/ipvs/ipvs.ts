import type {
  IpvsConnectionFacts,
  IpvsEvent,
  IpvsServiceView,
  IpvsTimeoutFacts,
} from '../../../events/ipvs.ts';
import type { EventId } from '../../../events/record.ts';
import type { Netns } from '../../netns.ts';
import { FlowExpiry } from '../flow-expiry.ts';
import { type Connection, ConnectionTable, connectionName } from './connection.ts';
import { IpvsHooks } from './ipvs-hooks.ts';
import {
  Destination,
  type DestinationSpec,
  Service,
  type ServiceKey,
  type ServiceSpec,
  serviceText,
} from './service.ts';
import { defaultTimeouts } from './states.ts';
import { IpvsStats } from './stats.ts';

/** What the kernel answers to who asks for what cannot be, by its errno as ipvsadm tells of it. */
export class IpvsError extends Error {
  override readonly name = 'IpvsError';
  readonly errno: 'EEXIST' | 'ESRCH' | 'ENOENT' | 'ERANGE';

  constructor(errno: IpvsError['errno']) {
    super(errno);
    this.errno = errno;
  }
}

/** `net.ipv4.vs` of a namespace. */
export type IpvsSettings = {
  /** Connections keep their flow of conntrack, so that iptables can masquerade them. */
  conntrack: number;
  /** 0: a SYN goes by the connection that is there; 1: one that is over is scheduled anew; 2: of a server that answers past us too. */
  conn_reuse_mode: number;
  /** Connections end with their server. */
  expire_nodest_conn: number;
  /** Clients leave a server of weight 0. */
  expire_quiescent_template: number;
  /** A connection may begin with any segment. */
  sloppy_tcp: number;
};

/** How long a template is kept when it is over but connections go on by it, ms. */
const LATER = 60_000;

/**
 * The IP virtual server of a namespace (net/netfilter/ipvs): services, their real servers, and the connections between clients
 * and them. It costs nothing before the first service is added.
 */
export class Ipvs {
  readonly settings: IpvsSettings = {
    conntrack: 0,
    conn_reuse_mode: 1,
    expire_nodest_conn: 0,
    expire_quiescent_template: 0,
    sloppy_tcp: 0,
  };
  readonly timeouts = defaultTimeouts();
  readonly connections = new ConnectionTable();
  /** Of all services together. */
  readonly stats: IpvsStats;
  readonly #ns: Netns;
  readonly #hooks: IpvsHooks;
  readonly #expiry: FlowExpiry<Connection>;
  /** By address, then protocol and port. */
  readonly #services = new Map<number, Map<number, Service>>();
  readonly #byMark = new Map<number, Service>();
  /** Services of port 0, which take every port that no other has. */
  #catchAll = 0;
  /** Destinations that were taken out while connections go there, by service and address (`dest_trash`). */
  readonly #trash = new Map<string, Destination>();

  constructor(ns: Netns) {
    this.#ns = ns;
    this.stats = new IpvsStats(ns.kernel.rt.now);
    this.#hooks = new IpvsHooks(ns, this);
    this.#expiry = new FlowExpiry(ns.kernel.rt, (connection) => this.#expired(connection));
    ns.sysctls.add({
      path: 'ipv4.vs',
      variables: {
        conntrack: { min: 0, max: 1 },
        conn_reuse_mode: {},
        expire_nodest_conn: {},
        expire_quiescent_template: {},
        sloppy_tcp: {},
      },
      values: () => this.settings,
    });
  }

  // ---- services and destinations

  /** Those by mark last, each in the order of `ipvs_cmp_services`. */
  services(): Service[] {
    const byAddress = [...this.#services.values()].flatMap((services) => [...services.values()]);
    return [...byAddress, ...this.#byMark.values()].sort(compareServices);
  }

  get(key: ServiceKey): Service | undefined {
    if ('fwmark' in key) return this.#byMark.get(key.fwmark);
    return this.#services.get(key.addr)?.get(key.proto * 65_536 + key.port);
  }

  /** The service that a packet is for (`ip_vs_service_find`). */
  find(mark: number, proto: number, addr: number, port: number): Service | null {
    if (mark !== 0) {
      const service = this.#byMark.get(mark);
      if (service !== undefined) return service;
    }
    const services = this.#services.get(addr);
    if (services === undefined) return null;
    const exact = services.get(proto * 65_536 + port);
    if (exact !== undefined) return exact;
    return (this.#catchAll > 0 ? services.get(proto * 65_536) : undefined) ?? null;
  }

  /** @throws IpvsError */
  addService(key: ServiceKey, spec: ServiceSpec): void {
    if (this.get(key) !== undefined) throw new IpvsError('EEXIST');
    const service = new Service(key, spec, this.#now);
    if ('fwmark' in key) this.#byMark.set(key.fwmark, service);
    else {
      const services = this.#services.get(key.addr) ?? new Map<number, Service>();
      this.#services.set(key.addr, services.set(key.proto * 65_536 + key.port, service));
      if (key.port === 0) this.#catchAll++;
    }
    this.#hooks.stand('some');
    this.#emit({ type: 'ipvs.service.set', ns: this.#ns.name, service: service.facts() });
  }

  /** @throws IpvsError */
  editService(key: ServiceKey, spec: ServiceSpec): void {
    const service = this.#require(key);
    service.update(spec);
    this.#emit({ type: 'ipvs.service.set', ns: this.#ns.name, service: service.facts() });
  }

  /** @throws IpvsError */
  removeService(key: ServiceKey): void {
    const service = this.#require(key);
    if ('fwmark' in key) this.#byMark.delete(key.fwmark);
    else {
      const services = this.#services.get(key.addr);
      services?.delete(key.proto * 65_536 + key.port);
      if (services?.size === 0) this.#services.delete(key.addr);
      if (key.port === 0) this.#catchAll--;
    }
    if (this.#services.size === 0 && this.#byMark.size === 0) this.#hooks.stand('none');
    this.#emit({ type: 'ipvs.service.removed', ns: this.#ns.name, service: service.text });
    for (const destination of service.destinations.splice(0)) this.#discard(destination);
  }

  /** `ipvsadm -C` */
  flush(): void {
    for (const { key } of this.services()) this.removeService(key);
  }

  /** @throws IpvsError */
  addDestination(key: ServiceKey, spec: DestinationSpec): void {
    checkDestination(spec);
    const service = this.#require(key);
    if (service.find(spec.addr, spec.port) !== undefined) throw new IpvsError('EEXIST');
    const destination = this.#revive(service, spec) ?? new Destination(service, spec, this.#now);
    service.destinations.unshift(destination);
    service.scheduler.changed(null);
    this.#destinationSet(destination);
  }

  /** @throws IpvsError */
  editDestination(key: ServiceKey, spec: DestinationSpec): void {
    checkDestination(spec);
    const service = this.#require(key);
    const destination = service.find(spec.addr, spec.port);
    if (destination === undefined) throw new IpvsError('ENOENT');
    destination.update(spec);
    service.scheduler.changed(null);
    this.#destinationSet(destination);
  }

  /** @throws IpvsError */
  removeDestination(key: ServiceKey, addr: number, port: number): void {
    const service = this.#require(key);
    const destination = service.find(addr, port);
    if (destination === undefined) throw new IpvsError('ENOENT');
    const at = service.destinations.indexOf(destination);
    service.destinations.splice(at, 1);
    service.scheduler.changed({ destination, before: service.destinations[at - 1] ?? null });
    this.#emit({
      type: 'ipvs.destination.removed',
      ns: this.#ns.name,
      service: service.text,
      destination: destination.text,
    });
    this.#discard(destination);
  }

  /** Whatever was told of its connections goes on being true of the destination that comes back (`ip_vs_trash_get_dest`). */
  #revive(service: Service, spec: DestinationSpec): Destination | undefined {
    const key = trashKey(service.key, spec.addr, spec.port);
    const known = this.#trash.get(key);
    if (known === undefined) return undefined;
    this.#trash.delete(key);
    // Of a service that has been removed and added again, it is another's now.
    known.service = service;
    known.available = true;
    known.overloaded = false;
    known.update(spec);
    return known;
  }

  #discard(destination: Destination): void {
    destination.available = false;
    if (!destination.inUse) return;
    this.#trash.set(trashKey(destination.service.key, destination.addr, destination.port), destination);
    // `ip_vs_expire_nodest_conn_flush`
    if (this.settings.expire_nodest_conn === 0) return;
    const gone = this.connections.all().filter((each) => each.destination === destination);
    for (const each of gone) if (each.kind !== 'template') this.end(each);
    for (const each of gone) if (each.kind === 'template') this.end(each);
  }

  #destinationSet(destination: Destination): void {
    this.#emit({
      type: 'ipvs.destination.set',
      ns: this.#ns.name,
      service: destination.service.text,
      destination: destination.facts(),
    });
  }

  #require(key: ServiceKey): Service {
    const service = this.get(key);
    if (service === undefined) throw new IpvsError('ESRCH');
    return service;
  }

  /** Forgets what has been counted, of one service or of all. @throws IpvsError */
  zero(key: ServiceKey | null): void {
    if (key === null) this.stats.zero();
    for (const service of key === null ? this.services() : [this.#require(key)]) {
      service.stats.zero();
      for (const { stats } of service.destinations) stats.zero();
    }
  }

  /** `ipvsadm --set`: seconds, 0 to leave one as it is. */
  setTimeouts({ tcp, tcpfin, udp }: IpvsTimeoutFacts): void {
    const before = this.timeoutFacts();
    if (tcp > 0) this.timeouts.ESTABLISHED = tcp;
    if (tcpfin > 0) this.timeouts.FIN_WAIT = tcpfin;
    if (udp > 0) this.timeouts.UDP = udp;
    const timeouts = this.timeoutFacts();
    if (timeouts.tcp === before.tcp && timeouts.tcpfin === before.tcpfin && timeouts.udp === before.udp)
      return;
    this.#emit({ type: 'ipvs.timeouts.set', ns: this.#ns.name, timeouts });
  }

  timeoutFacts(): IpvsTimeoutFacts {
    const { ESTABLISHED: tcp, FIN_WAIT: tcpfin, UDP: udp } = this.timeouts;
    return { tcp, tcpfin, udp };
  }

  /** What is not as it was at boot. */
  changedTimeouts(): IpvsTimeoutFacts[] {
    const now = this.timeoutFacts();
    const { ESTABLISHED, FIN_WAIT, UDP } = defaultTimeouts();
    return now.tcp === ESTABLISHED && now.tcpfin === FIN_WAIT && now.udp === UDP ? [] : [now];
  }

  // ---- connections

  /** A connection comes into the table (`ip_vs_conn_new`); one packet alone makes none that stays. */
  begin(connection: Connection): void {
    connection.bind();
    if (connection.kind !== 'one-packet') this.connections.add(connection);
  }

  /** A packet is done with: its connection has its whole time again (`ip_vs_conn_put`). */
  put(connection: Connection): void {
    if (connection.dying) return;
    if (connection.kind === 'one-packet') {
      connection.dying = true;
      connection.unbind();
      return;
    }
    connection.expires = this.#now + connection.timeout;
    this.#expiry.update(connection);
  }

  /** Counts a packet to a client (`ip_vs_out_stats`): bytes from the IP header on. */
  countSent({ destination }: Connection, bytes: number): void {
    if (!destination.available) return;
    destination.stats.sent(this.#now, bytes);
    destination.service.stats.sent(this.#now, bytes);
    this.stats.sent(this.#now, bytes);
  }

  /** Something that the log tells of a connection has changed. */
  changed(connection: Connection): void {
    if (connection.dying || connection.kind === 'one-packet') return;
    connection.told = true;
    const event = { type: 'ipvs.connection.set', ns: this.#ns.name, connection: connection.facts() } as const;
    connection.lastEvent = this.#emit(event);
  }

  /** Ends a connection, and the flow of conntrack that was kept with it. */
  end(connection: Connection): void {
    if (connection.dying) return;
    connection.dying = true;
    this.connections.remove(connection);
    this.#expiry.forget();
    if (connection.template !== null) connection.template.controls--;
    connection.unbind();
    const { destination } = connection;
    if (!destination.available && !destination.inUse)
      this.#trash.delete(trashKey(destination.service.key, destination.addr, destination.port));
    if (connection.told)
      this.#emit({
        type: 'ipvs.connection.removed',
        ns: this.#ns.name,
        connection: {
          ...connectionName(connection),
          ...(connection.kind === 'template' ? { template: true as const } : {}),
        },
      });
    if (connection.conntrack && connection.kind === 'connection') {
      const { proto, caddr, cport, vaddr, vport } = connection;
      const flow = this.#ns.conntrack.find({ proto, src: caddr, srcPort: cport, dst: vaddr, dstPort: vport });
      if (flow !== null) this.#ns.conntrack.destroy(flow);
    }
  }

  /** `ip_vs_conn_expire` */
  #expired(connection: Connection): void {
    if (connection.controls === 0) {
      this.end(connection);
      return;
    }
    connection.queuedAt = 0;
    connection.expires = this.#now + LATER;
    this.#expiry.update(connection);
  }

  /** The namespace goes. */
  dismantle(): void {
    for (const each of this.connections.all()) this.end(each);
    this.flush();
  }

  // ---- for the node's view

  list(): IpvsServiceView[] {
    return this.services().map((service) => ({
      ...service.facts(),
      destinations: service.destinations
        .map((each) => each.facts())
        .sort((a, b) => (a.destination < b.destination ? -1 : 1)),
    }));
  }

  connectionList(): IpvsConnectionFacts[] {
    return this.connections.all().map((each) => each.facts());
  }

  get #now(): number {
    return this.#ns.kernel.rt.now;
  }

  /** What the packet does that the event came of goes on under the packet's own cause. */
  #emit(event: IpvsEvent): EventId {
    const { rt } = this.#ns.kernel;
    const { cause } = rt;
    const id = rt.emit(event);
    rt.cause = cause;
    return id;
  }
}

/** `ip_vs_add_dest`, `ip_vs_edit_dest` */
function checkDestination({ weight, upper, lower }: DestinationSpec): void {
  if (weight < 0 || lower > upper) throw new IpvsError('ERANGE');
}

function trashKey(key: ServiceKey, addr: number, port: number): string {
  return `${serviceText(key)} ${addr} ${port}`;
}

function compareServices(a: Service, b: Service): number {
  if ('fwmark' in a.key || 'fwmark' in b.key) return a.fwmark - b.fwmark;
  return a.key.proto - b.key.proto || a.key.addr - b.key.addr || a.key.port - b.key.port;
}
