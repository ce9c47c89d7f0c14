import type { Timings } from '../../nodes/config.ts';
import { formatDuration } from './duration.ts';
import type { Path } from './problem.ts';
import type { TimerOverrides } from './schema.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/**
 * BGP of a Calico node: BIRD with the values of Calico's template. Its connect delay of 2 s gives a freshly started BIRD
 * time to see its interfaces; a node here boots with them, so a tenth of a second is enough.
 */
const CALICO_BGP: Timings['bgp'] = {
  holdTime: 240 * SECOND,
  keepalive: 80 * SECOND,
  connectRetry: 5 * SECOND,
  connectDelay: 100,
  mraiIbgp: 0,
  mraiEbgp: 0,
  idleHold: 5 * SECOND,
  idleHoldMax: 30 * SECOND,
  startupHold: 240 * SECOND,
};

/**
 * BGP of a plain router: hold, keepalive and connect retry as RFC 4271 §10 suggests, the hold time of a startup as §8.2.2 does. The advertisement interval and the
 * idle hold time, which doubles, are FRR's; RFC 4271 has 30 s (5 s inside the AS) for the former.
 */
const ROUTER_BGP: Timings['bgp'] = {
  holdTime: 90 * SECOND,
  keepalive: 30 * SECOND,
  connectRetry: 120 * SECOND,
  connectDelay: 100,
  mraiIbgp: 0,
  mraiEbgp: 0,
  idleHold: SECOND,
  idleHoldMax: 120 * SECOND,
  startupHold: 240 * SECOND,
};

/** What the real systems have; Linux for the kernel's. */
export function defaultTimings(bgp: 'calico' | 'router'): Timings {
  return {
    bgp: bgp === 'calico' ? CALICO_BGP : ROUTER_BGP,
    neighbor: {
      reachable: 30 * SECOND,
      delayFirstProbe: 5 * SECOND,
      retrans: SECOND,
      gcStale: 60 * SECOND,
    },
    bridge: { ageing: 300 * SECOND },
    tcp: { rtoInitial: SECOND, rtoMin: 200, rtoMax: 120 * SECOND, msl: 30 * SECOND },
    flannel: { leaseTtl: 24 * HOUR, renewMargin: HOUR, routeCheck: 10 * SECOND },
  };
}

/** Defaults under what the lab sets, not yet scaled. */
export function resolveTimings(defaults: Timings, over: TimerOverrides): Timings {
  return {
    bgp: { ...defaults.bgp, ...withKeepalive(defaults.bgp, over.bgp ?? {}) },
    neighbor: { ...defaults.neighbor, ...defined(over.neighbor ?? {}) },
    bridge: { ...defaults.bridge, ...defined(over.bridge ?? {}) },
    tcp: { ...defaults.tcp, ...defined(over.tcp ?? {}) },
    flannel: { ...defaults.flannel, ...defined(over.flannel ?? {}) },
  };
}

/** A hold time that is set alone brings a third of it as the keepalive (RFC 4271 §4.4). */
function withKeepalive(
  defaults: Timings['bgp'],
  over: NonNullable<TimerOverrides['bgp']>,
): Partial<Timings['bgp']> {
  const set = defined(over);
  if (set.holdTime === undefined || set.keepalive !== undefined) return set;
  return { ...set, keepalive: Math.min(defaults.keepalive, set.holdTime / 3) };
}

function defined<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** What is wrong with timers before they are scaled: where, in what way, and how to mend it. */
export function* checkTimings(timings: Timings): Generator<{ path: Path; message: string; mend: string }> {
  const { bgp, tcp, flannel } = timings;
  const mayBeZero = new Set(['holdTime', 'keepalive', 'connectDelay', 'mraiIbgp', 'mraiEbgp', 'delayOpen']);
  for (const [section, values] of Object.entries(timings)) {
    for (const [key, ms] of Object.entries(values as Record<string, number>)) {
      if (ms > 0 || mayBeZero.has(key)) continue;
      yield {
        path: [section, key],
        message: '0 would never let anything else happen',
        mend: 'give a time above 0',
      };
    }
  }
  const { holdTime, keepalive } = bgp;
  if (holdTime !== 0 && (holdTime < 3 * SECOND || holdTime > 65_535 * SECOND)) {
    const mend = 'it is 0 or from 3s to 65535s (RFC 4271 §4.2); timers.scale shortens it further';
    yield { path: ['bgp', 'holdTime'], message: `${formatDuration(holdTime)} is no hold time`, mend };
  } else if (holdTime !== 0 && (keepalive === 0 || keepalive >= holdTime)) {
    const mend = `give at most a third, ${formatDuration(holdTime / 3)} (RFC 4271 §4.4)`;
    yield {
      path: ['bgp', 'keepalive'],
      message: `${formatDuration(keepalive)} does not keep a session with a hold time of ${formatDuration(holdTime)}`,
      mend,
    };
  }
  yield* ordered('bgp', 'idleHold', bgp.idleHold, 'idleHoldMax', bgp.idleHoldMax);
  yield* ordered('tcp', 'rtoMin', tcp.rtoMin, 'rtoMax', tcp.rtoMax);
  yield* ordered('tcp', 'rtoInitial', tcp.rtoInitial, 'rtoMax', tcp.rtoMax);
  yield* ordered('flannel', 'renewMargin', flannel.renewMargin, 'leaseTtl', flannel.leaseTtl);
}

function* ordered(section: string, key: string, ms: number, limitKey: string, limit: number) {
  if (ms <= limit) return;
  const message = `${formatDuration(ms)} is more than ${limitKey}, ${formatDuration(limit)}`;
  yield { path: [section, key], message, mend: `raise ${limitKey} or lower this` };
}
