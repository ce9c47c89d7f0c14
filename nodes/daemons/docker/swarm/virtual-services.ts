import { formatIp4, formatPrefix, type Prefix, parseIp4, prefixMask } from '../../../../protocols/ip4.ts';
import type { DockerServiceFacts } from '../../../events/docker.ts';
import { DEFAULT_SERVICE, type DestinationSpec } from '../../../kernel/netfilter/ipvs/service.ts';
import type { Netns } from '../../../kernel/netns.ts';
import { runIptables } from '../../../tools/iptables/iptables.ts';
import { DockerError } from '../error.ts';
import type { IngressFirewall } from '../network/ingress-firewall.ts';

/** An endpoint that a service has in a network. */
export interface Backend {
  readonly address: number;
  readonly service: DockerServiceFacts;
}

/** A service in one network on this node. */
export interface Balanced {
  /** Mark of packets to it, from 256 on. */
  readonly mark: number;
  /** By endpoint. */
  readonly backends: ReadonlyMap<string, Backend>;
}

/** A load balancing sandbox as it is to be programmed. */
export interface Balancer {
  readonly ns: Netns;
  /** Its own address in the network, which tasks see clients come from. */
  readonly address: Prefix;
  /** Of the ingress network: what takes the ports on the host. */
  readonly ingress: IngressFirewall | null;
}

interface Programmed {
  readonly facts: DockerServiceFacts;
  readonly mark: number;
  /** Weights by address. */
  readonly weights: Map<number, 0 | 1>;
}

/**
 * What a load balancing sandbox has of services (libnetwork's service_linux.go): each virtual address on eth0, a rule of the mangle
 * table that marks what is for it, an IPVS service by that mark with the tasks behind it, and one rule that gives what goes on to them
 * the sandbox's own source. A task on its way out keeps its connections at weight 0.
 */
export class VirtualServices {
  readonly #balancer: Balancer;
  /** By service. */
  readonly #programmed = new Map<string, Programmed>();

  constructor(balancer: Balancer) {
    this.#balancer = balancer;
  }

  /** Brings what is programmed of a service to what there is; null for nothing. */
  set(serviceId: string, balanced: Balanced | null): void {
    const wanted = new Map<number, 0 | 1>();
    let facts: DockerServiceFacts | null = null;
    for (const { address, service } of balanced?.backends.values() ?? []) {
      if (service.vip === '') continue;
      facts = service;
      if (service.disabled !== true) wanted.set(address, 1);
      else if (!wanted.has(address)) wanted.set(address, 0);
    }
    const before = this.#programmed.get(serviceId);
    if (before !== undefined && (facts === null || !sameFront(before.facts, facts)))
      this.#remove(serviceId, before);
    if (facts === null || balanced === null) return;
    const programmed = this.#programmed.get(serviceId) ?? this.#add(serviceId, facts, balanced.mark);
    const { ipvs } = this.#balancer.ns;
    const key = { fwmark: programmed.mark };
    for (const [address, weight] of programmed.weights) {
      const now = wanted.get(address);
      if (now === undefined) {
        ipvs.removeDestination(key, address, 0);
        programmed.weights.delete(address);
      } else if (now !== weight) {
        ipvs.editDestination(key, destination(address, now));
        programmed.weights.set(address, now);
      }
    }
    for (const [address, weight] of wanted) {
      if (programmed.weights.has(address)) continue;
      ipvs.addDestination(key, destination(address, weight));
      programmed.weights.set(address, weight);
    }
  }

  /** The sandbox goes: what is on the host goes with it. */
  close(): void {
    for (const { facts } of this.#programmed.values())
      if (facts.ports.length > 0) this.#balancer.ingress?.unpublish(facts.ports);
    this.#programmed.clear();
  }

  #add(serviceId: string, facts: DockerServiceFacts, mark: number): Programmed {
    const { ns, address, ingress } = this.#balancer;
    const programmed = { facts, mark, weights: new Map<number, 0 | 1>() };
    ns.addAddress('eth0', `${facts.vip}/32`);
    if (facts.ports.length > 0) ingress?.publish(facts.ports);
    for (const { proto, published } of facts.ports)
      rule(ns, 'mangle', `-A PREROUTING -p ${proto} --dport ${published} -j MARK --set-mark ${mark}`);
    if (this.#programmed.size === 0 && ns.ipvs.settings.conntrack === 0) {
      const subnet = formatPrefix({ ...address, addr: (address.addr & prefixMask(address.len)) >>> 0 });
      rule(
        ns,
        'nat',
        `-A POSTROUTING -m ipvs --ipvs -d ${subnet} -j SNAT --to-source ${formatIp4(address.addr)}`,
      );
      ns.sysctls.set('ipv4.vs.conntrack', 1);
    }
    rule(ns, 'mangle', `-A INPUT -d ${facts.vip}/32 -j MARK --set-mark ${mark}`);
    ns.ipvs.addService({ fwmark: mark }, { ...DEFAULT_SERVICE, scheduler: 'rr' });
    this.#programmed.set(serviceId, programmed);
    return programmed;
  }

  #remove(serviceId: string, { facts, mark }: Programmed): void {
    const { ns, ingress } = this.#balancer;
    this.#programmed.delete(serviceId);
    ns.ipvs.removeService({ fwmark: mark });
    if (facts.ports.length > 0) ingress?.unpublish(facts.ports);
    for (const { proto, published } of facts.ports)
      rule(ns, 'mangle', `-D PREROUTING -p ${proto} --dport ${published} -j MARK --set-mark ${mark}`);
    rule(ns, 'mangle', `-D INPUT -d ${facts.vip}/32 -j MARK --set-mark ${mark}`);
    ns.removeAddress('eth0', `${facts.vip}/32`);
  }
}

function sameFront(a: DockerServiceFacts, b: DockerServiceFacts): boolean {
  return a.vip === b.vip && JSON.stringify(a.ports) === JSON.stringify(b.ports);
}

function destination(addr: number, weight: 0 | 1): DestinationSpec {
  return { addr, port: 0, forward: 'Masq', weight, upper: 0, lower: 0 };
}

/** @throws DockerError */
function rule(ns: Netns, table: string, text: string): void {
  const { code, stderr } = runIptables(ns, ['-t', table, ...text.split(' ')]);
  if (code !== 0) throw new DockerError(`set up rule failed, ${text}: ${stderr.trim()}`);
}

/**
 * What a task has for its ports in the ingress network: what comes to the published port is for the one that it listens at, and
 * nothing else comes in or goes out there (`addRedirectRules`).
 */
export function redirectIngress(ns: Netns, address: string, { ports }: DockerServiceFacts): void {
  if (ports.length === 0 || parseIp4(address) === null) return;
  for (const { proto, published, target } of ports) {
    rule(
      ns,
      'nat',
      `-A PREROUTING -d ${address} -p ${proto} --dport ${published} -j REDIRECT --to-ports ${target}`,
    );
    rule(
      ns,
      'filter',
      `-I INPUT -d ${address} -p ${proto} --dport ${target} -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT`,
    );
    rule(
      ns,
      'filter',
      `-I OUTPUT -s ${address} -p ${proto} --sport ${target} -m conntrack --ctstate ESTABLISHED -j ACCEPT`,
    );
  }
  for (const proto of ['sctp', 'udp', 'tcp']) {
    rule(ns, 'filter', `-A INPUT -d ${address} -p ${proto} -j DROP`);
    rule(ns, 'filter', `-A OUTPUT -s ${address} -p ${proto} -j DROP`);
  }
}
