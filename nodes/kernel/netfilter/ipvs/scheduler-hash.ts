import type { ScheduledPacket, Scheduler } from './schedulers.ts';
import type { Destination, Service } from './service.ts';

const BITS = 8;
const SIZE = 1 << BITS;

/** `hash_32` of linux/hash.h */
function hash32(value: number): number {
  return Math.imul(value, 0x61c88647) >>> (32 - BITS);
}

/**
 * Source hashing and destination hashing (ip_vs_sh.c, ip_vs_dh.c): 256 buckets that the destinations take turns in, of sh as
 * many in a row as their weight.
 */
export class HashScheduler implements Scheduler {
  readonly #service: Service;
  readonly #by: 'sh' | 'dh';
  readonly #buckets: (Destination | null)[] = new Array<Destination | null>(SIZE).fill(null);

  constructor(service: Service, by: 'sh' | 'dh') {
    this.#service = service;
    this.#by = by;
    this.changed();
  }

  schedule({ src, dst, srcPort }: ScheduledPacket): Destination | null {
    if (this.#by === 'dh') return usable(this.#buckets[hash32(dst)] ?? null);
    const { shPort, shFallback } = this.#service.spec;
    const hash = hash32((src + (shPort ? srcPort : 0)) >>> 0);
    const first = this.#buckets[hash] ?? null;
    if (first === null || isUsable(first) || !shFallback) return usable(first);
    // `ip_vs_sh_get_fallback`: on from there, each step as far again.
    for (let offset = 0; offset < SIZE; offset++) {
      const other = this.#buckets[(((offset + hash) % SIZE) + hash) % SIZE] ?? null;
      if (other === null) return null;
      if (isUsable(other)) return other;
    }
    return null;
  }

  /** `ip_vs_sh_reassign`, `ip_vs_dh_reassign` */
  changed(): void {
    const { destinations } = this.#service;
    let at = 0;
    let given = 0;
    for (let i = 0; i < SIZE; i++) {
      const destination = destinations[at] ?? null;
      this.#buckets[i] = destination;
      given++;
      if (this.#by === 'sh' && destination !== null && given < destination.weight) continue;
      at = (at + 1) % Math.max(destinations.length, 1);
      given = 0;
    }
  }
}

function isUsable(destination: Destination): boolean {
  return destination.weight > 0 && !destination.overloaded && destination.available;
}

function usable(destination: Destination | null): Destination | null {
  return destination !== null && isUsable(destination) ? destination : null;
}
