import { OpenFlowBridge } from '../../nodes/kernel/openflow/bridge.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { formatMac } from '../../protocols/mac.ts';
import { OFP_NO_BUFFER, RESERVED_PORTS } from '../../protocols/openflow/constants.ts';
import { parseFlow } from '../../protocols/openflow/flow-text.ts';
import { Bare, datagram } from '../forward/step.ts';

/** A switch with two ports, and packets that come in by the first and leave by the second. */
export interface Workload {
  readonly name: string;
  readonly bare: Bare;
  readonly frames: readonly Uint8Array[];
  /** Processor time for each flow added, ns. */
  readonly added: number;
}

const SRC_MAC = 0x0200000000ff;
/** Packets of so many flows, spread over the table, come in turn. */
const FRAMES = 1_024;
const BASE = 0x0a000000;

function macOf(host: number): number {
  return 0x020100000000 + host;
}

/** What a learning switch makes: a flow for each pair of addresses, all of one shape. */
function learned(count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) =>
      `priority=1,in_port=1,dl_src=${formatMac(SRC_MAC)},dl_dst=${formatMac(macOf(i))},actions=output:2`,
  );
}

/** Lengths of prefixes, the longest with the highest priority. */
const PREFIXES = [32, 31, 30, 29, 28, 27, 26, 25] as const;

/** What a firewall makes: 8 lengths of prefixes, with and without a port, so 16 shapes. Each flow is for one host's /25 or less. */
function filtered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const length = PREFIXES[i % PREFIXES.length] ?? 32;
    const port = (i >> 3) % 2 === 0 ? ',tp_dst=9' : '';
    const mask = (0xffffffff << (32 - length)) >>> 0;
    const network = ((BASE + i * 128) & mask) >>> 0;
    return `priority=${10 * length + (port === '' ? 0 : 5)},udp,nw_dst=${formatIp4(network)}/${length}${port},actions=output:2`;
  });
}

const SHAPES = { 'one shape (MAC addresses)': learned, '16 shapes (prefixes, ports)': filtered } as const;

/** A table of each shape with so many flows, and one that no packet is for below all others. */
export function* workloads(counts: readonly number[]): Iterable<Workload> {
  for (const [shape, flows] of Object.entries(SHAPES))
    for (const count of counts) {
      const bare = new Bare();
      bare.port(0, '10.0.0.1/24');
      bare.port(1, '10.1.0.1/24');
      const bridge = new OpenFlowBridge(bare.root, 'br0', {
        packetIn: () => {},
        flowRemoved: () => {},
        portChanged: () => {},
      });
      for (const port of ['eth0', 'eth1']) bridge.addPort(bare.root.links.require(port));
      const mods = [...flows(count), 'priority=0,actions=drop'].map((text) => ({
        ...parseFlow(text),
        command: 'add' as const,
        bufferId: OFP_NO_BUFFER,
        outGroup: RESERVED_PORTS.ANY,
      }));
      const start = process.cpuUsage();
      for (const mod of mods) bridge.pipeline.flowMod(mod);
      const { user, system } = process.cpuUsage(start);
      const added = (1000 * (user + system)) / mods.length;
      const frames = Array.from({ length: Math.min(FRAMES, count) }, (_, i) => {
        const which = (i * 7_919) % count;
        const dst = formatIp4(BASE + which * 128);
        return datagram({ src: '172.16.0.1', dst, srcPort: 1000, dstPort: 9, size: 64 }, macOf(which));
      });
      yield { name: `${shape}, ${count.toLocaleString('en')} flows`, bare, frames, added };
    }
}
