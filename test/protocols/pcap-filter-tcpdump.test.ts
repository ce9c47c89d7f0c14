import { spawnSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { compileFilter } from '../../protocols/pcap-filter/parse.ts';
import { needing } from '../support/needs.ts';

/** The differential partner: libpcap's own compiler and interpreter. */
const TCPDUMP = 'tcpdump';

const be16 = (value: number) => [(value >> 8) & 0xff, value & 0xff];
const V4 = ['10.0.0.1', '10.0.0.2', '10.244.7.9', '224.0.0.5'].map((text) => text.split('.').map(Number));
/** 2001:db8::1, 2001:db8::2, fe80::1, ff02::1. */
const V6 = [
  [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 1],
  [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 2],
  [0xfe, 0x80, ...new Array(13).fill(0), 1],
  [0xff, 0x02, ...new Array(13).fill(0), 1],
];
const MACS = [
  [0x02, 0x42, 0, 0, 0, 1],
  [0x02, 0x42, 0, 0, 0, 2],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x33, 0x33, 0, 0, 0, 1],
];

const pick = <T>(values: readonly T[]) => fc.constantFrom(...values);
const payload = fc
  .tuple(
    pick([22, 80, 179, 8472]),
    pick([22, 80, 179, 40_000]),
    fc.uint8Array({ minLength: 60, maxLength: 90 }),
  )
  .map(([src, dst, rest]) => [...be16(src), ...be16(dst), ...rest]);
const upper = pick([1, 2, 4, 6, 6, 6, 17, 17, 41, 47, 50, 51, 58, 89, 103, 112, 132]);

const ipv4 = fc
  .tuple(pick(V4), pick(V4), upper, pick([0, 0, 0, 0x2000, 0x4000, 8]), pick([5, 5, 7]), payload)
  .map(([src, dst, proto, fragment, words, data]) => [
    0x40 | words,
    0,
    ...be16(words * 4 + data.length),
    0,
    1,
    ...be16(fragment),
    64,
    proto,
    0,
    0,
    ...src,
    ...dst,
    ...new Array((words - 5) * 4).fill(1),
    ...data,
  ]);
const ipv6 = fc
  .tuple(pick(V6), pick(V6), upper, pick(['plain', 'plain', 'fragment']), payload)
  .map(([src, dst, proto, form, data]) => [
    0x60,
    0,
    0,
    0,
    ...be16(data.length),
    form === 'plain' ? proto : 44,
    64,
    ...src,
    ...dst,
    ...(form === 'plain' ? [] : [proto, 0, 0, 1, 0, 0, 0, 1]),
    ...data,
  ]);
const arp = fc
  .tuple(pick([1, 2]), pick(V4), pick(V4))
  .map(([op, spa, tpa]) => [
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    op,
    ...MACS[0]!,
    ...spa,
    ...MACS[1]!,
    ...tpa,
    ...new Array(40).fill(0),
  ]);

const packet = fc.oneof(
  { weight: 4, arbitrary: ipv4.map((bytes) => ({ type: 0x0800, bytes })) },
  { weight: 3, arbitrary: ipv6.map((bytes) => ({ type: 0x86dd, bytes })) },
  arp.map((bytes) => ({ type: 0x0806, bytes })),
  arp.map((bytes) => ({ type: 0x8035, bytes })),
  fc.uint8Array({ minLength: 80, maxLength: 90 }).map((bytes) => ({ type: 0x88b5, bytes: [...bytes] })),
);
const frame = fc
  .tuple(pick(MACS), pick(MACS.slice(0, 2)), fc.array(pick([5, 100]), { maxLength: 2 }), packet)
  .map(([dst, src, vlans, { type, bytes }]) =>
    Uint8Array.from([
      ...dst,
      ...src,
      ...vlans.flatMap((vlan) => [0x81, 0, ...be16(vlan)]),
      ...be16(type),
      ...bytes,
    ]),
  );

/** Each frame at as many seconds as its number (a classic pcap file, LINKTYPE_ETHERNET). */
function pcapOf(frames: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(262_144, 16);
  head.writeUInt32LE(1, 20);
  return Buffer.concat([
    head,
    ...frames.flatMap((bytes, i) => {
      const record = Buffer.alloc(16);
      record.writeUInt32LE(i, 0);
      record.writeUInt32LE(bytes.length, 8);
      record.writeUInt32LE(bytes.length, 12);
      return [record, bytes];
    }),
  ]);
}

/** Numbers of the frames that tcpdump takes. */
function taken(pcap: Buffer, filter: string): number[] {
  const options = { input: pcap, maxBuffer: 64 * 1024 * 1024 };
  const {
    status,
    stdout: output,
    stderr,
  } = spawnSync(TCPDUMP, ['-n', '-r', '-', '-w', '-', filter], options);
  // What can be true of no frame is an error to it.
  if (String(stderr).includes('rejects all packets')) return [];
  if (status !== 0) throw new Error(`${filter}: ${String(stderr)}`);
  const numbers: number[] = [];
  for (let at = 24; at < output.length; at += 16 + output.readUInt32LE(at + 8))
    numbers.push(output.readUInt32LE(at));
  return numbers;
}

const FIXED = [
  'ip6',
  'icmp6',
  'arp',
  'rarp',
  'tcp',
  'udp',
  'sctp',
  'igmp',
  'esp',
  'ah',
  'pim',
  'vrrp',
  'icmp',
  'port 179',
  'tcp port 80',
  'sctp port 22',
  'udp src port 8472',
  'portrange 70-200',
  'ip6 and port 80',
  'host 2001:db8::1',
  'ip6 host fe80::1',
  'src 2001:db8::2',
  'dst host ff02::1',
  'net 2001:db8::/32',
  'net fe80::/10',
  'host 10.0.0.1',
  'arp host 10.0.0.1',
  'rarp host 10.0.0.1',
  'ip host 10.0.0.2',
  'net 10.244.0.0/16',
  'arp net 10.0.0.0/24',
  'ip proto gre',
  'ip proto 47',
  'ip proto ipencap',
  'ip6 proto 6',
  'proto 47',
  'proto 58',
  'proto 6',
  'ip6 proto 44',
  'ether proto 0x88b5',
  'ether proto 2054',
  'ether proto \\ip',
  'ether proto \\ip6',
  'ether proto \\arp',
  'ip proto \\tcp',
  'multicast',
  'ip multicast',
  'ip6 multicast',
  'ether multicast',
  'broadcast',
  'ether broadcast',
  'ether host 02:42:00:00:00:01',
  'ether dst 33:33:00:00:00:01',
  'tcp[tcpflags] & (tcp-syn) != 0',
  'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0',
  'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn',
  'tcp[13] == 2',
  'tcp[13]&2!=0',
  'tcp[13] & 7 = 0',
  '(tcp[12] & 0xf0) >> 2 > 20',
  'tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420',
  'icmp[icmptype] == 8',
  'icmp[icmptype] == icmp-echo or icmp[icmptype] == icmp-echoreply',
  'icmp[0] < 128',
  'icmp6[icmp6type] == icmp6-echo',
  'icmp6[0] > 20',
  'icmp[icmpcode] != 0',
  'ip[0] & 0xf != 5',
  'ip[6:2] & 0x1fff = 0',
  'ip[2:2] > 100',
  'ip[8] < 65',
  'ip6[6] = 58',
  'ip6[40] >= 0x80',
  'ether[0] & 1 = 1',
  'arp[6:2] = 1',
  'arp[7] = 2',
  'udp[4:2] < 1000',
  'ip[12:4] = 0x0a000001',
  'tcp[0:2] > tcp[2:2]',
  'ip and ip[9] = 6 and not tcp[13] & 4 != 0',
  'len > 120',
  'len - 14 < 100',
  'less 110',
  'greater 130',
  'len % 2 = 1',
  'len / 10 = 12',
  'tcp[1000] = 0',
  'not tcp[1000] = 0',
  'arp or not udp[95] = 3',
  'udp[80] != 0 or icmp',
  '0x10 < len',
  '1 + 2 * 3 = 7',
  '7 & 3 = 3',
  '1 | 2 & 4 = 1',
  'vlan',
  'vlan 5',
  'vlan 100 and tcp',
  'vlan and ip6',
  'vlan and vlan 5',
  'vlan and host 10.0.0.1',
  'not vlan',
  'vlan or arp',
  'vlan 5 or vlan 5',
  'vlan and ether host 02:42:00:00:00:01',
  'vlan and tcp[13] & 2 != 0',
  'vlan and port 80',
  'vlan and less 120',
  'vlan and ether proto 0x0806',
  'tcp port 22 or 80',
  'host 10.0.0.1 or 10.0.0.2',
  'src host 10.0.0.1 and not dst port 80',
  'arp or ip6 and port 80',
  '!(tcp or udp) && ip',
];

const atom = pick(
  FIXED.filter((filter) => !filter.includes(' or ') && !filter.includes('vlan') && !filter.includes('1000')),
);
const byte = fc
  .tuple(pick(['ip', 'tcp', 'udp', 'icmp', 'ip6', 'icmp6', 'arp', 'ether']), fc.nat(30), pick([1, 2, 4]))
  .map(([proto, at, size]) => `${proto}[${at}:${size}]`);
const operand = fc.oneof(byte, byte, fc.nat(300).map(String), pick(['len', 'tcp-syn', '0xff']));
// libpcap forgets that a frame must have the protocol of what stands right of an arithmetic operator; ours does not.
const plain = fc.oneof(fc.nat(300).map(String), pick(['len', 'tcp-syn', '0xff']));
const compared = fc
  .tuple(
    byte,
    pick(['&', '|', '+', '-', '*', '>>', '<<', '^']),
    plain,
    pick(['=', '!=', '<', '>', '<=', '>=']),
    operand,
  )
  .map(([a, operator, b, relation, c]) => {
    const right = operator === '<<' || operator === '>>' ? '3' : b;
    return `${a} ${operator} ${right} ${relation} ${c}`;
  });
const filterText = fc
  .array(fc.tuple(pick(['and', 'or', 'and not', 'or not']), fc.oneof(atom, compared)), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => parts.map(([word, part], i) => (i === 0 ? part : `${word} ${part}`)).join(' '));

function same(t: ExecutionContext, frames: readonly Uint8Array[], pcap: Buffer, filter: string): void {
  const accepts = compileFilter(filter);
  const ours = frames.flatMap((bytes, i) => (accepts(bytes) ? [i] : []));
  t.deepEqual(ours, taken(pcap, filter), filter);
}

const testWithTcpdump = needing(TCPDUMP, 'tcpdump');

testWithTcpdump('a filter takes what tcpdump takes', (t) => {
  const frames = fc.sample(frame, { numRuns: 1_500, seed: 1 });
  const pcap = pcapOf(frames);
  for (const filter of FIXED) same(t, frames, pcap, filter);
});

testWithTcpdump('so do filters put together at random', (t) => {
  const frames = fc.sample(frame, { numRuns: 600, seed: 2 });
  const pcap = pcapOf(frames);
  for (const filter of fc.sample(filterText, { numRuns: 150, seed: 3 })) same(t, frames, pcap, filter);
});
