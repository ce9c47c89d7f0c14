import { ALL_NODES, maskIp6 } from '../../protocols/ip6.ts';
import type { NdpMessage, PrefixInformation } from '../../protocols/ndp.ts';
import type { Device } from '../kernel/device.ts';
import type { Netns } from '../kernel/netns.ts';
import type { Runtime, TimerHandle } from '../runtime.ts';

/** radvd.conf(5): MinRtrAdvInterval, MaxRtrAdvInterval, AdvDefaultLifetime, AdvValidLifetime, AdvPreferredLifetime, s. */
const MIN_INTERVAL = 198;
const MAX_INTERVAL = 600;
const ROUTER_LIFETIME = 1800;
const VALID_LIFETIME = 86_400;
const PREFERRED_LIFETIME = 14_400;
/** MAX_INITIAL_RTR_ADVERTISEMENTS, MAX_INITIAL_RTR_ADVERT_INTERVAL, MIN_DELAY_BETWEEN_RAS, MAX_RA_DELAY_TIME (RFC 4861 §10), s. */
const INITIAL = 3;
const INITIAL_INTERVAL = 16;
const LEAST_DELAY = 3;
const ANSWER_DELAY = 0.5;

interface Advertising {
  readonly device: Device;
  timer: TimerHandle | null;
  sent: number;
  lastAt: number;
}

/** The router's side of router discovery (RFC 4861 §6.2), as radvd(8) with `AdvSendAdvert on` and a prefix an address. */
export class Radvd {
  readonly #rt: Runtime;
  readonly #ns: Netns;
  readonly #advertising: readonly Advertising[];

  constructor(rt: Runtime, ns: Netns, devices: readonly Device[]) {
    this.#rt = rt;
    this.#ns = ns;
    this.#advertising = devices.map((device) => ({
      device,
      timer: null,
      sent: 0,
      lastAt: Number.NEGATIVE_INFINITY,
    }));
  }

  start(): void {
    for (const one of this.#advertising) {
      this.#ns.ipv6.ndp.advertise(one.device, () => this.#solicited(one));
      this.#arm(one, 1);
    }
  }

  /** The lab's second. */
  get #second(): number {
    return this.#ns.kernel.timings.neighbor.retrans;
  }

  #arm(one: Advertising, seconds: number): void {
    const { timers, now } = this.#rt;
    if (one.timer !== null) timers.cancel(one.timer);
    one.timer = timers.set(now + seconds * this.#second, () => {
      one.timer = null;
      this.#advertise(one);
    });
  }

  /** All that have asked within a moment are answered at once, and no more often than every three seconds. */
  #solicited(one: Advertising): void {
    const { now, random } = this.#rt;
    const due = Math.max(
      now + ANSWER_DELAY * this.#second * random.unit(),
      one.lastAt + LEAST_DELAY * this.#second,
    );
    if (one.timer === null || one.timer.at > due) this.#arm(one, (due - now) / this.#second);
  }

  #advertise(one: Advertising): void {
    const { now, random } = this.#rt;
    const src = one.device.inet6.linkLocal();
    if (src === null || !one.device.usable || !one.device.inet6.forwarding) {
      this.#arm(one, 1);
      return;
    }
    this.#ns.ipv6.ndp.send(one.device, advertOf(one.device), { src, dst: ALL_NODES, mac: null });
    one.sent++;
    one.lastAt = now;
    const interval = MIN_INTERVAL + random.unit() * (MAX_INTERVAL - MIN_INTERVAL);
    this.#arm(one, one.sent < INITIAL ? Math.min(interval, INITIAL_INTERVAL) : interval);
  }
}

function advertOf({ inet6, mac }: Device): NdpMessage {
  const prefixes = new Map<string, PrefixInformation>();
  for (const { addr, len, scope } of inet6.addresses) {
    if (scope !== 'global' || len === 128) continue;
    const prefix = maskIp6(addr, len);
    prefixes.set(`${prefix}/${len}`, {
      prefix,
      len,
      onLink: true,
      autonomous: len === 64,
      validLifetime: VALID_LIFETIME,
      preferredLifetime: PREFERRED_LIFETIME,
    });
  }
  return {
    type: 'router-advert',
    hopLimit: inet6.conf.hop_limit,
    managed: false,
    otherConfig: false,
    preference: 'medium',
    routerLifetime: ROUTER_LIFETIME,
    reachableTime: 0,
    retransTimer: 0,
    options: { sourceMac: mac, mtu: inet6.mtu, prefixes: [...prefixes.values()] },
  };
}
