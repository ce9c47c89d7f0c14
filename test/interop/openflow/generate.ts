import fc from 'fast-check';
import { setU16, setU32 } from '../../../protocols/bytes.ts';
import {
  ETH_HLEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  writeEthernet,
} from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { PROTO_TCP, PROTO_UDP, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { parseMac } from '../../../protocols/mac.ts';
import { encodeTcp } from '../../../protocols/tcp/segment.ts';
import { UDP_HLEN, writeUdp } from '../../../protocols/udp.ts';
import { tagged } from '../../../protocols/vlan.ts';

const HOSTS = [1, 2, 3] as const;
const host = fc.constantFrom(...HOSTS);
const mac = (n: number) => `02:00:00:00:00:0${n}`;
const ip = (n: number) => parseIp4(`10.0.${n}.1`) ?? 0;
const PORTS = [53, 80] as const;
const l4 = fc.constantFrom(...PORTS);
const port = fc.constantFrom(1, 2, 3);

/** Matches of which packets below meet some, in the words of ovs-ofctl, with what may be set in a packet that they take. */
const match = fc.oneof(
  fc.constant({ text: '', sets: [] }),
  port.map((n) => ({ text: `in_port=${n}`, sets: [] })),
  fc.constant({ text: 'in_port=LOCAL', sets: [] }),
  host.map((n) => ({ text: `dl_src=${mac(n)}`, sets: [] })),
  host.map((n) => ({ text: `dl_dst=${mac(n)}`, sets: [] })),
  fc.constant({ text: 'dl_dst=01:00:00:00:00:00/01:00:00:00:00:00', sets: [] }),
  fc.constantFrom('dl_vlan=5', 'dl_vlan=5,dl_vlan_pcp=3', 'vlan_vid=0x1000/0x1000').map((text) => ({
    text,
    sets: ['pop_vlan', 'set_field:4102->vlan_vid', 'set_field:2->vlan_pcp'],
  })),
  fc.constant({ text: 'dl_vlan=0xffff', sets: [] }),
  fc.constantFrom('arp', 'arp,arp_op=1', 'arp,arp_tpa=10.0.2.1', 'arp,arp_spa=10.0.0.0/16').map((text) => ({
    text,
    sets: ['set_field:2->arp_op', 'set_field:10.0.3.9->arp_tpa', 'set_field:02:00:00:00:00:09->arp_sha'],
  })),
  fc.constantFrom('ipv6', 'ipv6,ipv6_dst=2001:db8::/32', 'ipv6,ipv6_src=2001:db8::1').map((text) => ({
    text,
    sets: ['dec_ttl', 'mod_nw_ttl:9', 'set_field:2001:db8::9->ipv6_dst', 'set_field:10->ip_dscp'],
  })),
  fc
    .oneof(
      fc.constantFrom('ip', 'icmp', 'ip,nw_tos=32'),
      host.map((n) => `ip,nw_dst=10.0.${n}.1`),
      host.map((n) => `ip,nw_src=10.0.${n}.0/24`),
      fc.constant('ip,nw_dst=10.0.0.1/255.255.0.255'),
    )
    .map((text) => ({
      text,
      sets: [
        'dec_ttl',
        'mod_nw_ttl:9',
        'set_field:10->ip_dscp',
        'set_field:1->nw_ecn',
        'set_field:10.0.9.9->ip_dst',
        'set_field:10.0.8.8->ip_src',
      ],
    })),
  l4.map((n) => ({ text: `tcp,tp_dst=${n}`, sets: ['set_field:99->tcp_dst', 'set_field:10.0.9.9->ip_dst'] })),
  l4.map((n) => ({ text: `udp,tp_src=${n}`, sets: ['set_field:99->udp_src', 'set_field:10.0.9.9->ip_src'] })),
);

const GROUPS = [1, 2, 3] as const;
const SETS = ['set_field:02:00:00:00:00:09->eth_dst', 'set_field:02:00:00:00:00:08->eth_src'];
const output = fc.oneof(
  { weight: 6, arbitrary: port.map((n) => `output:${n}`) },
  fc.constantFrom('in_port', 'all', 'flood', 'local', 'normal', 'controller', 'controller:20'),
);

function action(sets: readonly string[], groups: 'groups' | 'none'): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: output },
    { weight: 3, arbitrary: fc.constantFrom(...SETS, ...sets) },
    { weight: groups === 'groups' ? 2 : 0, arbitrary: fc.constantFrom(...GROUPS.map((n) => `group:${n}`)) },
  );
}

/** Where tags are pushed, each once: Open vSwitch keeps no more than two of a packet. */
type Pushes = 'apply' | 'write' | 'bucket';
const PUSH = 'push_vlan:0x8100,set_field:4103->vlan_vid';
const push = (isHere: boolean) => fc.constantFrom<readonly string[]>([], isHere ? [PUSH] : []);

/** What a table does with what it takes; those before the last may go on. */
function actions(sets: readonly string[], table: number, pushes: Pushes): fc.Arbitrary<string> {
  const some = fc
    .tuple(push(pushes === 'apply' && table === 0), fc.array(action(sets, 'groups'), { maxLength: 4 }))
    .map((words) => words.flat());
  const written = fc
    .tuple(push(pushes === 'write'), fc.array(action([], 'groups'), { minLength: 1, maxLength: 3 }))
    .map((words) => words.flat());
  return fc
    .record({
      applied: some,
      cleared: fc.boolean(),
      written: fc.option(written, { freq: 2 }),
      metadata: fc.option(fc.constantFrom('0x1', '0x2/0x2', '0x3'), { freq: 3 }),
      next: table < 2 ? fc.option(fc.integer({ min: table + 1, max: 2 }), { freq: 3 }) : fc.constant(null),
    })
    .map(({ applied, cleared, written, metadata, next }) => {
      const words = [
        ...applied,
        ...(cleared ? ['clear_actions'] : []),
        ...(written === null ? [] : [`write_actions(${written.join(',')})`]),
        ...(metadata === null ? [] : [`write_metadata:${metadata}`]),
        ...(next === null ? [] : [`goto_table:${next}`]),
      ];
      return words.length === 0 ? 'drop' : words.join(',');
    });
}

const flow = (pushes: Pushes) =>
  fc
    .record({
      table: fc.constantFrom(0, 0, 0, 1, 2),
      match,
      metadata: fc.constantFrom('', '', 'metadata=1', 'metadata=2/2'),
    })
    .chain(({ table, match: { text, sets }, metadata }) =>
      actions(sets, table, pushes).map((done) => {
        const words = [
          `table=${table}`,
          ...[text, table === 0 ? '' : metadata].filter((word) => word !== ''),
        ];
        return `${words.join(',')},actions=${done}`;
      }),
    );

/** No two of the same priority in a table: which of them takes a packet is nobody's to say. */
const flows = (pushes: Pushes) =>
  fc
    .array(flow(pushes), { minLength: 1, maxLength: 12 })
    .map((texts) => texts.map((text, i) => `cookie=${i + 1},priority=${100 - i},${text}`));

const bucketOf = (pushes: Pushes) => (extra: string) =>
  fc
    .tuple(push(pushes === 'bucket'), fc.array(action([], 'none'), { minLength: 1, maxLength: 3 }))
    .map((words) => `bucket=${extra}${words.flat().join(',')}`);

/** A group of each kind; one by weight has a single bucket that counts, since nobody says how shares fall. */
const groups = (pushes: Pushes) => {
  const bucket = bucketOf(pushes);
  return fc
    .tuple(
      fc.array(bucket(''), { maxLength: 3 }),
      fc.tuple(bucket('weight:5,'), bucket('weight:0,')),
      fc.tuple(
        port.chain((n) => bucket(`watch_port:${n},`)),
        port.chain((n) => bucket(`watch_port:${n},`)),
        bucket('watch_group:2,'),
      ),
    )
    .map(([all, select, ff]) => [
      ['group_id=1,type=all', ...all].join(','),
      ['group_id=2,type=select', ...select].join(','),
      ['group_id=3,type=ff', ...ff].join(','),
    ]);
};

/** Groups, and flows that use them. */
export const tables = fc
  .constantFrom<Pushes>('apply', 'write', 'bucket')
  .chain((pushes) => fc.record({ groups: groups(pushes), flows: flows(pushes) }));

/** A frame, and the port that it comes in by. */
export const packet = fc
  .record({
    inPort: fc.constantFrom(1, 2, 3, 0xfffffffe),
    kind: fc.constantFrom('tcp', 'udp', 'icmp', 'arp', 'ipv6', 'lldp'),
    src: host,
    dst: host,
    isBroadcast: fc.boolean(),
    vlan: fc.constantFrom(0, 0, 5, 6),
    pcp: fc.constantFrom(0, 3),
    ttl: fc.constantFrom(1, 2, 64),
    tos: fc.constantFrom(0, 32, 0x29),
    srcPort: l4,
    dstPort: l4,
  })
  // Nobody sends to itself: of a packet-out Open vSwitch learns after it has looked.
  .filter(({ src, dst }) => src !== dst)
  .map((one) => ({ inPort: one.inPort, frame: frameOf(one) }));

/** A frame of one of the hosts to another, or to all. */
export function frameOf(one: Packet): Uint8Array {
  const { kind, src, dst, isBroadcast = false, vlan = 0, pcp = 0 } = one;
  const frame =
    kind === 'arp' ? arp(src, dst) : kind === 'ipv6' ? ipv6(one) : kind === 'lldp' ? lldp() : ipv4(one);
  const to = isBroadcast ? 0xffffffffffff : (parseMac(mac(dst)) ?? 0);
  const type = (frame[12]! << 8) | frame[13]!;
  writeEthernet(frame, to, parseMac(mac(src)) ?? 0, type);
  return vlan === 0 ? frame : tagged(frame, 0x8100, vlan, pcp);
}

export interface Packet extends Ip {
  readonly isBroadcast?: boolean;
  /** 0: no tag. */
  readonly vlan?: number;
  readonly pcp?: number;
}

interface Ip {
  readonly kind: string;
  readonly src: number;
  readonly dst: number;
  readonly ttl: number;
  readonly tos: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

function ipv4({ kind, src, dst, ttl, tos, srcPort, dstPort }: Ip): Uint8Array {
  const payload = new Uint8Array(30).fill(7);
  const [from, to] = [ip(src), ip(dst)];
  const options = { ttl, tos };
  if (kind === 'icmp') {
    const echo = Uint8Array.of(8, 0, 0xf7, 0xfd, 0, 1, 0, 1);
    return ipFrame(from, to, 1, echo, options);
  }
  if (kind === 'udp') {
    const datagram = new Uint8Array(UDP_HLEN + payload.length);
    datagram.set(payload, UDP_HLEN);
    writeUdp(datagram, 0, from, to, srcPort, dstPort, payload.length, { checksum: 'compute' });
    return ipFrame(from, to, PROTO_UDP, datagram, options);
  }
  const segment = { srcPort, dstPort, seq: 1, ack: 0, flags: 2, window: 1000, urgent: 0, payload };
  return ipFrame(from, to, PROTO_TCP, encodeTcp(segment, from, to), options);
}

function ipFrame(
  src: number,
  dst: number,
  proto: number,
  payload: Uint8Array,
  options: { readonly ttl: number; readonly tos: number },
): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + 20 + payload.length);
  setU16(frame, 12, ETHERTYPE_IPV4);
  const totalLength = 20 + payload.length;
  writeIpv4Header(frame, ETH_HLEN, { src, dst, proto, totalLength, id: 1, df: true, ...options });
  frame.set(payload, ETH_HLEN + 20);
  return frame;
}

function arp(src: number, dst: number): Uint8Array {
  const frame = new Uint8Array(60);
  setU16(frame, 12, ETHERTYPE_ARP);
  frame.set([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, src], 14);
  setU32(frame, 28, ip(src));
  setU32(frame, 38, ip(dst));
  return frame;
}

function ipv6({ src, dst, ttl, tos }: Ip): Uint8Array {
  const frame = new Uint8Array(70);
  setU16(frame, 12, ETHERTYPE_IPV6);
  setU32(frame, 14, ((6 << 28) | (tos << 20)) >>> 0);
  setU16(frame, 18, 16);
  // No next header.
  frame[20] = 59;
  frame[21] = ttl;
  frame.set([0x20, 1, 0x0d, 0xb8], 22);
  frame[37] = src;
  frame.set([0x20, 1, 0x0d, dst === 3 ? 0xb9 : 0xb8], 38);
  frame[53] = dst;
  return frame;
}

function lldp(): Uint8Array {
  const frame = new Uint8Array(60);
  setU16(frame, 12, 0x88cc);
  return frame;
}
