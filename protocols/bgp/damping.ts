import type { DampingConfig } from './config.ts';
import type { PrefixKey } from './nlri.ts';

const MINUTE = 60_000;
/** Added by a withdrawal and by a change of attributes (RFC 2439 §4.8.4, in the units of RFC 7196). */
const WITHDRAWAL_PENALTY = 1000;
const CHANGE_PENALTY = 500;
/** Times in ms. RFC 7196 §3: 6000 in place of the 2000 to 3000 that vendors had. */
export const DAMPING_DEFAULTS: Required<DampingConfig> = {
  ...{ halfLife: 15 * MINUTE, maxSuppress: 60 * MINUTE },
  ...{ suppress: 6000, reuse: 750 },
};

/** RFC 2439 §4.2: no figure of merit is higher than what decays to the reuse threshold within the longest time of suppression. */
export function dampingCeiling(config: DampingConfig): number {
  const { halfLife, maxSuppress, reuse } = { ...DAMPING_DEFAULTS, ...config };
  return reuse * 2 ** (maxSuppress / halfLife);
}

interface Figure {
  penalty: number;
  at: number;
  suppressed: boolean;
}

/**
 * Route flap damping, RFC 2439 with the values of RFC 7196: a figure of merit for each route that has flapped, which decays
 * by half with every half-life. Above the suppress threshold the route is not used until it has come below the reuse one.
 */
export class Damping {
  readonly #halfLife: number;
  readonly #reuse: number;
  readonly #suppress: number;
  readonly #ceiling: number;
  readonly #figures = new Map<string, Map<PrefixKey, Map<number, Figure>>>();

  constructor(config: DampingConfig) {
    const { halfLife, reuse, suppress } = { ...DAMPING_DEFAULTS, ...config };
    this.#halfLife = halfLife;
    this.#reuse = reuse;
    this.#suppress = suppress;
    this.#ceiling = dampingCeiling(config);
  }

  withdrawn(peer: string, key: PrefixKey, pathId: number, now: number): void {
    this.#add(peer, key, pathId, now, WITHDRAWAL_PENALTY);
  }

  changed(peer: string, key: PrefixKey, pathId: number, now: number): void {
    this.#add(peer, key, pathId, now, CHANGE_PENALTY);
  }

  isSuppressed(peer: string, key: PrefixKey, pathId: number, now: number): boolean {
    const figure = this.#figures.get(peer)?.get(key)?.get(pathId);
    if (figure === undefined) return false;
    this.#decay(figure, now);
    if (figure.suppressed && figure.penalty < this.#reuse) figure.suppressed = false;
    return figure.suppressed;
  }

  /** The figure of merit, 0 for a route that has not flapped. */
  penalty(peer: string, key: PrefixKey, pathId: number, now: number): number {
    const figure = this.#figures.get(peer)?.get(key)?.get(pathId);
    return figure === undefined ? 0 : figure.penalty * 2 ** ((figure.at - now) / this.#halfLife);
  }

  /** When the next suppressed route may be used again, ms; Infinity if none is suppressed. Forgets what has decayed. */
  nextReuse(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const byKey of this.#figures.values()) {
      for (const [key, byPath] of byKey) {
        for (const [pathId, figure] of byPath) {
          this.#decay(figure, now);
          if (figure.suppressed) {
            const left = this.#halfLife * Math.log2(figure.penalty / this.#reuse);
            // A moment later, so that rounding does not find it just above the threshold.
            next = Math.min(next, now + Math.max(0, left) + 1);
          } else if (figure.penalty < this.#reuse / 2) byPath.delete(pathId);
        }
        if (byPath.size === 0) byKey.delete(key);
      }
    }
    return next;
  }

  /** The session is gone: it counts as no flap of its routes. */
  forget(peer: string): void {
    this.#figures.delete(peer);
  }

  #add(peer: string, key: PrefixKey, pathId: number, now: number, penalty: number): void {
    let byKey = this.#figures.get(peer);
    if (byKey === undefined) {
      byKey = new Map();
      this.#figures.set(peer, byKey);
    }
    let byPath = byKey.get(key);
    if (byPath === undefined) {
      byPath = new Map();
      byKey.set(key, byPath);
    }
    let figure = byPath.get(pathId);
    if (figure === undefined) {
      figure = { penalty: 0, at: now, suppressed: false };
      byPath.set(pathId, figure);
    }
    this.#decay(figure, now);
    figure.penalty = Math.min(this.#ceiling, figure.penalty + penalty);
    if (figure.penalty > this.#suppress) figure.suppressed = true;
  }

  #decay(figure: Figure, now: number): void {
    figure.penalty *= 2 ** ((figure.at - now) / this.#halfLife);
    figure.at = now;
  }
}
