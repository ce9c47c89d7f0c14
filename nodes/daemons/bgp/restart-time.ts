import type { BgpConfig } from '../../config.ts';

/** What its peers were told that a restart may take, ms, the longest of it (RFC 4724 §4.1); null if graceful restart is off. */
export function restartTimeOf({
  gracefulRestart,
  neighbors,
  dynamicNeighbors = [],
}: BgpConfig): number | null {
  const told = [...neighbors, ...dynamicNeighbors].flatMap((neighbor) => {
    const restart = neighbor.gracefulRestart ?? gracefulRestart;
    return restart === undefined || restart === 'off' ? [] : [restart.restartTime];
  });
  return told.length === 0 ? null : Math.max(...told);
}
