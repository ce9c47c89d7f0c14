import { u16 } from '../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { bitsOf } from '../../../../protocols/ip.ts';
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from '../../../../protocols/ipv4.ts';
import { PROTO_ICMPV6 } from '../../../../protocols/ipv6.ts';
import type { IpsetEvent, IpsetFacts } from '../../../events/ipset.ts';
import type { Netns } from '../../netns.ts';
import type { Skb } from '../skb.ts';
import { destinationOf, isIpv6, protoOf, sourceOf, transportOffset } from '../xtables/packet.ts';
import { formatOptions } from './format.ts';
import { ListSet } from './list-set.ts';
import { factsOf, IpSet } from './set.ts';
import { type ElementOptions, IpsetError, type KeyPart, netKey, SET_TYPES, type SetSpec } from './spec.ts';

export type AnySet = IpSet | ListSet;
export type Side = 'src' | 'dst';

const PROTO_SCTP = 132;
const PROTO_UDPLITE = 136;

/** The sets of a namespace (ip_set_core.c). */
export class Ipsets {
  readonly #ns: Netns;
  /** A new set takes the first place that is free. */
  readonly #places: (AnySet | null)[] = [];
  readonly #byName = new Map<string, AnySet>();
  readonly #key: KeyPart[] = [];

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  get(name: string): AnySet | undefined {
    return this.#byName.get(name);
  }

  /** @throws IpsetError */
  require(name: string): AnySet {
    const set = this.#byName.get(name);
    if (set === undefined) throw new IpsetError('missing-set');
    return set;
  }

  /** In the order of `ipset list`: sets of sets come last. */
  all(): AnySet[] {
    const sets = this.#places.filter((set) => set !== null);
    return [...sets.filter((set) => set instanceof IpSet), ...sets.filter((set) => set instanceof ListSet)];
  }

  list(): IpsetFacts[] {
    return this.all().map((set) => set.facts());
  }

  /** @throws IpsetError */
  create(name: string, spec: Omit<SetSpec, 'initval'>, exist: boolean): void {
    const { rt } = this.#ns.kernel;
    const known = this.#byName.get(name);
    if (known !== undefined) {
      const same = formatOptions({ ...spec, initval: known.spec.initval }) === formatOptions(known.spec);
      if (exist && same && spec.type === known.spec.type) return;
      throw new IpsetError('exists');
    }
    const full: SetSpec = {
      ...spec,
      initval: spec.type.startsWith('hash:') ? rt.random.int(0, 0xffffffff) : 0,
    };
    const set =
      spec.type === 'list:set'
        ? new ListSet(name, full)
        : new IpSet(name, full, rt, (from, element) => {
            from.take(element);
            this.#emit({
              type: 'ipset.removed',
              ns: this.#ns.name,
              name: from.name,
              elements: [element.text],
            });
          });
    const free = this.#places.indexOf(null);
    this.#places[free < 0 ? this.#places.length : free] = set;
    this.#byName.set(name, set);
    const header = { name, type: spec.type, options: formatOptions(full) };
    this.#emit({ type: 'ipset.created', ns: this.#ns.name, set: header });
  }

  /** @throws IpsetError */
  destroy(name: string): void {
    const set = this.require(name);
    if (this.references(name) > 0) throw new IpsetError('busy');
    this.#drop(set);
  }

  /** All sets, or none where one is in use but by a set of sets. @throws IpsetError */
  destroyAll(): void {
    for (const { name } of this.all()) if (this.#rulesWith(name) > 0) throw new IpsetError('busy');
    for (const set of this.all().reverse()) this.#drop(set);
  }

  #drop(set: AnySet): void {
    if (set instanceof IpSet) for (const element of set.elements()) set.take(element);
    this.#places[this.#places.indexOf(set)] = null;
    this.#byName.delete(set.name);
    this.#emit({ type: 'ipset.destroyed', ns: this.#ns.name, name: set.name });
  }

  /** @throws IpsetError */
  rename(name: string, to: string): void {
    const set = this.require(name);
    if (this.references(name) > 0) throw new IpsetError('referenced');
    if (this.#byName.has(to)) throw new IpsetError('rename-exists');
    this.#byName.delete(name);
    set.name = to;
    this.#byName.set(to, set);
    this.#emit({ type: 'ipset.renamed', ns: this.#ns.name, name, to });
  }

  /** Two names exchange their sets; who refers to a name gets the other set. @throws IpsetError */
  swap(name: string, other: string): void {
    const a = this.require(name);
    const b = this.#byName.get(other);
    if (b === undefined) throw new IpsetError('missing-second');
    if (SET_TYPES[a.spec.type].dimensions.join() !== SET_TYPES[b.spec.type].dimensions.join())
      throw new IpsetError('type-mismatch');
    const [at, bt] = [this.#places.indexOf(a), this.#places.indexOf(b)];
    this.#places[at] = b;
    this.#places[bt] = a;
    a.name = other;
    b.name = name;
    this.#byName.set(other, a);
    this.#byName.set(name, b);
    this.#emit({ type: 'ipset.swapped', ns: this.#ns.name, name, with: other });
  }

  flush(name: string): void {
    const set = this.require(name);
    const elements = set instanceof IpSet ? set.elements().map(({ text }) => text) : [...set.members];
    if (set instanceof IpSet) for (const element of set.elements()) set.take(element);
    else set.members.length = 0;
    if (elements.length > 0) this.#emit({ type: 'ipset.removed', ns: this.#ns.name, name, elements });
  }

  /** Several elements are those of a range; the first that cannot be ends it. @throws IpsetError */
  add(set: IpSet, keys: readonly (readonly KeyPart[])[], options: ElementOptions, exist: boolean): void {
    const added = [];
    try {
      for (const key of keys) added.push(factsOf(set.add(key, options, exist)));
    } finally {
      if (added.length > 0)
        this.#emit({ type: 'ipset.added', ns: this.#ns.name, name: set.name, elements: added });
    }
  }

  /** @throws IpsetError */
  remove(set: IpSet, keys: readonly (readonly KeyPart[])[], exist: boolean): void {
    const removed: string[] = [];
    try {
      for (const key of keys) {
        const element = set.remove(key);
        if (element !== null) removed.push(element.text);
        else if (!exist) throw new IpsetError('not-added');
      }
    } finally {
      if (removed.length > 0)
        this.#emit({ type: 'ipset.removed', ns: this.#ns.name, name: set.name, elements: removed });
    }
  }

  /** Puts a set into a set of sets, where said beside another. @throws IpsetError */
  addMember(
    list: ListSet,
    member: string,
    place: { readonly at: 'before' | 'after'; readonly reference: string } | null,
    exist: boolean,
  ): void {
    const set = this.#byName.get(member);
    if (set === undefined) throw new IpsetError('element-set');
    if (set instanceof ListSet) throw new IpsetError('list-in-list');
    if (list.members.includes(member)) {
      if (exist) return;
      throw new IpsetError('added-already');
    }
    if (list.members.length >= list.spec.size) throw new IpsetError('list-full');
    let at = list.members.length;
    if (place !== null) {
      const reference = list.members.indexOf(place.reference);
      if (reference < 0) throw new IpsetError('reference-set');
      at = place.at === 'before' ? reference : reference + 1;
    }
    list.members.splice(at, 0, member);
    const elements = [{ element: member }];
    this.#emit({ type: 'ipset.added', ns: this.#ns.name, name: list.name, elements, at });
  }

  /** @throws IpsetError */
  removeMember(list: ListSet, member: string, exist: boolean): void {
    if (!this.#byName.has(member)) throw new IpsetError('element-set');
    const at = list.members.indexOf(member);
    if (at < 0) {
      if (exist) return;
      throw new IpsetError('not-added');
    }
    list.members.splice(at, 1);
    this.#emit({ type: 'ipset.removed', ns: this.#ns.name, name: list.name, elements: [member] });
  }

  /** Rules and sets of sets that a set is in. */
  references(name: string): number {
    let count = this.#rulesWith(name);
    for (const set of this.#byName.values())
      if (set instanceof ListSet && set.members.includes(name)) count++;
    return count;
  }

  #rulesWith(name: string): number {
    let count = 0;
    const { xtables, ipv6 } = this.#ns;
    for (const table of [...xtables.tables(), ...ipv6.xtables.tables()])
      for (const { rules } of table.chains())
        for (const { matches, action } of rules) {
          for (const { match } of matches) if (match.usesSet === name) count++;
          if (action.type === 'target')
            for (const used of action.target.usesSets ?? []) if (used === name) count++;
        }
    return count;
  }

  /**
   * Whether a packet is in a set (`ip_set_test`). `sides` says for each part of an entry which end of the packet it is; too
   * few of them, and nothing is found. `nomatch`: with 'return', what the exceptions of a set of nets hold is what is found.
   */
  test(name: string, skb: Skb, sides: readonly Side[], nomatch: 'skip' | 'return'): boolean {
    const set = this.#byName.get(name);
    if (set === undefined) return false;
    if (set instanceof ListSet) return set.members.some((member) => this.test(member, skb, sides, nomatch));
    const { dimensions } = set;
    const key = this.#keyOf(set, skb, sides);
    if (key === null) return false;
    const element = set.find(key);
    if (element === null) return false;
    const found = dimensions.includes('net') && nomatch === 'return' ? element.nomatch : !element.nomatch;
    if (found) {
      element.packets++;
      element.bytes += skb.frame.length - ETH_HLEN;
    }
    return found;
  }

  /**
   * Adds what a packet has to a set, or takes it out (`-j SET`, `ip_set_add`, `ip_set_del`). Nothing is said where that cannot be:
   * the set is full, of the other family, or has it already. `timeout` is seconds, null for the set's own.
   */
  changeBy(
    name: string,
    skb: Skb,
    sides: readonly Side[],
    change: 'add' | 'add-again' | 'remove',
    timeout: number | null,
  ): void {
    const set = this.#byName.get(name);
    if (set instanceof ListSet) {
      for (const member of set.members) this.changeBy(member, skb, sides, change, timeout);
      return;
    }
    const found = set === undefined ? null : this.#keyOf(set, skb, sides);
    if (set === undefined || found === null) return;
    // A packet stands for the host that it is of.
    const key = found.map((part, i) => (set.dimensions[i] === 'net' ? netKey(part, bitsOf(part)) : part));
    try {
      if (change === 'remove') this.remove(set, [key], true);
      else {
        const options = {
          nomatch: false,
          timeout: set.spec.timeout === null ? null : timeout,
          comment: null,
        };
        this.add(set, [key], { ...options, packets: 0, bytes: 0 }, change === 'add-again');
      }
    } catch (error) {
      if (!(error instanceof IpsetError)) throw error;
    }
  }

  /** What of a packet a set asks for; null where it has no such, or is of the other family. */
  #keyOf(set: IpSet, skb: Skb, sides: readonly Side[]): KeyPart[] | null {
    const { dimensions, spec } = set;
    const family = isIpv6(skb) ? 'inet6' : 'inet';
    if (sides.length < dimensions.length) return null;
    if (spec.family !== family && spec.type !== 'bitmap:port') return null;
    const key = this.#key;
    key.length = 0;
    for (let i = 0; i < dimensions.length; i++) {
      const part = partOf(skb, dimensions[i]!, sides[i]!);
      if (part === null) return null;
      key.push(part);
    }
    return key;
  }

  #emit(event: IpsetEvent): void {
    this.#ns.kernel.rt.emit(event);
  }
}

function partOf(
  skb: Skb,
  dimension: (typeof SET_TYPES)['hash:ip']['dimensions'][number],
  side: Side,
): KeyPart | null {
  switch (dimension) {
    case 'ip':
    case 'net':
      return side === 'src' ? sourceOf(skb) : destinationOf(skb);
    case 'port':
    case 'portnumber':
      return portOf(skb, dimension, side);
    case 'iface':
      return (side === 'src' ? skb.in : skb.out)?.name ?? null;
    case 'set':
      return null;
  }
}

/** `get_port` of ip_set_getport.c: of ICMP and ICMPv6 their type and code, of what has no ports 0. */
function portOf(skb: Skb, dimension: 'port' | 'portnumber', side: Side): number | null {
  const { frame } = skb;
  const proto = protoOf(skb);
  const hasPorts =
    proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP || proto === PROTO_UDPLITE;
  if (proto < 0 || (!hasPorts && dimension === 'portnumber')) return null;
  const icmp = proto === (isIpv6(skb) ? PROTO_ICMPV6 : PROTO_ICMP);
  if (!hasPorts && !icmp) return proto * 65_536;
  const at = transportOffset(skb);
  if (at < 0 || at + 4 > frame.length) return null;
  const port = icmp || side === 'src' ? u16(frame, at) : u16(frame, at + 2);
  return dimension === 'portnumber' ? port : proto * 65_536 + port;
}
