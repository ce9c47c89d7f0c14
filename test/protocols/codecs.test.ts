import test from 'ava';
import fc from 'fast-check';
import { ARP_LEN, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { setU16, setU32, u16, u32 } from '../../protocols/bytes.ts';
import { adjustChecksum16, internetChecksum, partialSum, pseudoHeaderSum } from '../../protocols/checksum.ts';
import { ETHERTYPE_IPV4, etherType, writeEthernet } from '../../protocols/ethernet.ts';
import {
  decodeIcmp,
  encodeIcmpError,
  ICMP_DEST_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_HLEN,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  UNREACH_FRAG_NEEDED,
  writeEcho,
} from '../../protocols/icmp.ts';
import {
  decrementTtl,
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipId,
  ipMf,
  ipProto,
  ipSrc,
  ipTos,
  ipTotalLength,
  ipTtl,
  setIpDst,
  setIpSrc,
  validateIpv4,
  writeIpv4Header,
} from '../../protocols/ipv4.ts';
import { decodeTcp, encodeTcp, type TcpSegment } from '../../protocols/tcp/segment.ts';
import { decodeUdp, UDP_HLEN, writeUdp } from '../../protocols/udp.ts';
import { decodeVxlan, flowSourcePort, VXLAN_HLEN, writeVxlan } from '../../protocols/vxlan.ts';

const word = fc.integer({ min: 0, max: 0xffff });
const ip = fc.integer({ min: 0, max: 0xffffffff });
const mac = fc.maxSafeNat().map((n) => n % 2 ** 48);
const bytes = (maxLength: number, minLength = 0) => fc.uint8Array({ minLength, maxLength });
const hex = (text: string) =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));

test('numbers in network order', (t) => {
  fc.assert(
    fc.property(word, ip, (short, long) => {
      const buf = new Uint8Array(8);
      setU16(buf, 1, short);
      setU32(buf, 3, long);
      const view = new DataView(buf.buffer);
      t.deepEqual([view.getUint16(1), view.getUint32(3)], [short, long]);
      t.deepEqual([u16(buf, 1), u32(buf, 3)], [short, long]);
    }),
  );
});

test('the checksum of the sample in RFC 1071 §3', (t) => {
  const sample = hex('0001 f203 f4f5 f6f7');
  // The sum is ddf2; the checksum is its complement.
  t.is(internetChecksum(sample, 0, 8), 0x220d);
});

test('the checksum of a published IPv4 header', (t) => {
  const header = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
  t.is(internetChecksum(header, 0, 20), 0);
  t.is(validateIpv4(header, 0, 20), 'truncated');
  header.fill(0, 10, 12);
  t.is(internetChecksum(header, 0, 20), 0xb861);
});

test('data that holds its checksum sums to zero; a flipped bit shows', (t) => {
  fc.assert(
    fc.property(bytes(200, 2), fc.nat(), fc.nat(7), (data, where, bit) => {
      setU16(data, 0, 0);
      setU16(data, 0, internetChecksum(data, 0, data.length));
      t.is(internetChecksum(data, 0, data.length), 0);
      data[where % data.length]! ^= 1 << bit;
      t.not(internetChecksum(data, 0, data.length), 0);
    }),
  );
});

test('a sum can be split at any even place, and starts anywhere', (t) => {
  fc.assert(
    fc.property(bytes(100), fc.nat(), fc.nat(5), (data, where, lead) => {
      const at = (where % (data.length + 1)) & ~1;
      const shifted = new Uint8Array(lead + data.length);
      shifted.set(data, lead);
      const head = partialSum(shifted, lead, at, 0);
      t.is(
        internetChecksum(shifted, lead + at, data.length - at, head),
        internetChecksum(data, 0, data.length),
      );
    }),
  );
});

test('a checksum mended is the checksum computed anew', (t) => {
  fc.assert(
    fc.property(bytes(60, 4), fc.nat(), word, (data, where, value) => {
      setU16(data, 0, 0x4500);
      const at = 2 + ((where % (data.length - 3)) & ~1);
      const old = internetChecksum(data, 0, data.length);
      const before = u16(data, at);
      setU16(data, at, value);
      t.is(adjustChecksum16(old, before, value), internetChecksum(data, 0, data.length));
    }),
  );
  // RFC 1624 §4: eqn. 3 gives 0x0000 where RFC 1141's formula gave 0xffff.
  t.is(adjustChecksum16(0xdd2f, 0x5555, 0x3285), 0);
});

const header = fc.record({
  src: ip,
  dst: ip,
  proto: fc.nat(255),
  ttl: fc.nat(255),
  totalLength: fc.integer({ min: 20, max: 1500 }),
  id: word,
  tos: fc.nat(255),
  df: fc.boolean(),
  mf: fc.boolean(),
  fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
});

test('an IPv4 header reads as it was written, and stays valid through what routers do to it', (t) => {
  fc.assert(
    fc.property(header, ip, ip, fc.nat(4), (fields, src, dst, off) => {
      const buf = new Uint8Array(off + 1500);
      writeIpv4Header(buf, off, fields);
      t.deepEqual(
        {
          src: ipSrc(buf, off),
          dst: ipDst(buf, off),
          proto: ipProto(buf, off),
          ttl: ipTtl(buf, off),
          totalLength: ipTotalLength(buf, off),
          id: ipId(buf, off),
          tos: ipTos(buf, off),
          df: ipDf(buf, off),
          mf: ipMf(buf, off),
          fragmentOffset: ipFragmentOffset(buf, off),
        },
        fields,
      );
      t.is(ipHeaderLength(buf, off), IPV4_HLEN);
      t.is(validateIpv4(buf, off, 1500), 'ok');
      if (fields.ttl > 0) {
        decrementTtl(buf, off);
        t.is(ipTtl(buf, off), fields.ttl - 1);
        t.is(ipProto(buf, off), fields.proto);
      }
      setIpSrc(buf, off, src);
      setIpDst(buf, off, dst);
      t.deepEqual([ipSrc(buf, off), ipDst(buf, off)], [src, dst]);
      t.is(validateIpv4(buf, off, 1500), 'ok');
    }),
  );
});

test('each fault of an IPv4 header has its name', (t) => {
  const make = () => {
    const packet = new Uint8Array(40);
    writeIpv4Header(packet, 0, { src: 1, dst: 2, proto: 17, ttl: 64, totalLength: 40 });
    return packet;
  };
  const broken = (change: (packet: Uint8Array) => void, len = 40) => {
    const packet = make();
    change(packet);
    return validateIpv4(packet, 0, len);
  };
  t.is(
    broken(() => {}),
    'ok',
  );
  t.is(
    broken(() => {}, 39),
    'truncated',
  );
  t.is(
    broken(() => {}, 19),
    'truncated',
  );
  t.is(
    broken((p) => p.fill(0x65, 0, 1)),
    'bad-version',
  );
  t.is(
    broken((p) => p.fill(0x44, 0, 1)),
    'bad-header-length',
  );
  t.is(
    broken((p) => p.fill(0x4f, 0, 1)),
    'truncated',
  );
  t.is(
    broken((p) => setU16(p, 2, 19)),
    'bad-total-length',
  );
  t.is(
    broken((p) => p.fill(63, 8, 9)),
    'bad-checksum',
  );
});

test('ARP reads as it was written; other hardware or protocols are none of it', (t) => {
  const arbitrary = fc.record({ op: word, sha: mac, spa: ip, tha: mac, tpa: ip });
  fc.assert(
    fc.property(arbitrary, fc.nat(3), (packet, off) => {
      const buf = new Uint8Array(off + ARP_LEN);
      encodeArp(buf, off, packet);
      t.deepEqual(decodeArp(buf, off, ARP_LEN), packet);
      t.is(decodeArp(buf, off, ARP_LEN - 1), null);
      for (const field of [0, 1, 2, 3, 4, 5]) {
        const other = buf.slice();
        other[off + field]! ^= 1;
        t.is(decodeArp(other, off, ARP_LEN), null);
      }
    }),
  );
});

test('an ARP request as it stands on the wire', (t) => {
  const frame = new Uint8Array(42);
  writeEthernet(frame, 0xffffffffffff, 0x0242ac110002, 0x0806);
  encodeArp(frame, 14, { op: 1, sha: 0x0242ac110002, spa: 0xac110002, tha: 0, tpa: 0xac110001 });
  t.deepEqual(
    frame,
    hex('ffffffffffff 0242ac110002 0806 0001 0800 06 04 0001 0242ac110002 ac110002 000000000000 ac110001'),
  );
});

test('an Ethernet header', (t) => {
  const frame = new Uint8Array(20);
  writeEthernet(frame, 0x010203040506, 0x0a0b0c0d0e0f, ETHERTYPE_IPV4);
  t.deepEqual(frame.subarray(0, 14), hex('010203040506 0a0b0c0d0e0f 0800'));
  t.is(etherType(frame), ETHERTYPE_IPV4);
});

test('UDP reads as it was written; damage shows unless there is no checksum', (t) => {
  fc.assert(
    fc.property(
      ip,
      ip,
      word,
      word,
      bytes(100),
      fc.nat(),
      fc.nat(7),
      (src, dst, srcPort, dstPort, payload, where, bit) => {
        const buf = new Uint8Array(3 + UDP_HLEN + payload.length + 2);
        buf.set(payload, 3 + UDP_HLEN);
        const len = UDP_HLEN + payload.length;
        const expected = { srcPort, dstPort, payloadOffset: 3 + UDP_HLEN, payloadLength: payload.length };
        writeUdp(buf, 3, src, dst, srcPort, dstPort, payload.length, { checksum: 'zero' });
        t.deepEqual(decodeUdp(buf, 3, len, src, dst), expected);
        writeUdp(buf, 3, src, dst, srcPort, dstPort, payload.length, { checksum: 'compute' });
        t.not(u16(buf, 9), 0);
        t.deepEqual(decodeUdp(buf, 3, len + 2, src, dst), expected);
        t.is(decodeUdp(buf, 3, len - 1, src, dst), null);
        buf[3 + (where % 6)]! ^= 1 << bit;
        t.is(decodeUdp(buf, 3, len, src, dst), null);
      },
    ),
  );
});

test('a UDP checksum that comes out as zero is sent as ones', (t) => {
  const buf = new Uint8Array(UDP_HLEN + 2);
  const sum = pseudoHeaderSum(0, 0, 17, 10) + 10;
  setU16(buf, UDP_HLEN, 0xffff - sum);
  writeUdp(buf, 0, 0, 0, 0, 0, 2, { checksum: 'compute' });
  t.is(u16(buf, 6), 0xffff);
  t.not(decodeUdp(buf, 0, 10, 0, 0), null);
});

test('ICMP echo reads as it was written', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(ICMP_ECHO_REQUEST, ICMP_ECHO_REPLY),
      word,
      word,
      bytes(100),
      (type, id, seq, payload) => {
        const buf = new Uint8Array(5 + ICMP_HLEN + payload.length);
        buf.set(payload, 5 + ICMP_HLEN);
        writeEcho(buf, 5, type, id, seq, payload.length);
        const len = ICMP_HLEN + payload.length;
        t.deepEqual(decodeIcmp(buf, 5, len), {
          type: type === 8 ? 'echo-request' : 'echo-reply',
          id,
          seq,
          payloadOffset: 5 + ICMP_HLEN,
          payloadLength: payload.length,
        });
        buf[9]! ^= 1;
        t.is(decodeIcmp(buf, 5, len), null);
      },
    ),
  );
});

test('ICMP errors quote the packet, and stay within 576 bytes', (t) => {
  const types: Readonly<Record<number, string>> = {
    [ICMP_DEST_UNREACHABLE]: 'dest-unreachable',
    [ICMP_REDIRECT]: 'redirect',
    [ICMP_TIME_EXCEEDED]: 'time-exceeded',
    [ICMP_PARAMETER_PROBLEM]: 'parameter-problem',
  };
  const type = fc.constantFrom(...Object.keys(types).map(Number));
  fc.assert(
    fc.property(type, fc.nat(15), word, fc.integer({ min: 20, max: 1500 }), (type, code, extra, length) => {
      const original = new Uint8Array(7 + length).map((_, i) => i);
      writeIpv4Header(original, 7, { src: 1, dst: 2, proto: 17, ttl: 1, totalLength: length });
      const message = encodeIcmpError(type, code, extra, original, 7, length);
      t.true(message.length + IPV4_HLEN <= 576);
      t.true(message.length >= ICMP_HLEN + Math.min(length, 28));
      const decoded = decodeIcmp(message, 0, message.length);
      t.like(decoded, { type: types[type], code, innerOffset: 8, innerLength: message.length - 8 });
      t.deepEqual(message.subarray(8), original.subarray(7, 7 + message.length - 8));
      if (decoded?.type === 'dest-unreachable')
        t.is(decoded.nextHopMtu, code === UNREACH_FRAG_NEEDED ? extra : 0);
    }),
  );
});

test('VXLAN reads as it was written', (t) => {
  fc.assert(
    fc.property(fc.nat(0xffffff), fc.nat(4), (vni, off) => {
      const buf = new Uint8Array(off + VXLAN_HLEN).fill(0xff);
      writeVxlan(buf, off, vni);
      t.deepEqual(decodeVxlan(buf, off, VXLAN_HLEN), { vni, payloadOffset: off + VXLAN_HLEN });
      t.is(decodeVxlan(buf, off, VXLAN_HLEN - 1), null);
      // What is reserved has to be 0, as in Linux.
      for (const [at, value] of [
        [7, 1],
        [3, 1],
        [0, 0x88],
        [0, 0],
      ] as const) {
        const other = buf.slice();
        other[off + at] = value;
        t.is(decodeVxlan(other, off, VXLAN_HLEN), null);
      }
    }),
  );
  const buf = new Uint8Array(8);
  writeVxlan(buf, 0, 0x123456);
  t.deepEqual(buf, hex('08000000 12345600'));
});

const PORTS = [32_768, 60_999] as const;

test('VXLAN source ports keep a flow together and spread flows', (t) => {
  const frame = (srcPort: number, payload: number) => {
    const buf = new Uint8Array(14 + 20 + 8 + 4).fill(payload, 42);
    writeEthernet(buf, 1, 2, ETHERTYPE_IPV4);
    writeIpv4Header(buf, 14, { src: 1, dst: 2, proto: 17, ttl: 64, totalLength: 32 });
    setU16(buf, 34, srcPort);
    return buf;
  };
  const ports = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const port = flowSourcePort(frame(i, 0), 0, 46, PORTS);
    t.true(port >= 32_768 && port < 60_999);
    t.is(flowSourcePort(frame(i, 1), 0, 46, PORTS), port);
    ports.add(port);
  }
  t.true(ports.size > 150);
});

const segment: fc.Arbitrary<TcpSegment> = fc
  .record(
    {
      srcPort: word,
      dstPort: word,
      seq: ip,
      ack: ip,
      flags: fc.nat(63),
      window: word,
      urgent: word,
      mss: word,
      windowScale: fc.nat(14),
      sackPermitted: fc.constant(true),
      timestamps: fc.record({ value: ip, echo: ip }),
      payload: bytes(60),
    },
    {
      requiredKeys: ['srcPort', 'dstPort', 'seq', 'ack', 'flags', 'window', 'urgent', 'payload'],
      noNullPrototype: true,
    },
  )
  // fast-check types a key that may be absent as one that may be undefined.
  .map((fields) => fields as TcpSegment);

test('a TCP segment with any options reads as it was written; damage shows', (t) => {
  fc.assert(
    fc.property(segment, ip, ip, fc.nat(), fc.nat(7), (segment, src, dst, where, bit) => {
      const encoded = encodeTcp(segment, src, dst);
      t.deepEqual(decodeTcp(encoded, 0, encoded.length, src, dst), segment);
      const damaged = encoded.slice();
      damaged[where % damaged.length]! ^= 1 << bit;
      t.is(decodeTcp(damaged, 0, damaged.length, src, dst), null);
    }),
  );
});

test('a malformed TCP option ends the list', (t) => {
  const base = encodeTcp(
    {
      srcPort: 1,
      dstPort: 2,
      seq: 3,
      ack: 4,
      flags: 2,
      window: 5,
      urgent: 0,
      mss: 1460,
      windowScale: 7,
      payload: new Uint8Array(0),
    },
    1,
    2,
  );
  for (const length of [0, 1, 200]) {
    const buf = base.slice();
    buf[25] = length;
    setU16(buf, 16, 0);
    setU16(buf, 16, internetChecksum(buf, 0, buf.length, pseudoHeaderSum(1, 2, 6, buf.length)));
    const decoded = decodeTcp(buf, 0, buf.length, 1, 2);
    t.is(decoded?.mss, 1460);
    t.is(decoded?.windowScale, undefined);
  }
});

test('no bytes make a decoder throw or point outside of them', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80, size: 'max' }), fc.nat(10), (data, skip) => {
      const off = Math.min(skip, data.length);
      const len = data.length - off;
      const inside = (at: number, length: number) => at >= off && length >= 0 && at + length <= data.length;
      decodeArp(data, off, len);
      const udp = decodeUdp(data, off, len, 1, 2);
      if (udp !== null) t.true(inside(udp.payloadOffset, udp.payloadLength));
      const icmp = decodeIcmp(data, off, len);
      if (icmp !== null && 'innerOffset' in icmp) t.true(inside(icmp.innerOffset, icmp.innerLength));
      const vxlan = decodeVxlan(data, off, len);
      if (vxlan !== null) t.true(inside(vxlan.payloadOffset, 0));
      if (validateIpv4(data, off, len) === 'ok') t.true(inside(off, ipTotalLength(data, off)));
      if (len >= 14) {
        const port = flowSourcePort(data, off, len, PORTS);
        t.true(port >= 32_768 && port < 60_999);
      }
      // The checksum mended, so that what follows it is reached too.
      if (len >= 20) {
        data[off + 12] = 0x50 + ((data[off + 12]! & 3) << 4);
        setU16(data, off + 16, 0);
        setU16(data, off + 16, internetChecksum(data, off, len, pseudoHeaderSum(1, 2, 6, len)));
      }
      const tcp = decodeTcp(data, off, len, 1, 2);
      if (tcp !== null) t.true(inside(tcp.payload.byteOffset, tcp.payload.length));
    }),
    { numRuns: 1000 },
  );
});
