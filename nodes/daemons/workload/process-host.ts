import type { Netns } from '../../kernel/netns.ts';
import type { Runtime } from '../../runtime.ts';

/** What the servers of a container or pod have of the system: sockets in its namespace, and time. */
export interface ProcessHost extends Pick<Netns, 'bindUdp'> {
  readonly rt: Runtime;
  listenTcp(
    local: Parameters<Netns['listenTcp']>[0],
    onAccept: Parameters<Netns['listenTcp']>[1],
  ): { close(): void };
}

/** Those that run as long as they are there. */
export function processHost(ns: Netns): ProcessHost {
  return {
    rt: ns.kernel.rt,
    listenTcp: (local, onAccept) => ns.listenTcp(local, onAccept),
    bindUdp: (local, onDatagram) => ns.bindUdp(local, onDatagram),
  };
}
