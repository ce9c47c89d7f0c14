import type { AttributeTable } from './attribute-table.ts';
import { NO_ATTRIBUTES, type PathAttributes } from './attributes.ts';
import type { Destination } from './destination.ts';
import type { SpeakerHost } from './host.ts';
import type { LocRib } from './loc-rib.ts';
import { formatKey, isIpv6Key, type PrefixKey } from './nlri.ts';
import type { Path } from './path.ts';

/** Next hop of IPv6 routes of our own until they are told to somebody. */
const UNSPECIFIED = '\0'.repeat(16);

/** The routes that a speaker originates. */
export class OwnRoutes {
  readonly #locRib: LocRib;
  readonly #attributes: AttributeTable;
  readonly #host: SpeakerHost;
  readonly #paths = new Map<Destination, Path>();
  readonly #local: PathAttributes;
  readonly #local6: PathAttributes;

  constructor(locRib: LocRib, attributes: AttributeTable, host: SpeakerHost) {
    this.#locRib = locRib;
    this.#attributes = attributes;
    this.#host = host;
    this.#local = attributes.intern(NO_ATTRIBUTES);
    this.#local6 = attributes.intern({ ...NO_ATTRIBUTES, nextHop6: UNSPECIFIED });
  }

  /** Keys of the prefixes, in the order in which they were originated. */
  prefixes(): PrefixKey[] {
    return [...this.#paths.keys()].map(({ key }) => key);
  }

  originate(key: PrefixKey): void {
    this.#originate(key, isIpv6Key(key) ? this.#local6 : this.#local);
  }

  /** With the attributes of somebody else's route, independently of what comes next. */
  originateAs(key: PrefixKey, attributes: PathAttributes): void {
    const { cause } = this.#host;
    const own = isIpv6Key(key) ? { nextHop: null, nextHop6: UNSPECIFIED } : { nextHop: null, nextHop6: null };
    const inner = { localPref: null, originatorId: null, clusterList: [] };
    this.#originate(key, this.#attributes.intern({ ...attributes, ...own, ...inner }));
    this.#host.cause = cause;
  }

  #originate(key: PrefixKey, attributes: PathAttributes): void {
    const destination = this.#locRib.destination(key);
    if (this.#paths.has(destination)) return;
    this.#host.originated(formatKey(key));
    const path: Path = {
      peer: null,
      pathId: 0,
      received: attributes,
      attributes,
      nextHop: null,
      rejection: null,
      stale: 'no',
      at: this.#host.now,
      telling: 0,
    };
    this.#paths.set(destination, path);
    this.#locRib.replace(destination, null, path, this.#host.cause);
  }

  has(key: PrefixKey): boolean {
    const destination = this.#locRib.get(key);
    return destination !== undefined && this.#paths.has(destination);
  }

  withdraw(key: PrefixKey): void {
    const destination = this.#locRib.get(key);
    const path = destination && this.#paths.get(destination);
    if (destination === undefined || path === undefined) return;
    this.#host.unoriginated(formatKey(key));
    this.#paths.delete(destination);
    this.#locRib.replace(destination, path, null, this.#host.cause);
  }
}
