import test from 'ava';
import fc from 'fast-check';
import { setU16 } from '../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../protocols/checksum.ts';
import {
  decodeIcmpv6,
  EXCEEDED6_HOP_LIMIT,
  EXCEEDED6_REASSEMBLY,
  encodeIcmpv6Error,
  ICMPV6_DEST_UNREACHABLE,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HLEN,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  sealIcmpv6,
  UNREACH6_ADDRESS,
  UNREACH6_NO_ROUTE,
  UNREACH6_PORT,
  writeEcho6,
} from '../../protocols/icmpv6.ts';
import {
  ALL_NODES,
  ALL_ROUTERS,
  ANY_IP6,
  eui64,
  formatIp6,
  formatPrefix6,
  type Ip6,
  isLinkLocal,
  isMulticastIp6,
  LOOPBACK_IP6,
  multicastMac,
  parseAddress6,
  parseIp6,
  parsePrefix6,
  prefixContains6,
  readIp6,
  readIp6Cached,
  solicitedNode,
  writeIp6,
} from '../../protocols/ip6.ts';
import {
  FRAGMENT_HLEN,
  IP6_DST,
  IP6_SRC,
  IPV6_HLEN,
  ip6FlowLabel,
  ip6HopLimit,
  ip6NextHeader,
  ip6PayloadLength,
  ip6TrafficClass,
  readFragmentHeader,
  upperLayer,
  validateIpv6,
  writeFragmentHeader,
  writeIpv6Header,
} from '../../protocols/ipv6.ts';
import { fragmentIpv6, IPV6_FRAGMENTS } from '../../protocols/ipv6-fragments.ts';
import { findHeader, lastHeader } from '../../protocols/ipv6-headers.ts';
import { formatMac, parseMac } from '../../protocols/mac.ts';
import { decodeNdp, encodeNdp, type NdpMessage, type NdpOptions } from '../../protocols/ndp.ts';
import { Reassembler } from '../../protocols/reassembly.ts';

const ip6 = (text: string): Ip6 => parseIp6(text)!;
const bits = (n: number) => fc.integer({ min: 0, max: 2 ** n - 1 });
const address: fc.Arbitrary<Ip6> = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => String.fromCharCode(...bytes));
const mac = fc.maxSafeNat().map((n) => n % 2 ** 48);
const hex = (text: string) =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));

test('addresses made of others, as the RFCs give them', (t) => {
  // RFC 4291 §2.7.1 and RFC 2464 §4, §7.
  t.is(formatIp6(solicitedNode(ip6('4037::01:800:200e:8c6c'))), 'ff02::1:ff0e:8c6c');
  t.is(formatIp6(eui64(ip6('2001:db8::'), parseMac('34:56:78:9a:bc:de')!)), '2001:db8::3656:78ff:fe9a:bcde');
  t.is(formatMac(multicastMac(ip6('ff02::1:ff0e:8c6c'))), '33:33:ff:0e:8c:6c');
  t.deepEqual(
    [parseAddress6('2001:db8::1/64'), parsePrefix6('2001:db8::1/64'), parseAddress6('::1')].map(
      (prefix) => prefix && formatPrefix6(prefix),
    ),
    ['2001:db8::1/64', '2001:db8::/64', '::1/128'],
  );
  for (const bad of ['2001:db8::/129', '2001:db8::/', '10.0.0.1/8', '::/-1', ':::/0'])
    t.is(parseAddress6(bad), null);
  t.true(prefixContains6(parsePrefix6('fe80::/10')!, ip6('febf::1')));
  t.false(isLinkLocal(ip6('fec0::1')));
});

test('well-known addresses', (t) => {
  t.deepEqual([ANY_IP6, LOOPBACK_IP6, ALL_NODES, ALL_ROUTERS].map(formatIp6), [
    '::',
    '::1',
    'ff02::1',
    'ff02::2',
  ]);
  t.deepEqual([ALL_NODES, LOOPBACK_IP6].map(isMulticastIp6), [true, false]);
});

test('an address read by way of the cache is the address', (t) => {
  fc.assert(
    fc.property(fc.array(address, { minLength: 1, maxLength: 50 }), bits(4), (addresses, off) => {
      for (const address of [...addresses, ...addresses]) {
        const buf = new Uint8Array(32);
        writeIp6(buf, off, address);
        t.is(readIp6Cached(buf, off), address);
        t.is(readIp6(buf, off), address);
      }
    }),
  );
});

test('a header is read as it was written', (t) => {
  const header = fc.record({
    src: address,
    dst: address,
    nextHeader: bits(8),
    hopLimit: bits(8),
    payloadLength: bits(10),
    trafficClass: bits(8),
    flowLabel: bits(20),
  });
  fc.assert(
    fc.property(header, bits(5), (header, off) => {
      const buf = new Uint8Array(off + IPV6_HLEN + header.payloadLength);
      writeIpv6Header(buf, off, header);
      t.is(validateIpv6(buf, off, buf.length - off), 'ok');
      t.is(validateIpv6(buf, off, buf.length - off - 1), 'truncated');
      t.deepEqual(
        {
          src: readIp6(buf, off + IP6_SRC),
          dst: readIp6(buf, off + IP6_DST),
          nextHeader: ip6NextHeader(buf, off),
          hopLimit: ip6HopLimit(buf, off),
          payloadLength: ip6PayloadLength(buf, off),
          trafficClass: ip6TrafficClass(buf, off),
          flowLabel: ip6FlowLabel(buf, off),
        },
        header,
      );
    }),
  );
});

test('the pseudo-header sum is that of the bytes of RFC 8200 §8.1', (t) => {
  fc.assert(
    fc.property(address, address, bits(8), bits(16), (src, dst, proto, length) => {
      const pseudo = new Uint8Array(40);
      writeIp6(pseudo, 0, src);
      writeIp6(pseudo, 16, dst);
      setU16(pseudo, 34, length);
      pseudo[39] = proto;
      t.is(
        internetChecksum(new Uint8Array(0), 0, 0, pseudoHeaderSum(src, dst, proto, length)),
        internetChecksum(pseudo, 0, 40),
      );
    }),
  );
});

/** A packet of extension headers from hex, and how it is to be taken. */
function chained(first: number, headers: string, dst = '2001:db8::2') {
  const body = hex(headers);
  const packet = new Uint8Array(IPV6_HLEN + body.length);
  const addresses = { src: ip6('2001:db8::1'), dst: ip6(dst) };
  writeIpv6Header(packet, 0, { ...addresses, nextHeader: first, hopLimit: 64, payloadLength: body.length });
  packet.set(body, IPV6_HLEN);
  return upperLayer(packet, 0, packet.length);
}

test('extension headers are walked to what they lead to', (t) => {
  t.deepEqual(chained(17, '0000000000000000'), { type: 'upper', proto: 17, offset: 40, namedAt: 6 });
  // Hop-by-hop with a router alert, destination options of padding, then TCP.
  t.deepEqual(chained(0, '3c00 0502 0000 0100 0600 0104 0000 0000'), {
    type: 'upper',
    proto: 6,
    offset: 56,
    namedAt: 48,
  });
  t.deepEqual(chained(44, '1100 0001 0000 0007'), { type: 'fragment', offset: 40, namedAt: 6 });
  // An authentication header counts in words of four bytes.
  t.deepEqual(chained(51, '3b01 0000 00000001 00000001'), {
    type: 'upper',
    proto: 59,
    offset: 52,
    namedAt: 40,
  });
  t.deepEqual(chained(60, '0601 0000'), { type: 'truncated' });
});

test('what a destination must refuse is refused (RFC 8200 §4)', (t) => {
  // Hop-by-hop options anywhere but first.
  t.deepEqual(chained(60, '0000 0104 0000 0000 0600 0104 0000 0000'), {
    type: 'problem',
    code: 1,
    pointer: 40,
  });
  // Options not known: passed over, discarded, complained about, complained about unless the packet is multicast.
  t.like(chained(60, '3b00 1e04 0000 0000'), { type: 'upper' });
  t.deepEqual(chained(60, '3b00 5e04 0000 0000'), { type: 'discard' });
  t.deepEqual(chained(60, '3b00 9e04 0000 0000'), { type: 'problem', code: 2, pointer: 42 });
  t.deepEqual(chained(60, '3b00 de04 0000 0000'), { type: 'problem', code: 2, pointer: 42 });
  t.deepEqual(chained(60, '3b00 de04 0000 0000', 'ff02::1'), { type: 'discard' });
  // A routing header with segments left; one without is done with.
  t.deepEqual(chained(43, '3b00 0001 0000 0000'), { type: 'problem', code: 0, pointer: 42 });
  t.like(chained(43, '3b00 0000 0000 0000'), { type: 'upper', proto: 59 });
});

test('any bytes can be walked, checked and decoded', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 40, maxLength: 200 }),
      fc.constantFrom(0, 43, 44, 51, 60, 58),
      bits(8),
      (bytes, next, type) => {
        bytes[6] = next;
        const found = upperLayer(bytes, 0, bytes.length);
        if (found.type === 'upper') t.true(found.offset <= bytes.length);
        bytes[40 % bytes.length] = type;
        decodeIcmpv6(bytes, 40, bytes.length - 40, ip6('::1'), ip6('::1'));
        for (const ndType of [133, 134, 135, 136, 137, type]) {
          const message = bytes.slice(20);
          message[0] = ndType;
          message[1] = 0;
          decodeNdp(message, 0, message.length);
        }
        t.pass();
      },
    ),
    { numRuns: 2000 },
  );
});

test('an echo and errors are read as they were written, and a flipped bit shows', (t) => {
  fc.assert(
    fc.property(address, address, bits(16), bits(16), bits(6), bits(3), (src, dst, id, seq, size, bit) => {
      const message = new Uint8Array(ICMPV6_HLEN + size);
      writeEcho6(message, 0, ICMPV6_ECHO_REQUEST, id, seq);
      sealIcmpv6(message, 0, message.length, src, dst);
      t.deepEqual(decodeIcmpv6(message, 0, message.length, src, dst), {
        type: 'echo-request',
        id,
        seq,
        payloadOffset: 8,
        payloadLength: size,
      });
      message[4]! ^= 1 << bit;
      t.is(decodeIcmpv6(message, 0, message.length, src, dst), null);
    }),
  );
  const original = new Uint8Array(1500).fill(7);
  const error = encodeIcmpv6Error(ICMPV6_PACKET_TOO_BIG, 0, 1280, original, 0);
  sealIcmpv6(error, 0, error.length, ip6('fe80::1'), ip6('fe80::2'));
  // No error is longer than the least MTU (RFC 4443 §2.4 c).
  t.is(IPV6_HLEN + error.length, 1280);
  t.like(decodeIcmpv6(error, 0, error.length, ip6('fe80::1'), ip6('fe80::2')), {
    type: 'packet-too-big',
    extra: 1280,
    innerOffset: 8,
    innerLength: 1232,
  });
});

const ERRORS = [
  [ICMPV6_DEST_UNREACHABLE, [UNREACH6_NO_ROUTE, UNREACH6_ADDRESS, UNREACH6_PORT], 'dest-unreachable', 0],
  [ICMPV6_PACKET_TOO_BIG, [0], 'packet-too-big', 1400],
  [ICMPV6_TIME_EXCEEDED, [EXCEEDED6_HOP_LIMIT, EXCEEDED6_REASSEMBLY], 'time-exceeded', 0],
  [ICMPV6_PARAMETER_PROBLEM, [0, 1, 2], 'parameter-problem', 40],
] as const;

for (const [type, codes, name, extra] of ERRORS)
  test(`an error is read as it was written: ${name}`, (t) => {
    for (const code of codes) {
      const message = encodeIcmpv6Error(type, code, extra, new Uint8Array(60), 4);
      sealIcmpv6(message, 4, message.length - 4, LOOPBACK_IP6, LOOPBACK_IP6);
      t.deepEqual(decodeIcmpv6(message, 4, message.length - 4, LOOPBACK_IP6, LOOPBACK_IP6), {
        type: name,
        code,
        extra,
        innerOffset: 12,
        innerLength: 60,
      });
    }
  });

const options: fc.Arbitrary<NdpOptions> = fc.record(
  {
    sourceMac: mac,
    targetMac: mac,
    mtu: bits(32),
    prefixes: fc.array(
      fc.record({
        prefix: address,
        len: fc.integer({ min: 0, max: 128 }),
        onLink: fc.boolean(),
        autonomous: fc.boolean(),
        validLifetime: bits(32),
        preferredLifetime: bits(32),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    rdnss: fc.array(
      fc.record({ lifetime: bits(32), servers: fc.array(address, { minLength: 1, maxLength: 3 }) }),
      { minLength: 1, maxLength: 2 },
    ),
    redirected: fc.nat(12).chain((eights) => fc.uint8Array({ minLength: eights * 8, maxLength: eights * 8 })),
  },
  { requiredKeys: [] },
);
const target = address.filter((address) => address.charCodeAt(0) !== 0xff);
const ndp: fc.Arbitrary<NdpMessage> = fc.oneof(
  fc.record({ type: fc.constant('router-solicit' as const), options }),
  fc.record({
    type: fc.constant('router-advert' as const),
    hopLimit: bits(8),
    managed: fc.boolean(),
    otherConfig: fc.boolean(),
    preference: fc.constantFrom('low' as const, 'medium' as const, 'high' as const),
    routerLifetime: bits(16),
    reachableTime: bits(32),
    retransTimer: bits(32),
    options,
  }),
  fc.record({ type: fc.constant('neighbor-solicit' as const), target, options }),
  fc.record({
    type: fc.constant('neighbor-advert' as const),
    target,
    router: fc.boolean(),
    solicited: fc.boolean(),
    override: fc.boolean(),
    options,
  }),
  fc.record({ type: fc.constant('redirect' as const), target, destination: target, options }),
);

test('neighbour discovery is read as it was written', (t) => {
  fc.assert(
    fc.property(ndp, bits(4), (message, room) => {
      const buf = encodeNdp(message, room);
      t.deepEqual(decodeNdp(buf, room, buf.length - room), message);
      // Cut short, it is refused or has lost options; it never reads past its end.
      for (let length = 0; length < buf.length - room; length += 3) decodeNdp(buf, room, length);
    }),
  );
  const solicit = encodeNdp(
    { type: 'neighbor-solicit', target: ip6('fe80::1'), options: { sourceMac: 1 } },
    0,
  );
  solicit[25] = 0;
  t.is(decodeNdp(solicit, 0, solicit.length), null);
});

function packetOf(length: number): Uint8Array {
  const packet = new Uint8Array(IPV6_HLEN + length).map((_, i) => (i * 31) ^ (i >> 8));
  const addresses = { src: ip6('2001:db8::1'), dst: ip6('2001:db8::2') };
  writeIpv6Header(packet, 0, { ...addresses, nextHeader: 17, hopLimit: 64, payloadLength: length });
  return packet;
}

test('fragments fit the MTU, and put together in any order are the packet', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1280, max: 1500 }),
      fc.infiniteStream(fc.nat()),
      (length, mtu, dice) => {
        const packet = packetOf(length);
        const fragments = fragmentIpv6(packet, mtu, 77);
        for (const fragment of fragments) {
          t.true(fragment.length <= mtu);
          t.is(validateIpv6(fragment, 0, fragment.length), 'ok');
        }
        if (fragments.length === 1) return;
        const left = [...fragments, fragments[0]!];
        const reassembler = new Reassembler({}, IPV6_FRAGMENTS);
        const whole: Uint8Array[] = [];
        while (left.length > 0) {
          const [fragment] = left.splice((dice.next().value ?? 0) % left.length, 1);
          const done = reassembler.add(fragment!.slice(), 0);
          if (done !== null) whole.push(done);
        }
        t.deepEqual(whole[0], packet);
      },
    ),
    { numRuns: 50 },
  );
});

test('overlapping fragments end their datagram (RFC 5722)', (t) => {
  const fragment = (offset: number, length: number, more: boolean) => {
    const packet = packetOf(FRAGMENT_HLEN + length);
    packet[6] = 44;
    writeFragmentHeader(packet, IPV6_HLEN, { nextHeader: 17, offset, more, id: 5 });
    return packet;
  };
  t.deepEqual(readFragmentHeader(fragment(16, 8, true), IPV6_HLEN), {
    nextHeader: 17,
    offset: 16,
    more: true,
    id: 5,
  });
  const reassembler = new Reassembler({}, IPV6_FRAGMENTS);
  t.is(reassembler.add(fragment(0, 16, true), 0), null);
  t.is(reassembler.add(fragment(8, 16, true), 0), null);
  t.is(reassembler.bytes, 0);
});

/** Headers before what is above IP, of 8 bytes each, and where the last one names it. */
function withHeaders(kinds: readonly number[], payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(IPV6_HLEN + 8 * kinds.length + payload.length);
  const numbers = [...kinds, 17];
  writeIpv6Header(packet, 0, {
    src: parseIp6('2001:db8::1')!,
    dst: parseIp6('2001:db8::2')!,
    nextHeader: numbers[0]!,
    hopLimit: 64,
    payloadLength: packet.length - IPV6_HLEN,
  });
  for (let i = 0; i < kinds.length; i++) packet.set([numbers[i + 1]!, 0, 1, 4], IPV6_HLEN + 8 * i);
  packet.set(payload, IPV6_HLEN + 8 * kinds.length);
  return packet;
}

test('fragments have the headers that routers look at, and are put together to what they were', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom([], [0], [0, 60], [60, 43], [0, 43, 60]),
      fc.uint8Array({ minLength: 100, maxLength: 3_000 }),
      fc.integer({ min: 100, max: 1_500 }),
      (kinds, payload, mtu) => {
        const packet = withHeaders(kinds, payload);
        const parts = fragmentIpv6(packet, mtu, 9);
        if (packet.length <= mtu) {
          t.is(parts.length, 1);
          return;
        }
        const reassembler = new Reassembler({}, IPV6_FRAGMENTS);
        let whole: Uint8Array | null = null;
        for (const part of parts) {
          t.true(part.length <= mtu);
          t.true(findHeader(part, 0, part.length, 44) > 0);
          t.is(part[6], kinds[0] ?? 44);
          whole = reassembler.add(part, 0);
        }
        t.deepEqual(whole, packet);
      },
    ),
  );
});

test('headers are gone past to the last one, and a header is found where it is', (t) => {
  const packet = withHeaders([0, 60, 43], new Uint8Array(20));
  t.deepEqual(lastHeader(packet, 0, packet.length), { proto: 17, offset: 64, fragment: 0 });
  t.is(findHeader(packet, 0, packet.length, 43), 56);
  t.is(findHeader(packet, 0, packet.length, 44), -1);
  t.is(lastHeader(packet.subarray(0, 57), 0, 57), null, 'it ends in the middle');
});

test('without extension headers, in a frame, where they lead to costs nothing to say', (t) => {
  const frames = [17, 6].map((proto) => {
    const frame = new Uint8Array(100);
    frame[14] = 0x60;
    frame[20] = proto;
    return frame;
  });
  for (const frame of frames) {
    const proto = frame[20]!;
    t.deepEqual(lastHeader(frame, 14, 100), { proto, offset: 54, fragment: 0 });
    t.deepEqual(upperLayer(frame, 14, 100), { type: 'upper', proto, offset: 54, namedAt: 20 });
    t.is(lastHeader(frame, 14, 100), lastHeader(frame.slice(), 14, 100));
    t.is(upperLayer(frame, 14, 100), upperLayer(frame.slice(), 14, 100));
  }
  const other = frames[0]!.subarray(8);
  t.deepEqual(lastHeader(other, 6, 92), { proto: 17, offset: 46, fragment: 0 });
  t.deepEqual(upperLayer(other, 6, 92), { type: 'upper', proto: 17, offset: 46, namedAt: 12 });
});

test('no bytes behind a header make the walk through the headers throw or run away', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(0, 43, 44, 51, 60), fc.uint8Array({ maxLength: 200 }), (next, bytes) => {
      const packet = new Uint8Array(IPV6_HLEN + bytes.length);
      packet[0] = 0x60;
      packet[6] = next;
      packet.set(bytes, IPV6_HLEN);
      const found = lastHeader(packet, 0, packet.length);
      t.true(found === null || found.offset >= IPV6_HLEN);
      findHeader(packet, 0, packet.length, 44);
      for (const part of fragmentIpv6(packet, 120, 1)) t.true(part.length >= IPV6_HLEN);
    }),
  );
});
