import { ETHERTYPE_IPV4 } from '../../../../protocols/ethernet.ts';
import { type GreHeader, greLength, PROTO_GRE, PROTO_IPIP, writeGre } from '../../../../protocols/gre.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show } from './case.ts';
import { icmpError, type Packet4, packet4 } from './frames4.ts';
import { ROUTER } from './router4.ts';
import { rest, type Upper, udp } from './transport.ts';

const REMOTE = '10.0.2.2';
const LOCAL = '10.0.2.1';

/** Senders are behind v0, the tunnel's other end behind w0, and 10.2.0.0/16 is beyond it. */
const tunnel = (type: string, ...others: readonly string[]): string[] => [
  ...ROUTER,
  ...others,
  `ip link add t0 type ${type}`,
  'ip addr add 192.168.7.1/24 dev t0',
  'ip link set t0 up',
  'ip route add 10.2.0.0/16 via 192.168.7.2 dev t0',
];
const IPIP = `ipip remote ${REMOTE} local ${LOCAL}`;
const GRE = `gre remote ${REMOTE} local ${LOCAL}`;

const into = (packet: Partial<Packet4> = {}): CaseStep =>
  send(0, packet4({ src: '10.0.1.2', dst: '10.2.0.5', upper: udp(1_000, 53), ...packet }));

/** A packet of 10.2.0.5 for a sender, from its IP header on. */
const inner = (packet: Partial<Packet4> = {}): Uint8Array =>
  packet4({ src: '10.2.0.5', dst: '10.0.1.2', upper: udp(53, 1_000), ...packet }).subarray(14);

const ipip = (payload: Uint8Array): Upper<number> => rest(PROTO_IPIP, payload);
function gre(payload: Uint8Array, header: Partial<GreHeader> = {}, flags = 0): Upper<number> {
  const whole: GreHeader = {
    etherType: ETHERTYPE_IPV4,
    checksum: false,
    key: null,
    sequence: null,
    ...header,
  };
  const bytes = new Uint8Array(greLength(whole) + payload.length);
  bytes.set(payload, greLength(whole));
  writeGre(bytes, 0, whole);
  bytes[1]! |= flags;
  return rest(PROTO_GRE, bytes);
}
const outer = (upper: Upper<number>, packet: Partial<Packet4> = {}): CaseStep =>
  send(1, packet4({ src: REMOTE, dst: LOCAL, upper, ...packet }));

/** An error about what the tunnel made of `packet`. */
function error(
  code: number,
  packet: Partial<Packet4>,
  wrap: (payload: Uint8Array) => Upper<number>,
  mtu = 0,
): CaseStep {
  const carried = inner({ src: '10.0.1.2', dst: '10.2.0.5', upper: udp(1_000, 53), ttl: 63, ...packet });
  const sent = packet4({ src: LOCAL, dst: REMOTE, upper: wrap(carried) });
  return outer(icmpError(3, code, sent, mtu));
}

const LONG = udp(1_000, 53, 900);

/** What once differed from Linux in `test/interop/linux/tunnels.test.ts`. */
export const tunnelCases: CaseGroup = {
  name: 'tunnels',
  kernel: 'guest',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'the outer packet has the ECN of the one within, but for a mark of congestion',
      setUp: tunnel(IPIP),
      steps: [0, 1, 2, 3, 0xb9].map((tos) => into({ tos })),
    },
    {
      name: 'congestion on the way is told to those who know of it, and drops what does not',
      setUp: tunnel(IPIP),
      steps: [0, 1, 2, 3].flatMap((tos) =>
        [0, 1, 2].map((within) => outer(ipip(inner({ tos: within })), { tos })),
      ),
    },
    {
      name: 'what no tunnel is for is refused as for a port, and as of a protocol where there is none',
      setUp: [...ROUTER],
      steps: [
        command(`ip link add t0 type ${GRE} key 7`),
        command('ip link add t1 type ipip remote 10.0.2.3'),
        // It is down.
        outer(gre(inner(), { key: 7 })),
        command('ip link set t0 up'),
        outer(gre(inner(), { key: 7 })),
        outer(gre(inner(), { key: 8 })),
        outer(gre(inner())),
        outer(ipip(inner())),
        outer(ipip(inner().subarray(0, 12))),
      ],
    },
    {
      name: 'GRE’s checksums and numbers are there as the tunnel has them, or the packet is dropped',
      setUp: tunnel(`${GRE} csum seq`),
      steps: [
        outer(gre(inner(), { checksum: true, sequence: 9 })),
        outer(gre(inner(), { checksum: true, sequence: 8 })),
        outer(gre(inner(), { checksum: true })),
        outer(gre(inner(), { sequence: 10 })),
        outer(gre(inner(), { checksum: true, sequence: 10 })),
        outer(gre(inner(), { checksum: true, sequence: 11 }, 8)),
        outer(gre(new Uint8Array(2))),
      ],
    },
    {
      name: 'after an error about a tunnel’s packet who sends the next one is told',
      setUp: tunnel(IPIP),
      steps: [into(), error(1, {}, ipip), error(3, {}, ipip), into(), into(), into()],
    },
    {
      name: 'of ports GRE’s errors tell nobody',
      setUp: tunnel(`${GRE} key 7`),
      steps: [
        error(3, {}, (payload) => gre(payload, { key: 7 })),
        into(),
        error(1, {}, (payload) => gre(payload, { key: 7 })),
        into(),
        into(),
      ],
    },
    {
      name: 'the way into a tunnel takes what its own takes',
      setUp: tunnel(IPIP),
      steps: [
        error(4, { upper: LONG }, ipip, 800),
        into({ upper: LONG }),
        into({ upper: LONG, df: false }),
        into({ upper: udp(1_000, 53, 700) }),
        error(4, { upper: LONG }, ipip, 300),
        into({ upper: LONG, df: false }),
        into({ upper: LONG }),
      ],
    },
    {
      name: '`ip -d link` of tunnels',
      setUp: [...ROUTER],
      steps: [
        `${IPIP} ttl 9`,
        'ipip local 10.0.1.1 nopmtudisc',
        `${GRE} key 7 csum seq`,
        `${GRE} nopmtudisc ttl 9`,
        `gretap remote ${REMOTE} key 1.2.3.4 seq`,
      ]
        .flatMap((type, i) => [
          command(
            `ip link add t${i} address 02:00:00:00:00:50 type ${type}`.replace(
              / address \S+(?= type (?!gretap))/,
              '',
            ),
          ),
          show(`ip -d link show t${i}`, ofTunnel),
        ])
        .concat(command('ip link add t9 type ipip remote 10.0.2.3 ttl 5 nopmtudisc')),
    },
  ],
};

/** Without numbers of links, and what the guest was built without. */
function ofTunnel(text: string): string {
  return text
    .replaceAll(/^\d+: | qdisc \S+| numrxqueues \d+| addrgenmode \S+| +$/gm, '')
    .replaceAll(/ +/g, ' ')
    .trim();
}
