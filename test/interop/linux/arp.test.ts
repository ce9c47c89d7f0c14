import fc from 'fast-check';
import { ARP_LEN, encodeArp } from '../../../protocols/arp.ts';
import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, writeEthernet } from '../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { BROADCAST_MAC, formatMac } from '../../../protocols/mac.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../support/router.ts';
import { type Drawn, framesOf } from './packets.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const DEVICES = ['v0', 'w0', 'x0'];

/** Nothing happens in Linux because of time alone. */
const TIMELESS = DEVICES.flatMap((dev) =>
  ['base_reachable_time_ms=3600000', 'retrans_time_ms=3600000', 'delay_first_probe_time=3600'].map(
    (value) => `sysctl -qw net.ipv4.neigh.${dev}.${value}`,
  ),
);

const SET_UP = [
  // Redirects are so many a time.
  ...['all', ...DEVICES].map((dev) => `sysctl -w net.ipv4.conf.${dev}.send_redirects=0`),
  'ip addr add 10.0.1.1/24 dev v0',
  'ip addr add 10.0.1.77/24 dev v0',
  'ip addr add 10.0.1.129/25 dev v0',
  'ip addr add 10.0.2.1/24 dev w0',
  'ip addr add 10.0.3.1/24 dev x0',
  'ip addr add 10.9.9.9/32 dev lo',
  'ip route add 10.7.0.0/16 via 10.0.2.9',
  'ip route add 10.8.0.0/16 via 10.0.1.9',
  'ip route add blackhole 10.6.0.0/16',
];

const settings = fc
  .tuple(
    one('v0', 'w0', 'all'),
    fc.oneof(
      one('arp_ignore=1', 'arp_ignore=2', 'arp_ignore=3', 'arp_ignore=8', 'arp_announce=1', 'arp_announce=2'),
      one('arp_accept=1', 'arp_accept=2', 'arp_filter=1', 'proxy_arp=1', 'proxy_arp_pvlan=1'),
      one('drop_gratuitous_arp=1', 'rp_filter=1', 'rp_filter=2', 'accept_local=1', 'route_localnet=1'),
      one('forwarding=0', 'proxy_arp=1', 'arp_accept=1'),
    ),
  )
  .map(([dev, setting]) => `sysctl -w net.ipv4.conf.${dev}.${setting}`);

const ADDRESSES = [
  ...['10.0.1.2', '10.0.1.3', '10.0.1.9', '10.0.1.200', '10.0.2.2', '10.0.2.9', '10.0.3.3'],
  ...['10.0.1.1', '10.0.1.77', '10.0.1.129', '10.0.2.1', '10.9.9.9', '10.7.1.1', '10.8.1.1', '10.6.1.1'],
  ...['0.0.0.0', '255.255.255.255', '10.0.1.255', '127.0.0.1', '224.0.0.1', '172.16.0.1'],
].map(ip);
const MACS = [NEIGHBOR_MAC, 0x0200_0000_0003, 0x0200_0000_0004, ROUTER_MAC];

const arp = fc
  .record({
    port: fc.nat(1),
    dst: one(BROADCAST_MAC, BROADCAST_MAC, ROUTER_MAC, ROUTER_MAC, 0x0100_5e00_0001, 0x0200_0000_00ff),
    op: one(1, 1, 1, 2, 2, 3, 8, 0),
    sha: one(...MACS, ...MACS, BROADCAST_MAC),
    tha: one(0, ...MACS),
    spa: one(...ADDRESSES),
    tpa: one(...ADDRESSES),
    same: fc.nat(5),
    wrong: fc.oneof(
      { weight: 12, arbitrary: fc.constant(null) },
      {
        weight: 1,
        arbitrary: one<readonly [number, number]>(
          [0, 6],
          [0, 7],
          [2, 0x86dd],
          [4, 0x0604],
          [4, 0x0804],
          [4, 0x0606],
        ),
      },
    ),
    length: one(ARP_LEN, ARP_LEN, ARP_LEN, 46, 27, 8, 2),
  })
  .map(({ port, dst, op, sha, tha, spa, tpa, same, wrong, length }) => {
    const bytes = new Uint8Array(ETH_HLEN + Math.max(length, ARP_LEN));
    writeEthernet(bytes, dst, sha === BROADCAST_MAC ? NEIGHBOR_MAC : sha, ETHERTYPE_ARP);
    const gratuitous = same === 0;
    encodeArp(bytes, ETH_HLEN, { op, sha, spa, tha: same === 1 ? sha : tha, tpa: gratuitous ? spa : tpa });
    if (wrong !== null) setU16(bytes, ETH_HLEN + wrong[0], wrong[1]);
    const told = `ARP ${op} ${formatIp4(spa)} ${formatMac(sha)} > ${formatIp4(gratuitous ? spa : tpa)}`;
    return { kind: 'frames' as const, port, told, frames: [bytes.subarray(0, ETH_HLEN + length)] };
  });

const packet = fc
  .record({
    port: fc.nat(1),
    src: one('10.0.1.2', '10.0.1.3', '10.0.2.2', '10.7.1.1').map(ip),
    dst: one(
      '10.0.2.2',
      '10.0.2.3',
      '10.0.1.3',
      '10.0.1.1',
      '10.0.1.77',
      '10.0.2.1',
      '10.7.1.1',
      '10.8.0.1',
    ).map(ip),
    tos: one(0, 0x10),
  })
  .map(({ port, src, dst, tos }) => {
    const drawn: Drawn = {
      ...{ port, src, dst, proto: 1, srcPort: 1_000, dstPort: 1, flags: 0, size: 7, ttl: 64, tos, df: true },
      ...{ fault: 'none', mtu: 0 },
    };
    return {
      kind: 'frames' as const,
      port,
      told: `${formatIp4(src)} > ${formatIp4(dst)}`,
      frames: framesOf(drawn),
    };
  });

const command = fc.oneof(
  settings,
  fc
    .tuple(one('10.0.1.2', '10.0.1.3', '10.0.2.2', '10.0.2.9'), one('v0', 'w0'), one(...MACS), fc.boolean())
    .map(([addr, dev, mac, gone]) =>
      gone
        ? `ip neigh del ${addr} dev ${dev}`
        : `ip neigh replace ${addr} lladdr ${formatMac(mac)} dev ${dev}`,
    ),
  one(
    'ip addr del 10.0.1.77/24 dev v0',
    'ip addr add 10.0.1.77/24 dev v0',
    'ip addr add 10.0.2.77/24 dev w0',
  ),
);

const step = fc.oneof(
  { weight: 8, arbitrary: arp },
  { weight: 4, arbitrary: packet },
  { weight: 1, arbitrary: command.map((line) => ({ kind: 'command' as const, line })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'pause' as const }) },
);

linuxTest('hosts answer ARP, and know their neighbours, as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.array(settings, { maxLength: 4 }),
      one(0, 360_000),
      fc.array(step, { minLength: 8, maxLength: 25, size: 'max' }),
      async (made, locktime, steps) => {
        const twin = await Twin.start(
          DEVICES.map((name) => ({ name })),
          [
            ...SET_UP,
            ...DEVICES.flatMap((dev) => [
              `sysctl -w net.ipv4.neigh.${dev}.locktime=${locktime}`,
              `sysctl -w net.ipv4.neigh.${dev}.proxy_delay=0`,
            ]),
          ],
          { first: TIMELESS },
        );
        try {
          await twin.all(made);
          for (const given of steps) {
            if (given.kind === 'command') await twin.all([given.line]);
            else if (given.kind === 'pause') await twin.pause();
            else {
              // What comes in the same tick as what it contradicts is told apart by nobody.
              if (locktime === 0) await twin.pause();
              for (const frame of given.frames) await twin.send(given.port, frame, given.told);
            }
            await twin.same('ip neigh', (text) =>
              text
                .split('\n')
                .map((line) => line.trimEnd())
                .sort()
                .join('\n'),
            );
          }
        } finally {
          twin.stop();
        }
      },
    ),
    runs(10, 1),
  );
  t.pass();
});
