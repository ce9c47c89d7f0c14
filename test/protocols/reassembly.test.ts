import test from 'ava';
import fc from 'fast-check';
import { fragmentIpv4, ipId, validateIpv4, writeIpv4Header } from '../../protocols/ipv4.ts';
import { Reassembler } from '../../protocols/reassembly.ts';

function packetOf(length: number, id = 1): Uint8Array {
  const packet = new Uint8Array(20 + length).map((_, i) => (i * 31) ^ (i >> 8));
  writeIpv4Header(packet, 0, { src: 1, dst: 2, proto: 17, ttl: 64, totalLength: packet.length, id });
  return packet;
}

interface FragmentFields {
  readonly offset: number;
  readonly length: number;
  readonly mf: boolean;
  readonly id?: number;
}

function fragmentOf({ offset, length, mf, id = 1 }: FragmentFields): Uint8Array {
  const packet = new Uint8Array(20 + length);
  writeIpv4Header(packet, 0, {
    src: 1,
    dst: 2,
    proto: 17,
    ttl: 64,
    totalLength: packet.length,
    id,
    mf,
    fragmentOffset: offset,
  });
  return packet;
}

const length = fc.integer({ min: 1, max: 3000 });
const mtu = fc.integer({ min: 28, max: 1500 });

test('fragments fit the MTU, and put together in any order are the packet', (t) => {
  fc.assert(
    fc.property(length, mtu, fc.infiniteStream(fc.nat()), (length, mtu, dice) => {
      const packet = packetOf(length);
      const fragments = fragmentIpv4(packet, mtu);
      for (const fragment of fragments) {
        t.true(fragment.length <= mtu);
        t.is(validateIpv4(fragment, 0, fragment.length), 'ok');
      }
      if (fragments.length === 1) {
        t.is(fragments[0], packet);
        return;
      }
      const left = [...fragments, ...fragments.slice(0, 3)];
      const order: Uint8Array[] = [];
      // Every fragment once, some twice: a duplicate is no overlap.
      while (left.length > 0) order.push(...left.splice((dice.next().value ?? 0) % left.length, 1));
      const reassembler = new Reassembler();
      const whole: Uint8Array[] = [];
      for (const fragment of order) {
        const done = reassembler.add(fragment.slice(), 0);
        if (done !== null) whole.push(done);
      }
      t.deepEqual(whole[0], packet);
    }),
    { numRuns: 200 },
  );
});

test('fragments of fragments put together are the packet too', (t) => {
  fc.assert(
    fc.property(length, mtu, mtu, (length, first, second) => {
      const packet = packetOf(length);
      const fragments = fragmentIpv4(packet, first).flatMap((fragment) => fragmentIpv4(fragment, second));
      if (fragments.length < 2) return;
      const reassembler = new Reassembler();
      const whole = fragments.map((fragment) => reassembler.add(fragment, 0));
      t.deepEqual(whole.at(-1), packet);
      t.true(whole.slice(0, -1).every((part) => part === null));
      t.is(reassembler.bytes, 0);
    }),
    { numRuns: 200 },
  );
});

test('datagrams of several identifications, interleaved, do not mix', (t) => {
  const reassembler = new Reassembler();
  const packets = [packetOf(2000, 1), packetOf(1999, 2), packetOf(2001, 3)];
  const fragments = packets.map((packet) => fragmentIpv4(packet, 500));
  const whole: Uint8Array[] = [];
  for (let i = 0; i < 5; i++)
    for (const list of fragments) {
      const done = list[i] === undefined ? null : reassembler.add(list[i]!, 0);
      if (done !== null) whole.push(done);
    }
  t.deepEqual(
    whole.map((packet) => ipId(packet, 0)),
    [1, 2, 3],
  );
  t.deepEqual(whole, packets);
});

test('an overlap drops the datagram, whichever way it lies', (t) => {
  const overlaps: readonly FragmentFields[] = [
    { offset: 8, length: 24, mf: true },
    { offset: 0, length: 24, mf: true },
    { offset: 24, length: 16, mf: true },
    { offset: 24, length: 4, mf: false },
  ];
  for (const overlap of overlaps) {
    const reassembler = new Reassembler();
    t.is(reassembler.add(fragmentOf({ offset: 16, length: 16, mf: true }), 0), null);
    t.is(reassembler.add(fragmentOf(overlap), 0), null);
    t.is(reassembler.bytes, 0);
    t.is(reassembler.nextDeadline, Number.POSITIVE_INFINITY);
  }
});

test('what has come is passed over, in a run of fragments or one of them, not across two', (t) => {
  const reassembler = new Reassembler();
  const add = (offset: number, length: number) =>
    reassembler.add(fragmentOf({ offset, length, mf: true }), 0);
  for (const [offset, length] of [
    [16, 16],
    [32, 8],
    [0, 8],
    [16, 8],
    [24, 16],
    [0, 8],
  ] as const) {
    t.is(add(offset, length), null);
    t.true(reassembler.bytes > 0);
  }
  t.is(reassembler.bytes, 32);
  // The gap is filled by a run of its own.
  add(8, 8);
  t.is(reassembler.bytes, 40);
  add(8, 16);
  t.is(reassembler.bytes, 0);
});

test('a second end, or bytes behind the end, drop the datagram', (t) => {
  for (const bad of [
    { offset: 64, length: 8, mf: false },
    { offset: 64, length: 8, mf: true },
    { offset: 0, length: 8, mf: false },
  ]) {
    const reassembler = new Reassembler();
    reassembler.add(fragmentOf({ offset: 32, length: 8, mf: false }), 0);
    t.is(reassembler.add(fragmentOf(bad), 0), null);
    t.is(reassembler.bytes, 0);
  }
});

test('what cannot be a fragment is not kept', (t) => {
  const reassembler = new Reassembler();
  t.is(reassembler.add(fragmentOf({ offset: 0, length: 0, mf: true }), 0), null);
  t.is(reassembler.add(fragmentOf({ offset: 0, length: 7, mf: true }), 0), null);
  t.is(reassembler.nextDeadline, Number.POSITIVE_INFINITY);
  t.is(reassembler.add(fragmentOf({ offset: 0, length: 12, mf: true }), 0), null);
  t.is(reassembler.bytes, 8);
});

test('after its time a datagram is given up, and its first fragment handed out', (t) => {
  const reassembler = new Reassembler({ timeout: 100 });
  const first = fragmentOf({ offset: 0, length: 8, mf: true, id: 1 });
  reassembler.add(first, 0);
  reassembler.add(fragmentOf({ offset: 8, length: 8, mf: true, id: 2 }), 50);
  reassembler.add(fragmentOf({ offset: 16, length: 8, mf: true, id: 1 }), 90);
  t.is(reassembler.nextDeadline, 100);
  t.deepEqual(reassembler.expire(99), []);
  t.deepEqual(reassembler.expire(100), [first]);
  t.is(reassembler.nextDeadline, 150);
  t.deepEqual(reassembler.expire(150), []);
  t.is(reassembler.bytes, 0);
});

test('memory stays within its limits, whatever comes', (t) => {
  const arbitrary = fc.record({
    offset: fc.nat(200).map((n) => n * 8),
    length: fc.integer({ min: 1, max: 10 }).map((n) => n * 8),
    mf: fc.boolean(),
    id: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(arbitrary, { maxLength: 200 }), (fragments) => {
      const reassembler = new Reassembler({ maxDatagrams: 5, maxBytes: 300, timeout: 1000 });
      for (const [now, fields] of fragments.entries()) {
        reassembler.add(fragmentOf(fields), now);
        t.true(reassembler.bytes <= 300);
      }
      reassembler.expire(10_000);
      t.is(reassembler.bytes, 0);
    }),
  );
});

test('over the limit on datagrams the oldest goes', (t) => {
  const reassembler = new Reassembler({ maxDatagrams: 2, timeout: 10 });
  const firsts = [1, 2, 3].map((id) => fragmentOf({ offset: 0, length: 8, mf: true, id }));
  for (const first of firsts) reassembler.add(first, 0);
  t.deepEqual(reassembler.expire(10), firsts.slice(1));
});
