import type { BgpConfig, BgpNeighbor, Timings } from '../../nodes/config.ts';
import type { DampingConfig, GracefulRestartConfig, NeighborOptions } from '../../protocols/bgp/config.ts';
import { DAMPING_DEFAULTS } from '../../protocols/bgp/damping.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** What holds where a lab says nothing, as in the protocols that have them, for a scale to be laid on. */
const STALE_PATH_TIME = 6 * MINUTE;
const SEND_HOLD = 8 * MINUTE;
/** RFC 5880 §6.8.3 */
const SLOW_INTERVAL = SECOND;

/** All timers of a node, `scale` times as long. */
export function scaleTimings(timings: Timings, scale: number): Timings {
  if (scale === 1) return timings;
  const { bgp, bfd = { slowInterval: SLOW_INTERVAL }, neighbor, bridge, tcp, flannel } = timings;
  // RFC 9687 §3.
  const sendHold = bgp.sendHold ?? Math.max(SEND_HOLD, 2 * bgp.holdTime);
  return {
    bgp: scaled({ ...bgp, sendHold }, scale),
    bfd: scaled(bfd, scale),
    neighbor: scaled(neighbor, scale),
    bridge: scaled(bridge, scale),
    tcp: scaled(tcp, scale),
    flannel: scaled(flannel, scale),
  };
}

function scaled<T extends object>(times: T, scale: number): T {
  const entries = Object.entries(times as Record<string, number>);
  return Object.fromEntries(entries.map(([key, ms]) => [key, ms * scale])) as T;
}

/** The times in a node's BGP configuration, `scale` times as long. */
export function scaleBgp(bgp: BgpConfig, scale: number): BgpConfig {
  if (scale === 1) return bgp;
  const { gracefulRestart, damping, dynamicNeighbors } = bgp;
  return {
    ...bgp,
    neighbors: bgp.neighbors.map((neighbor): BgpNeighbor => ({ ...neighbor, ...options(neighbor, scale) })),
    ...(gracefulRestart === undefined ? {} : { gracefulRestart: restart(gracefulRestart, scale) }),
    ...(damping === undefined ? {} : { damping: dampingOf(damping, scale) }),
    ...(dynamicNeighbors === undefined
      ? {}
      : { dynamicNeighbors: dynamicNeighbors.map((range) => ({ ...range, ...options(range, scale) })) }),
  };
}

function options(
  { holdTime, keepalive, mrai, gracefulRestart, maximumPrefixes, bfd }: NeighborOptions,
  scale: number,
): Partial<NeighborOptions> {
  const { restartAfter } = maximumPrefixes ?? {};
  return {
    ...(holdTime === undefined ? {} : { holdTime: holdTime * scale }),
    ...(keepalive === undefined ? {} : { keepalive: keepalive * scale }),
    ...(mrai === undefined ? {} : { mrai: mrai * scale }),
    ...(gracefulRestart === undefined || gracefulRestart === 'off'
      ? {}
      : { gracefulRestart: restart(gracefulRestart, scale) }),
    ...(maximumPrefixes === undefined || restartAfter === undefined
      ? {}
      : { maximumPrefixes: { ...maximumPrefixes, restartAfter: restartAfter * scale } }),
    ...(bfd === undefined ? {} : { bfd: { ...bfd, minTx: bfd.minTx * scale, minRx: bfd.minRx * scale } }),
  };
}

function restart(config: GracefulRestartConfig, scale: number): GracefulRestartConfig {
  const { notification, ...times } = config;
  return {
    ...scaled({ stalePathTime: STALE_PATH_TIME, ...times }, scale),
    ...(notification === undefined ? {} : { notification }),
  };
}

function dampingOf(config: DampingConfig, scale: number): DampingConfig {
  const { halfLife, maxSuppress } = { ...DAMPING_DEFAULTS, ...config };
  return { ...config, halfLife: halfLife * scale, maxSuppress: maxSuppress * scale };
}
