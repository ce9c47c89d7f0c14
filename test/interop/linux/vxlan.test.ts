import fc from 'fast-check';
import { formatMac } from '../../../protocols/mac.ts';
import { vlanProtocol } from '../../../protocols/vlan.ts';
import { settleVxlan, vxlanKind, vxlanRows } from './settle.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';
import { fragmentationNeeded, MACS, stationFrames, tunnelFrames } from './vxlan-frames.ts';

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));

const PORTS = [{ name: 'p0', mac: 0x0200_0000_00a0 }, { name: 'u0' }];
const UNDERLAY = [
  'ip addr add 10.0.0.1/24 dev u0',
  ...[2, 3, 9].map((n) => `ip neigh add 10.0.0.${n} lladdr 02:00:00:00:00:02 dev u0 nud permanent`),
  'ip route add 10.0.9.0/24 via 10.0.0.9',
];

const SOURCE_PORTS = one('', '', 'srcport 4000 4100', 'srcport 5000 5000');
const settings = join(
  one('local 10.0.0.1', 'local 10.0.0.1', 'local 10.0.0.1', '', 'local 10.0.0.99'),
  one('', '', 'remote 10.0.0.2', 'remote 10.0.9.4', 'remote 10.0.0.1'),
  one('', '', 'dev u0'),
  one('', 'nolearning'),
  one('', '', 'proxy'),
  one('', '', 'l2miss l3miss'),
  one('', '', 'ttl inherit', 'ttl 9', 'ttl auto'),
  one('', '', 'tos inherit', 'tos 0x10', 'tos b8', 'tos 0x03'),
  one('', '', 'df set', 'df inherit', 'df unset'),
  one('', 'udpcsum', 'noudpcsum'),
  one('', '', 'ageing 100'),
);

const mac = one(...MACS.map(formatMac), '00:00:00:00:00:00', '01:00:5e:01:02:03', '00:00:00:00:00:00');
const vtep = one('10.0.0.2', '10.0.0.3', '10.0.9.4', '10.0.0.1', '0.0.0.0', '10.8.0.1');
const row = fc.oneof(
  {
    weight: 4,
    arbitrary: join(
      one('add', 'append', 'append', 'replace').map((verb) => `bridge fdb ${verb}`),
      mac,
      one('dev vx0'),
      vtep.map((dst) => `dst ${dst}`),
      one('', '', 'via u0'),
      one('', 'static', 'permanent', 'dynamic'),
    ),
  },
  {
    weight: 1,
    arbitrary: join(one('bridge fdb del'), mac, one('dev vx0'), one('', 'dst 10.0.0.2', 'dst 10.0.0.3')),
  },
);
const change = fc.oneof(
  { weight: 6, arbitrary: row },
  {
    weight: 1,
    arbitrary: one(
      'ip link set u0 mtu 1000',
      'ip link set u0 mtu 1400',
      'ip link set vx0 mtu 1450',
      'ip link set vx0 mtu 1500',
      'ip link set vx0 mtu 60',
      'ip link set vx0 down',
      'ip link set vx0 up',
      'ip route replace 10.0.9.0/24 via 10.0.0.3',
      'ip route replace blackhole 10.0.9.0/24',
      'sysctl -w net.ipv4.ip_default_ttl=33',
    ),
  },
  {
    weight: 1,
    arbitrary: join(
      one('ip neigh replace'),
      one('10.1.0.12', '10.1.0.13'),
      one(...MACS.map((value) => `lladdr ${formatMac(value)}`)),
      one('dev vx0 nud permanent'),
    ),
  },
);

const step = fc.oneof(
  { weight: 6, arbitrary: stationFrames.map((frames) => ({ port: 0, frames })) },
  { weight: 6, arbitrary: tunnelFrames.map((frames) => ({ port: 1, frames })) },
  { weight: 1, arbitrary: fragmentationNeeded.map((frames) => ({ port: 1, frames })) },
  { weight: 2, arbitrary: change.map((command) => ({ command })) },
);

/** Where the device is: a port of a bridge with or without an address, or with one of its own as flannel.1 is. */
const PLACES = {
  bridge: [
    'ip link add name br0 address 02:00:00:00:00:60 type bridge mcast_snooping 0',
    'ip link set p0 master br0',
    'ip link set vx0 master br0',
    'ip link set br0 up',
  ],
  gateway: [
    'ip link add name br0 address 02:00:00:00:00:60 type bridge mcast_snooping 0',
    'ip link set p0 master br0',
    'ip link set vx0 master br0',
    'ip addr add 10.1.0.1/24 dev br0',
    'ip link set br0 up',
    ...[11, 12, 13].map((n) => `ip neigh add 10.1.0.${n} lladdr 02:00:00:00:00:${n} dev br0 nud permanent`),
  ],
  flannel: [
    'ip addr add 10.1.0.1/32 dev vx0',
    'ip addr add 10.1.1.1/24 dev p0',
    'ip neigh add 10.1.0.13 lladdr 02:00:00:00:00:13 dev vx0 nud permanent',
    'ip neigh add 10.1.0.12 lladdr 02:00:00:00:00:12 dev vx0 nud permanent',
    'ip neigh add 10.1.1.11 lladdr 02:00:00:00:00:11 dev p0 nud permanent',
    'ip route add 10.1.0.11/32 via 10.1.1.11 dev p0',
    'ip route add 10.1.0.12/32 via 10.1.0.12 dev vx0 onlink',
    'ip route add 10.1.0.13/32 via 10.1.0.13 dev vx0 onlink',
    'bridge fdb append 02:00:00:00:00:12 dev vx0 dst 10.0.0.2',
    'bridge fdb append 02:00:00:00:00:13 dev vx0 dst 10.0.9.4',
  ],
} as const;

linuxTest('VXLAN devices send, learn and take apart as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      settings,
      SOURCE_PORTS,
      one<keyof typeof PLACES>('bridge', 'bridge', 'gateway', 'flannel'),
      fc.array(row, { maxLength: 5 }),
      fc.array(step, { minLength: 8, maxLength: 25, size: 'max' }),
      async (given, sourcePorts, place, rows, steps) => {
        const words = suited(given, place);
        const twin = await Twin.start(PORTS, [
          ...UNDERLAY,
          `ip link add vx0 address 02:00:00:00:00:50 type vxlan id 42 dstport 4789 ${words} ${sourcePorts}`,
          ...PLACES[place].filter(
            (command) => !command.startsWith('ip route') && !command.startsWith('ip neigh'),
          ),
          'ip link set vx0 up',
          ...PLACES[place].filter((command) => command.startsWith('ip neigh')),
          ...PLACES[place].filter((command) => command.startsWith('ip route')),
        ]);
        twin.settle = settleVxlan(sourcePorts.includes('4000') ? [4000, 4100] : [32_768, 60_999]);
        try {
          await twin.all(rows.map((command) => suited(command, place)));
          await twin.same('ip -d link show vx0', vxlanKind);
          for (const next of steps) {
            if ('command' in next) await twin.all([suited(next.command, place)]);
            else if (!(next.frames.some(isTagged) && bypasses(twin)))
              for (const frame of next.frames) await twin.send(next.port, frame);
          }
          await twin.same('bridge fdb show dev vx0', vxlanRows);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(10, 3),
  );
  t.pass();
});

/** Linux takes a group frame that a VTEP of the same host gave it for one to itself: no router is set before one. */
function suited(command: string, place: keyof typeof PLACES): string {
  return place === 'gateway' ? command.replace(/(remote|dst) 10\.0\.0\.1\b/, '$1 10.0.0.2') : command;
}

/** Linux 6.18 writes the tag of a frame that a VTEP of the same host is given 2 bytes into what it is to stand before. */
function bypasses({ ours }: Twin): boolean {
  return ours.root.fdb().some(({ dst }) => dst === '10.0.0.1' || dst === '127.0.0.1');
}

function isTagged(frame: Uint8Array): boolean {
  return vlanProtocol(frame) !== null;
}
