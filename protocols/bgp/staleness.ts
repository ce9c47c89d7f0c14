import type { FamilyName, GracefulRestartConfig } from './config.ts';
import type { ConnectionChange } from './connection.ts';
import type { TimerHandle } from './host.ts';
import type { Negotiated, PeerRestart } from './negotiate.ts';
import { CeaseError, ErrorCode } from './notification.ts';
import type { Session } from './session.ts';
import type { SessionOwner } from './session-owner.ts';

/** How long routes of a peer that is back are kept until its End-of-RIB, ms: BIRD's and FRR's default of six minutes is 360 s. */
const STALE_PATH_TIME = 360_000;

/**
 * What becomes of the routes of a peer that has gone: the receiving speaker of RFC 4724 §4.2, with the long-lived stale
 * phase of RFC 9494, and the refresh of RFC 7313 §4.2, which marks and sweeps in the same way.
 */
export class Staleness {
  readonly #session: Session;
  readonly #owner: SessionOwner;
  readonly #config: GracefulRestartConfig | null;
  readonly #timers = new Map<FamilyName, TimerHandle>();
  readonly #longLived = new Set<FamilyName>();
  /** Families that the peer has begun to tell anew. */
  readonly #refreshing = new Set<FamilyName>();
  #restart: PeerRestart | null = null;

  constructor(session: Session, owner: SessionOwner, config: GracefulRestartConfig | null) {
    this.#session = session;
    this.#owner = owner;
    this.#config = config;
  }

  /** Families whose routes go soon unless the peer tells them again; not those that are long-lived stale. */
  get pending(): number {
    return this.#timers.size - this.#longLived.size;
  }

  /** The session is lost: keeps the families that the peer said it would restart gracefully. */
  lost(agreed: Negotiated | null, change: ConnectionChange): void {
    const restart = agreed?.restart ?? null;
    this.#refreshing.clear();
    if (restart === null || !isGraceful(restart, change)) {
      this.#cancelAll();
      return;
    }
    const { ribIn, host, name } = this.#session;
    this.#restart = restart;
    for (const family of agreed?.families ?? []) {
      const kept = restart.families.includes(family) || (restart.longLived.get(family) ?? 0) > 0;
      // RFC 4724 §4.2: what was stale already, from a restart that is not over, is removed.
      this.#sweep(family);
      if (!kept) continue;
      ribIn.markStale(family);
      host.stale(name, family, 'retained');
      if (restart.families.includes(family)) this.#arm(family, restart.time, () => this.#expired(family));
      else this.#expired(family);
    }
    for (const family of ['ipv4', 'ipv6'] as const) {
      if (restart.families.includes(family) || restart.longLived.has(family)) continue;
      ribIn.markStale(family);
      this.#sweep(family);
    }
  }

  /** The peer is back. What it does not promise to have kept is removed; the rest waits for its End-of-RIB. */
  established({ restart }: Negotiated): void {
    const { ribIn } = this.#session;
    for (const family of ['ipv4', 'ipv6'] as const) {
      this.#cancel(family);
      if (ribIn.staleCount === 0) continue;
      if (restart === null || !restart.kept.includes(family)) this.#sweep(family);
      else this.#arm(family, this.#config?.stalePathTime ?? STALE_PATH_TIME, () => this.#sweep(family));
    }
    this.#restart = restart;
  }

  /** The peer begins to tell all of a family anew (BoRR). */
  begin(family: FamilyName): void {
    const { ribIn, host, name } = this.#session;
    this.#refreshing.add(family);
    ribIn.markStale(family);
    host.stale(name, family, 'retained');
    this.#arm(family, this.#config?.stalePathTime ?? STALE_PATH_TIME, () => this.#sweep(family));
  }

  /** It has told all of a family anew (EoRR); ignored if it never began to (RFC 7313 §4). */
  refreshed(family: FamilyName): void {
    if (this.#refreshing.delete(family)) this.told(family);
  }

  /** It has told all that it has of a family (End-of-RIB). */
  told(family: FamilyName): void {
    this.#cancel(family);
    this.#sweep(family);
  }

  /** The session will not come back by itself. */
  end(): void {
    this.#cancelAll();
    for (const family of ['ipv4', 'ipv6'] as const) this.#sweep(family);
  }

  /** The peer has not come back within its restart time. */
  #expired(family: FamilyName): void {
    const time = this.#restart?.longLived.get(family) ?? 0;
    const ours = this.#config?.longLivedTime ?? 0;
    if (time === 0 || ours === 0) {
      this.#sweep(family);
      this.#vanish();
      return;
    }
    const { host, name } = this.#session;
    host.stale(name, family, 'long-lived');
    this.#owner.keepLongLived(this.#session, family);
    // RFC 9494 §4.2: the peer's time, or our own limit if that is less.
    this.#arm(family, Math.min(time, ours), () => {
      this.#longLived.delete(family);
      this.#sweep(family);
      this.#vanish();
    });
    this.#longLived.add(family);
  }

  #vanish(): void {
    const { origin, state, isStale } = this.#session;
    if (origin === 'dynamic' && state === 'Idle' && !isStale) this.#owner.vanished(this.#session);
  }

  #sweep(family: FamilyName): void {
    const { ribIn, host, name } = this.#session;
    if (!ribIn.hasStale(family)) return;
    host.stale(name, family, 'swept');
    this.#owner.sweep(this.#session, family);
  }

  #arm(family: FamilyName, delay: number, run: () => void): void {
    this.#cancel(family);
    this.#timers.set(
      family,
      this.#owner.later(delay, () => {
        this.#timers.delete(family);
        run();
      }),
    );
  }

  #cancel(family: FamilyName): void {
    const timer = this.#timers.get(family);
    if (timer !== undefined) this.#owner.host.timers.cancel(timer);
    this.#timers.delete(family);
    this.#longLived.delete(family);
  }

  #cancelAll(): void {
    for (const family of [...this.#timers.keys()]) this.#cancel(family);
  }
}

/**
 * Whether a session that ended so is expected back: its TCP connection went without a word; or, as both ends know RFC 8538,
 * by a NOTIFICATION other than Cease/Hard Reset, or ours for a hold timer that expired.
 */
function isGraceful({ notification: rule }: PeerRestart, { event, notification }: ConnectionChange): boolean {
  if (event === 'TcpConnectionFails') return true;
  if (rule === 'ends-it') return false;
  if (event === 'HoldTimer_Expires') return true;
  if (event !== 'NotifMsg' || notification === null) return false;
  const { code, subcode } = notification;
  if (code !== ErrorCode.cease) return true;
  // RFC 8538 §4 means to shut down as a hard reset; peers that do not say so are taken at their word.
  return subcode !== CeaseError.hardReset && subcode !== CeaseError.administrativeShutdown;
}
