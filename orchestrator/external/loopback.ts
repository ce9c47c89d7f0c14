import { createServer, type Server } from 'node:net';
import type { BgpNeighbor, NodeConfig } from '../../nodes/config.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { daemonsOf, LOOPBACK_RANGE } from '../lab/external.ts';
import { DaemonError } from './program.ts';

/** Second octets that may be a lab's: 127.0 and 127.1 are used by others. */
const FIRST = 64;
const LAST = 191;
/** Ports to try, none of which needs a privilege: somebody may have taken one on all addresses. */
const PORTS = [10_179, 11_179, 12_179, 13_179] as const;

/** A lab whose real daemons have a range of loopback addresses, 127.N.0.0/16, that no other lab on this host has. */
export interface PlacedLab {
  readonly lab: CompiledLab;
  release(): void;
}

/**
 * Gives the real ends of a lab's sessions their addresses and port, in a range of the lab's own. A listening socket on the
 * range's first address says that it is taken; it goes with this process, however that ends.
 * @throws DaemonError if there is no free range.
 */
export async function placeLab(lab: CompiledLab): Promise<PlacedLab> {
  if (daemonsOf(lab).every(({ role }) => role === 'external')) return { lab, release: () => {} };
  let reason = '';
  for (const port of PORTS) {
    for (let octet = FIRST; octet <= LAST; octet++) {
      const claim = await listen(`127.${octet}.0.1`, port);
      if (typeof claim === 'string') {
        reason = claim;
        continue;
      }
      const nodes = lab.nodes.map((node) => placed(node, `127.${octet}`, port));
      return { lab: { ...lab, nodes }, release: () => claim.close() };
    }
  }
  throw new DaemonError(
    `no range of loopback addresses is free for the real daemons (${reason}); they need one of 127.${FIRST}.0.0/16 to 127.${LAST}.0.0/16, which on macOS have to be added to lo0`,
  );
}

/** The listening server, or why there is none. */
async function listen(host: string, port: number): Promise<Server | string> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(error.message));
    server.listen({ host, port, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function placed(node: NodeConfig, range: string, port: number): NodeConfig {
  if (node.bgp === undefined) return node;
  const place = (address: string) => `${range}${address.slice(LOOPBACK_RANGE.length)}`;
  const neighbors = node.bgp.neighbors.map((neighbor): BgpNeighbor => {
    const { external } = neighbor;
    if (external === undefined || !external.local.startsWith(LOOPBACK_RANGE)) return neighbor;
    const remote = external.remote === null ? null : { address: place(external.remote.address), port };
    return { ...neighbor, external: { ...external, remote, local: place(external.local), listen: port } };
  });
  return { ...node, bgp: { ...node.bgp, neighbors } };
}
