import fc from 'fast-check';
import { setU16, u16 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import {
  decodeGre,
  ETHERTYPE_TEB,
  greLength,
  PROTO_GRE,
  PROTO_IPIP,
  writeGre,
} from '../../../protocols/gre.ts';
import { encodeIcmpError } from '../../../protocols/icmp.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import {
  fragmentIpv4,
  IPV4_HLEN,
  ipDst,
  ipHeaderLength,
  ipProto,
  ipSrc,
  PROTO_ICMP,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import { frameOf, NEIGHBOR_MAC, type Out, ROUTER_MAC } from '../../support/router.ts';
import { type Drawn, drawnPacket, framesOf } from './packets.ts';
import { PACKET_ID, settleIpId } from './settle.ts';
import { guestTestWith, runs } from './suite.ts';
import { Twin } from './twin.ts';

const guestTest = guestTestWith();
const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const SENDERS = 0;
const UNDERLAY = 1;
const TUNNEL_MAC = 0x0200_0000_0050;

type Kind = 'ipip' | 'gre' | 'gretap';

interface Tunnel {
  readonly kind: Kind;
  readonly remote: string;
  readonly local: string;
  readonly ttl: string;
  readonly pmtudisc: string;
  readonly key: string;
  readonly flags: string;
  readonly mtu: string;
}

const tunnel = fc
  .record<Tunnel>({
    kind: one<Kind>('ipip', 'ipip', 'gre', 'gre', 'gretap'),
    remote: one('10.0.0.2', '10.0.0.2', '10.0.9.4', 'any'),
    local: one('10.0.0.1', '10.0.0.1', 'any'),
    ttl: one('', 'inherit', '7', '64', '255'),
    pmtudisc: one('', '', 'pmtudisc', 'nopmtudisc'),
    key: one('', '', 'key 7', 'key 1.2.3.4'),
    flags: one('', '', '', 'csum', 'seq', 'csum seq'),
    mtu: one('', '', '', 'mtu 1400', 'mtu 600'),
    // Between any ends there are tunl0, gre0 and gretap0 of Linux' own.
  })
  .map((drawn) => (drawn.remote === 'any' ? { ...drawn, local: '10.0.0.1' } : drawn));

function linkAdd(name: string, { kind, remote, local, ttl, pmtudisc, key, flags, mtu }: Tunnel): string {
  const gre = kind === 'ipip' ? '' : `${key} ${flags}`;
  const mac = kind === 'gretap' ? `address ${name === 't0' ? '02:00:00:00:00:50' : '02:00:00:00:00:51'}` : '';
  const words = `type ${kind} remote ${remote} local ${local} ${ttl === '' ? '' : `ttl ${ttl}`} ${pmtudisc} ${gre}`;
  return `ip link add ${name} ${mtu} ${mac} ${words}`.replaceAll(/ +/g, ' ').trim();
}

/** Senders are behind p0, the tunnels' ends behind p1; 10.2.0.0/16 is beyond the tunnel. */
function setUp(given: Tunnel): string[] {
  const nbma = given.remote === 'any' && given.kind !== 'gretap';
  return [
    'ip addr add 10.1.1.1/24 dev p0',
    'ip addr add 10.0.0.1/24 dev p1',
    ...[2, 3].flatMap((n) => [
      `ip neigh add 10.1.1.${n} lladdr 02:00:00:00:00:02 dev p0 nud permanent`,
      `ip neigh add 10.0.0.${n} lladdr 02:00:00:00:00:02 dev p1 nud permanent`,
    ]),
    'ip route add 10.0.9.0/24 via 10.0.0.2',
    'ip route add 10.9.0.0/16 via 10.1.1.2',
    // Linux limits how often it says that there is no route, by buckets that a namespace cannot set.
    'ip route add blackhole 10.2.0.0/16 metric 999',
    'ip route add blackhole 192.168.7.0/24 metric 999',
    // Both protocols are known from now on.
    'ip link add x0 type ipip remote 10.99.0.1',
    'ip link add x1 type gre remote 10.99.0.1',
    linkAdd('t0', given),
    'ip addr add 192.168.7.1/24 dev t0',
    'ip link set t0 up',
    ...(given.kind === 'gretap'
      ? ['ip neigh add 192.168.7.2 lladdr 02:00:00:00:00:12 dev t0 nud permanent']
      : []),
    nbma
      ? 'ip route add 10.2.0.0/16 via 10.0.0.3 dev t0 onlink'
      : 'ip route add 10.2.0.0/16 via 192.168.7.2 dev t0',
  ];
}

interface Outer {
  readonly src: string;
  readonly dst: string;
  readonly tos: number;
  readonly ttl: number;
  /** What the tunnel's packets are, or what other ones are. */
  readonly kind: Kind;
  readonly type: number;
  readonly key: number | null;
  readonly checksum: 'right' | 'wrong' | 'none';
  readonly sequence: number | null;
  /** Of GRE: bits that no RFC has, or a version that is PPTP's. */
  readonly flags: number;
  readonly cut: number;
  readonly mtu: number;
  readonly inner: Drawn;
  readonly mac: number;
}

function outerArbitrary(tunnel: Tunnel): fc.Arbitrary<Outer> {
  const key = tunnel.key === '' || tunnel.kind === 'ipip' ? null : tunnel.key === 'key 7' ? 7 : 0x0102_0304;
  const [checksum, sequence] = [tunnel.flags.includes('csum'), tunnel.flags.includes('seq')];
  return fc.record<Outer>({
    src: one(
      tunnel.remote === 'any' ? '10.0.0.3' : tunnel.remote,
      tunnel.remote === 'any' ? '10.0.9.4' : tunnel.remote,
      '10.0.0.3',
    ),
    dst: one('10.0.0.1', '10.0.0.1', '10.0.0.1', '10.1.1.1'),
    tos: one(0, 0, 0x10, 1, 2, 3),
    ttl: one(64, 64, 1),
    kind: one<Kind>(tunnel.kind, tunnel.kind, tunnel.kind, tunnel.kind, 'ipip', 'gre'),
    type: one(ETHERTYPE_IPV4, ETHERTYPE_IPV4, ETHERTYPE_IPV4, 0x86dd, 0x88b5),
    key: one(key, key, key, key, null, 8),
    checksum: one(
      ...(checksum
        ? (['right', 'right', 'none', 'wrong'] as const)
        : (['none', 'none', 'none', 'right', 'wrong'] as const)),
    ),
    sequence: sequence ? one(null, 0, 1, 2, 3, 3, 9) : one(null, null, null, 5),
    flags: one(0, 0, 0, 0, 0, 0, 0, 0x4000, 0x0001, 0x0008, 0x0800),
    cut: one(0, 0, 0, 0, 0, 3, 20, 40),
    mtu: one(0, 0, 0, 0, 200),
    inner: drawnPacket({
      ports: 1,
      src: ['10.2.0.5', '10.2.0.6', '192.168.7.2', '10.1.1.2'].map(ip),
      dst: ['10.9.0.1', '10.1.1.2', '192.168.7.1', '10.2.0.9', '10.0.0.1'].map(ip),
    }),
    mac: one(TUNNEL_MAC, TUNNEL_MAC, TUNNEL_MAC, 0xffff_ffff_ffff, 0x0200_0000_0099),
  });
}

/** The frames of a packet that comes to the tunnel. */
function outerFrames(drawn: Outer): Uint8Array[] {
  const { src, dst, tos, ttl, kind, key, checksum, sequence, flags, cut, mtu } = drawn;
  const [innerFrame] = framesOf({ ...drawn.inner, mtu: 0 });
  const tap = kind === 'gretap';
  if (tap) writeEthernet(innerFrame!, drawn.mac, 0x0200_0000_0012, ETHERTYPE_IPV4);
  const inner = innerFrame!.subarray(tap ? 0 : ETH_HLEN);
  const header = {
    etherType: tap ? ETHERTYPE_TEB : drawn.type,
    checksum: checksum !== 'none',
    key,
    sequence,
  };
  const room = kind === 'ipip' ? 0 : greLength(header);
  const payload = new Uint8Array(room + inner.length);
  payload.set(inner, room);
  if (kind !== 'ipip') {
    writeGre(payload, 0, header);
    setU16(payload, 0, u16(payload, 0) ^ flags);
    if (checksum !== 'none') {
      setU16(payload, 4, 0);
      setU16(payload, 4, internetChecksum(payload, 0, payload.length) ^ (checksum === 'wrong' ? 1 : 0));
    }
  }
  const body = payload.subarray(0, Math.max(payload.length - cut, 0));
  const frame = new Uint8Array(ETH_HLEN + IPV4_HLEN + body.length);
  writeEthernet(frame, ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV4);
  const totalLength = IPV4_HLEN + body.length;
  writeIpv4Header(frame, ETH_HLEN, {
    ...{ src: ip(src), dst: ip(dst), proto: kind === 'ipip' ? PROTO_IPIP : PROTO_GRE, ttl, tos, totalLength },
    ...{ id: PACKET_ID, df: false },
  });
  frame.set(body, ETH_HLEN + IPV4_HLEN);
  if (mtu === 0 || totalLength <= mtu) return [frame];
  return fragmentIpv4(frame.subarray(ETH_HLEN), mtu).map((part) => {
    const piece = new Uint8Array(ETH_HLEN + part.length);
    piece.set(frame.subarray(0, ETH_HLEN));
    piece.set(part, ETH_HLEN);
    return piece;
  });
}

type Step =
  | { readonly kind: 'in'; readonly drawn: Drawn }
  | { readonly kind: 'out'; readonly outer: Outer }
  | {
      readonly kind: 'error';
      readonly type: number;
      readonly code: number;
      readonly extra: number;
      readonly size: number;
    }
  | string;

const step = (tunnel: Tunnel): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .record({
          packet: drawnPacket({
            ports: 1,
            src: ['10.1.1.2', '10.1.1.3', '10.9.0.1'].map(ip),
            dst: ['10.2.0.5', '10.2.0.6', '192.168.7.2', '10.2.0.5'].map(ip),
          }),
          size: one(0, 20, 500, 1_380, 1_430, 1_440, 1_452, 1_472),
        })
        .map(
          ({ packet, size }): Step => ({
            kind: 'in',
            drawn: { ...packet, port: SENDERS, size: Math.min(size, 1_452) },
          }),
        ),
    },
    { weight: 8, arbitrary: outerArbitrary(tunnel).map((outer): Step => ({ kind: 'out', outer })) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('error' as const),
        type: one(3, 3, 3, 11),
        code: one(0, 1, 3, 4, 4),
        extra: one(0, 1_300, 1_400, 500, 300),
        size: one(8, 28, 60, 500),
      }),
    },
    {
      weight: 1,
      arbitrary: one(
        'ip link set t0 down',
        'ip link set t0 up',
        'ip link set t0 mtu 1300',
        'ip link set p1 mtu 1400',
      ),
    },
  );

/** An error about what went out last. */
function errorAbout(
  { frame }: Out,
  { type, code, extra, size }: Extract<Step, { kind: 'error' }>,
): Uint8Array {
  const length = Math.min(frame.length - ETH_HLEN, IPV4_HLEN + size);
  const message = encodeIcmpError(
    type,
    type === 11 ? 0 : code,
    type === 3 && code === 4 ? extra : 0,
    frame,
    ETH_HLEN,
    length,
  );
  return frameOf(ipDst(frame, ETH_HLEN), ipSrc(frame, ETH_HLEN), PROTO_ICMP, message, PACKET_ID);
}

/** IP ids of what is within as well, and the checksum of GRE over it once it has been found right. */
function settleTunnels(frame: Uint8Array): void {
  if (frame.length < ETH_HLEN + IPV4_HLEN || u16(frame, 12) !== ETHERTYPE_IPV4) return;
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const proto = ipProto(frame, ETH_HLEN);
  if (proto === PROTO_IPIP) settlePacket(frame, at);
  const gre = proto === PROTO_GRE ? decodeGre(frame, at, frame.length - at) : null;
  if (gre?.checksum === true) setU16(frame, at + 4, 0);
  if (gre?.etherType === ETHERTYPE_TEB) settleIpId(frame.subarray(gre.payloadOffset));
  else if (gre?.etherType === ETHERTYPE_IPV4) settlePacket(frame, gre.payloadOffset);
  settleIpId(frame);
}

function settlePacket(frame: Uint8Array, at: number): void {
  const inner = new Uint8Array(ETH_HLEN + frame.length - at);
  inner.set(frame.subarray(at), ETH_HLEN);
  setU16(inner, 12, ETHERTYPE_IPV4);
  settleIpId(inner);
  frame.set(inner.subarray(ETH_HLEN), at);
}

function ofTunnel(text: string): string {
  return text
    .replaceAll(/^\d+: /gm, '')
    .replaceAll(/ (qlen|qdisc|numrxqueues|addrgenmode) \S+/g, '')
    .replaceAll(/ state \S+/g, '')
    .replaceAll(/ +/g, ' ')
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

guestTest('tunnels of IP in IP and GRE send, take apart and err as in Linux', async (t, guest) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      tunnel.chain((given) =>
        fc.record({
          given: fc.constant(given),
          others: fc.array(tunnel, { maxLength: 2 }),
          steps: fc.array(step(given), { minLength: 12, maxLength: 35, size: 'max' }),
        }),
      ),
      async ({ given, others, steps }) => {
        const nopmtudisc = given.kind === 'ipip' && given.pmtudisc === 'nopmtudisc' && /\d/.test(given.ttl);
        const shape = nopmtudisc ? { ...given, pmtudisc: '' } : given;
        const twin = await Twin.start([{ name: 'p0' }, { name: 'p1' }], setUp(shape), { guest });
        twin.settle = settleTunnels;
        try {
          await twin.all(others.map((other, i) => linkAdd(`u${i}`, other)));
          await twin.all(others.map((_, i) => `ip link set u${i} up`));
          await twin.same('ip -d link show t0', ofTunnel);
          let last: Out | undefined;
          for (const each of steps) {
            if (typeof each === 'string') await twin.all([each]);
            else if (each.kind === 'error') {
              if (last !== undefined) await twin.send(UNDERLAY, errorAbout(last, each), 'error');
            } else if (each.kind === 'out') {
              for (const frame of outerFrames(each.outer))
                await twin.send(UNDERLAY, frame, `outer ${JSON.stringify({ ...each.outer, inner: 0 })}`);
            } else {
              const told = `${formatIp4(each.drawn.src)} > ${formatIp4(each.drawn.dst)} size ${each.drawn.size}`;
              for (const frame of framesOf(each.drawn))
                for (const out of await twin.send(SENDERS, frame, told))
                  if (out.port === UNDERLAY) last = out;
            }
          }
          await twin.same('ip -d link show t0', ofTunnel);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(4, 3),
  );
  t.pass();
});
