import { bitsOf } from '../../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../../protocols/ip6.ts';
import type { IpsetElementFacts, IpsetFacts } from '../../../events/ipset.ts';
import type { Runtime, TimerHandle } from '../../../runtime.ts';
import { formatElement, formatOptions, maskAddress } from './format.ts';
import {
  type Dimension,
  type ElementOptions,
  IpsetError,
  type KeyPart,
  netKey,
  netOf,
  SET_TYPES,
  type SetSpec,
} from './spec.ts';

/** An entry of a set. */
export interface Element {
  readonly key: readonly KeyPart[];
  readonly text: string;
  nomatch: boolean;
  comment: string | null;
  /** When it goes, ms; null: never. */
  expires: number | null;
  timer: TimerHandle | null;
  packets: number;
  bytes: number;
}

type Level = Map<KeyPart, Level | Element>;

/**
 * A set of ip_set(8) but list:set. Elements stand in maps within maps, one level a part of the key; nets by their length, of
 * which those that occur are tried from the longest on.
 */
export class IpSet {
  name: string;
  readonly spec: SetSpec;
  readonly dimensions: readonly Dimension[];
  readonly #rt: Runtime;
  readonly #onExpired: (set: IpSet, element: Element) => void;
  readonly #elements = new Map<string, Element>();
  readonly #root: Level = new Map();
  /** How many nets of each length there are. */
  readonly #lengths = new Uint32Array(129);
  readonly #netAt: number;

  constructor(name: string, spec: SetSpec, rt: Runtime, onExpired: (set: IpSet, element: Element) => void) {
    this.name = name;
    this.spec = spec;
    this.#rt = rt;
    this.#onExpired = onExpired;
    this.dimensions = SET_TYPES[spec.type].dimensions;
    this.#netAt = this.dimensions.indexOf('net');
  }

  get size(): number {
    return this.#elements.size;
  }

  elements(): Element[] {
    return [...this.#elements.values()];
  }

  /** Adds an element, or makes one that is there be so. @throws IpsetError */
  add(key: readonly KeyPart[], options: ElementOptions, exist: boolean): Element {
    this.#check(key, options);
    const cut = this.#cut(key);
    const text = formatElement(this.dimensions, cut);
    const known = this.#elements.get(text);
    if (known !== undefined && !exist) throw new IpsetError('added-already');
    if (known === undefined && this.#elements.size >= this.#most()) {
      if (!this.spec.forceadd) throw new IpsetError('full');
      const [any] = this.#elements.values();
      if (any !== undefined) this.#onExpired(this, any);
    }
    const element = known ?? this.#insert(cut, text);
    element.nomatch = options.nomatch;
    element.comment = options.comment;
    element.packets = options.packets;
    element.bytes = options.bytes;
    this.#schedule(element, options.timeout ?? this.spec.timeout ?? 0);
    return element;
  }

  /** Takes an element out; null: there was none. @throws IpsetError */
  remove(key: readonly KeyPart[]): Element | null {
    this.#checkNull(key[0]);
    const element = this.#elements.get(formatElement(this.dimensions, this.#cut(key)));
    if (element === undefined) return null;
    this.take(element);
    return element;
  }

  take(element: Element): void {
    if (element.timer !== null) this.#rt.timers.cancel(element.timer);
    this.#elements.delete(element.text);
    let level = this.#root;
    const last = element.key.length - 1;
    for (let i = 0; i < last; i++) level = level.get(element.key[i]!) as Level;
    level.delete(element.key[last]!);
    if (this.#netAt >= 0) this.#lengths[netOf(element.key[this.#netAt]!).length]!--;
  }

  /** The element of this very key, as `ipset test` asks for a net. */
  exact(key: readonly KeyPart[]): Element | null {
    return this.#elements.get(formatElement(this.dimensions, this.#cut(key))) ?? null;
  }

  /** The element that an entry falls under; nets of the key are whole addresses here. `key` is used as scratch. */
  find(key: KeyPart[]): Element | null {
    const { netmask } = this.spec;
    if (netmask !== null && this.dimensions[0] === 'ip') key[0] = maskAddress(key[0]!, netmask);
    const at = this.#netAt;
    if (at < 0) return this.#walk(key);
    const addr = key[at]!;
    for (let length = bitsOf(addr); length >= 0; length--) {
      if (this.#lengths[length] === 0) continue;
      key[at] = netKey(maskAddress(addr, length), length);
      const found = this.#walk(key);
      if (found !== null) {
        key[at] = addr;
        return found;
      }
    }
    key[at] = addr;
    return null;
  }

  facts(): IpsetFacts {
    const elements = this.elements().map(factsOf);
    elements.sort((a, b) => (a.element < b.element ? -1 : a.element > b.element ? 1 : 0));
    return { name: this.name, type: this.spec.type, options: formatOptions(this.spec), elements };
  }

  #walk(key: readonly KeyPart[]): Element | null {
    let here: Level | Element | undefined = this.#root;
    for (const part of key) {
      if (!(here instanceof Map)) return null;
      here = here.get(part);
    }
    return here === undefined || here instanceof Map ? null : here;
  }

  #insert(key: readonly KeyPart[], text: string): Element {
    const element: Element = {
      key,
      text,
      nomatch: false,
      comment: null,
      expires: null,
      timer: null,
      packets: 0,
      bytes: 0,
    };
    let level = this.#root;
    const last = key.length - 1;
    for (let i = 0; i < last; i++) {
      const next = level.get(key[i]!) ?? new Map();
      level.set(key[i]!, next);
      level = next as Level;
    }
    level.set(key[last]!, element);
    this.#elements.set(text, element);
    if (this.#netAt >= 0) this.#lengths[netOf(key[this.#netAt]!).length]!++;
    return element;
  }

  #schedule(element: Element, seconds: number): void {
    const { timers, now } = this.#rt;
    if (element.timer !== null) timers.cancel(element.timer);
    element.timer = null;
    element.expires = null;
    if (this.spec.timeout === null || seconds === 0) return;
    element.expires = now + seconds * 1_000;
    element.timer = timers.set(element.expires, () => {
      element.timer = null;
      this.#onExpired(this, element);
    });
  }

  /** An address is cut to the set's netmask. */
  #cut(key: readonly KeyPart[]): readonly KeyPart[] {
    const { netmask } = this.spec;
    if (netmask === null) return key;
    return [maskAddress(key[0]!, netmask), ...key.slice(1)];
  }

  #most(): number {
    return this.spec.range === null ? this.spec.maxelem : Number.POSITIVE_INFINITY;
  }

  #checkNull(first: KeyPart | undefined): void {
    if (this.spec.type === 'hash:ip' && (first === 0 || first === ANY_IP6))
      throw new IpsetError('null-element');
  }

  #check(key: readonly KeyPart[], { timeout, comment, packets, bytes }: ElementOptions): void {
    const { spec } = this;
    if (timeout !== null && spec.timeout === null) throw new IpsetError('no-timeout');
    if (comment !== null && !spec.comment) throw new IpsetError('no-comment');
    if ((packets !== 0 || bytes !== 0) && !spec.counters) throw new IpsetError('no-counters');
    const [first] = key;
    this.#checkNull(first);
    if (spec.range !== null && typeof first === 'number')
      if (first < spec.range[0] || first > spec.range[1]) throw new IpsetError('range');
    if (this.#netAt >= 0 && netOf(key[this.#netAt]!).length === 0 && spec.type !== 'hash:net,iface')
      throw new IpsetError('cidr');
  }
}

export function factsOf({ text, nomatch, comment, expires }: Element): IpsetElementFacts {
  return {
    element: text,
    ...(nomatch ? { nomatch: true as const } : {}),
    ...(comment === null ? {} : { comment }),
    ...(expires === null ? {} : { expires }),
  };
}
