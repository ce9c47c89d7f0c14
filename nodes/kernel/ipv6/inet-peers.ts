import type { Ip6 } from '../../../protocols/ip6.ts';
import type { Runtime } from '../../runtime.ts';

/** Intervals that a host may have saved up (`XRLIM_BURST_FACTOR`), and hosts that are kept account of. */
const BURST = 6;
const PEERS = 1024;
/** What a host has saved up that nobody knew before, ms (`inet_getpeer`). */
const AT_FIRST = 60_000;

/** What hosts have been told of late (`struct inet_peer`): errors and redirects draw on one account. */
export class InetPeers {
  readonly #rt: Runtime;
  /** ms saved up, and when they were counted. */
  readonly #accounts = new Map<Ip6, { left: number; at: number }>();

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** Whether a host may be told once more what takes `interval` ms each time (`inet_peer_xrlim_allow`). */
  admits(peer: Ip6, interval: number): boolean {
    const { now } = this.#rt;
    const most = BURST * interval;
    const account = this.#accounts.get(peer) ?? { left: AT_FIRST, at: now };
    this.#accounts.delete(peer);
    this.#accounts.set(peer, account);
    if (this.#accounts.size > PEERS) {
      const [oldest] = this.#accounts.keys();
      if (oldest !== undefined) this.#accounts.delete(oldest);
    }
    account.left = Math.min(most, account.left + (now - account.at));
    account.at = now;
    if (account.left < interval) return false;
    account.left -= interval;
    return true;
  }
}
