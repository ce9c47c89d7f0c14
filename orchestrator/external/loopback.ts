import { createServer, type Server } from 'node:net';
import type { BgpNeighbor, NodeConfig } from '../../nodes/config.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { daemonsOf, LOOPBACK_RANGE, LOOPBACK6 } from '../lab/external.ts';
import { DaemonError } from './program.ts';

/** Second octets that may be a lab's: 127.0 and 127.1 are used by others. */
const FIRST = 64;
const LAST = 191;
/** Ports to try, none of which needs a privilege: somebody may have taken one on all addresses. */
const PORTS = [10_179, 11_179, 12_179, 13_179] as const;

/** Ports on ::1 that a range has beside its addresses, from here on: a few for each. */
const PORTS6 = 14_000;
const PORTS6_EACH = 20;

/** A lab whose real daemons have a range of loopback addresses, 127.N.0.0/16, that no other lab on this host has. */
export interface PlacedLab {
  readonly lab: CompiledLab;
  release(): void;
}

/**
 * Gives the real ends of a lab's sessions their addresses and ports, in a range of the lab's own. A listening socket on the
 * range's first address says that it is taken; it goes with this process, however that ends.
 * @throws DaemonError if there is no free range, no ::1 for sessions over IPv6, or more of those than a range has ports for.
 */
export async function placeLab(lab: CompiledLab): Promise<PlacedLab> {
  if (daemonsOf(lab).every(({ role }) => role === 'external')) return { lab, release: () => {} };
  const ports6 = portsOn6(lab);
  if (ports6 > PORTS6_EACH)
    throw new DaemonError(
      `the sessions with real daemons over IPv6 want ${ports6} ports, and ${PORTS6_EACH} are there for a lab; let some run over IPv4`,
    );
  const without6 = ports6 === 0 ? null : await takenAt(LOOPBACK6, 0);
  if (without6 !== null)
    throw new DaemonError(
      `the sessions with real daemons over IPv6 need ${LOOPBACK6}, which this host does not have (${without6}); give lo its address, or let them run over IPv4`,
    );
  let reason = '';
  for (const [i, port] of PORTS.entries()) {
    for (let octet = FIRST; octet <= LAST; octet++) {
      const claim = await listen(`127.${octet}.0.1`, port);
      if (typeof claim === 'string') {
        reason = claim;
        continue;
      }
      const first6 = PORTS6 + PORTS6_EACH * (i * (LAST - FIRST + 1) + octet - FIRST);
      const nodes = lab.nodes.map((node) => placed(node, { range: `127.${octet}`, port, first6 }));
      // Nodes of a lab whose orchestrator was killed live on for a moment, when nothing says any more that the range is theirs.
      const taken = (await takenOn6(first6, ports6)) ?? (await takenOf(nodes, `127.${octet}.`));
      if (taken !== null) {
        claim.close();
        reason = taken;
        continue;
      }
      return { lab: { ...lab, nodes }, release: () => claim.close() };
    }
  }
  throw new DaemonError(
    `no range of loopback addresses is free for the real daemons (${reason}); they need one of 127.${FIRST}.0.0/16 to 127.${LAST}.0.0/16, which on macOS have to be added to lo0`,
  );
}

function portsOn6({ nodes }: CompiledLab): number {
  const ports = nodes.flatMap(({ bgp }) =>
    (bgp?.neighbors ?? []).map(({ external }) => -(external?.listen ?? 0)),
  );
  return Math.max(0, ...ports);
}

/** Whether somebody has one of the ports; null if not. */
async function takenOn6(first: number, count: number): Promise<string | null> {
  for (let port = first; port < first + count; port++) {
    const taken = await takenAt(LOOPBACK6, port);
    if (taken !== null) return taken;
  }
  return null;
}

/** Whether somebody has a place in a range at which one of the nodes or of their daemons is to listen; null if not. */
async function takenOf(nodes: readonly NodeConfig[], range: string): Promise<string | null> {
  const transports = nodes.flatMap(({ bgp }) => (bgp?.neighbors ?? []).map(({ external }) => external));
  const places = new Map<string, readonly [host: string, port: number]>();
  for (const transport of transports) {
    if (transport === undefined || transport.remote === null || transport.listen === null) continue;
    const { local, listen: own, remote } = transport;
    places.set(`${local} ${own}`, [local, own]);
    places.set(`${remote.address} ${remote.port}`, [remote.address, remote.port]);
  }
  for (const [host, port] of places.values()) {
    const taken = host.startsWith(range) ? await takenAt(host, port) : null;
    if (taken !== null) return taken;
  }
  return null;
}

async function takenAt(host: string, port: number): Promise<string | null> {
  const server = await listen(host, port);
  if (typeof server === 'string') return server;
  await new Promise((resolve) => server.close(resolve));
  return null;
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

interface Place {
  readonly range: string;
  readonly port: number;
  readonly first6: number;
}

function placed(node: NodeConfig, { range, port: common, first6 }: Place): NodeConfig {
  if (node.bgp === undefined) return node;
  const place = (address: string) =>
    address.startsWith(LOOPBACK_RANGE) ? `${range}${address.slice(LOOPBACK_RANGE.length)}` : address;
  const portOf = (port: number) => (port < 0 ? first6 - port - 1 : common);
  const neighbors = node.bgp.neighbors.map((neighbor): BgpNeighbor => {
    const { external } = neighbor;
    if (external === undefined || external.remote === null || external.listen === null) return neighbor;
    const unplaced = external.local.startsWith(LOOPBACK_RANGE) || external.listen < 0;
    if (!unplaced) return neighbor;
    const { local, remote, listen } = external;
    return {
      ...neighbor,
      external: {
        ...external,
        remote: { address: place(remote.address), port: portOf(remote.port) },
        local: place(local),
        listen: portOf(listen),
      },
    };
  });
  return { ...node, bgp: { ...node.bgp, neighbors } };
}
