import test from 'ava';
import fc from 'fast-check';
import { formatAuth, readAuth } from '../../../protocols/bfd/auth.ts';
import {
  type BfdState,
  CONTROL_LENGTH,
  type ControlDiscard,
  ControlPacket,
  FLAG_AUTHENTICATION,
  FLAG_CONTROL_PLANE_INDEPENDENT,
  FLAG_DEMAND,
  FLAG_FINAL,
  FLAG_MULTIPOINT,
  FLAG_POLL,
  formatDiagnostic,
  readControl,
  writeControl,
} from '../../../protocols/bfd/control.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

/** Up, Poll, detection time expired, 3 × 50 ms wanted, 300 ms required. */
const UP = '21 e0 03 18  11223344  aabbccdd  0000c350  000493e0  00000000';
/** As tcpdump's tests have it: Down, meticulous keyed SHA1 with key 2, sequence 5. */
const SHA1 = `20 44 05 34  00000001  00000000  000f4240  000f4240  00000000
  05 1c 02 00  00000005  010203040506070809101112131415161718191a`;

function read(bytes: Uint8Array): ControlPacket | ControlDiscard {
  const packet = new ControlPacket();
  return readControl(bytes, 0, bytes.length, packet) ?? packet;
}

test('a packet is read and written byte for byte as RFC 5880 §4.1 draws it', (t) => {
  const packet = new ControlPacket();
  t.is(readControl(hex(UP), 0, 24, packet), null);
  t.deepEqual(
    { ...packet },
    {
      state: 'Up',
      diag: 1,
      flags: FLAG_POLL,
      detectMult: 3,
      length: 24,
      myDiscriminator: 0x11223344,
      yourDiscriminator: 0xaabbccdd,
      desiredMinTx: 50_000,
      requiredMinRx: 300_000,
      requiredMinEchoRx: 0,
    },
  );
  const written = new Uint8Array(30).fill(0xff);
  writeControl(written, 3, packet, FLAG_POLL);
  t.deepEqual(written.slice(3, 27), hex(UP));
  t.deepEqual([...written.slice(0, 3), ...written.slice(27)], [255, 255, 255, 255, 255, 255]);
});

test('flags and states stand where the RFC has them', (t) => {
  const flags: readonly (readonly [number, number])[] = [
    [FLAG_POLL, 5],
    [FLAG_FINAL, 4],
    [FLAG_CONTROL_PLANE_INDEPENDENT, 3],
    [FLAG_AUTHENTICATION, 2],
    [FLAG_DEMAND, 1],
    [FLAG_MULTIPOINT, 0],
  ];
  for (const [flag, bit] of flags) t.is(flag, 2 ** bit);
  const states: readonly BfdState[] = ['AdminDown', 'Down', 'Init', 'Up'];
  for (const [code, state] of states.entries()) {
    const bytes = hex(UP);
    bytes[1] = code * 64;
    t.like(read(bytes), { state, flags: 0 });
  }
  t.is(formatDiagnostic(1), 'Control Detection Time Expired');
  t.is(formatDiagnostic(7), 'Administratively Down');
  t.is(formatDiagnostic(9), 'Reserved (9)');
});

test('each fault has its name', (t) => {
  const changed = (offset: number, ...values: number[]) => {
    const bytes = hex(UP);
    bytes.set(values, offset);
    return read(bytes);
  };
  t.is(read(hex('21 e0 03')), 'truncated');
  t.is(read(new Uint8Array(0)), 'truncated');
  t.is(changed(0, 0x01), 'version');
  t.is(changed(0, 0x41), 'version');
  t.is(changed(3, 23), 'length-short');
  // With the A bit there are at least the two bytes of the authentication header.
  t.is(changed(1, 0xe4, 3, 25), 'length-short');
  t.is(changed(3, 25), 'length-overrun');
  t.is(changed(2, 0), 'detect-mult-zero');
  t.is(changed(1, 0xc1), 'multipoint');
  t.is(changed(4, 0, 0, 0, 0), 'my-discriminator-zero');
  t.is(changed(8, 0, 0, 0, 0), 'your-discriminator-zero');
  t.like(changed(1, 0x40, 3, 24, 0, 0, 0, 1, 0, 0, 0, 0), { state: 'Down', yourDiscriminator: 0 });
  t.like(changed(1, 0x00, 3, 24, 0, 0, 0, 1, 0, 0, 0, 0), { state: 'AdminDown', yourDiscriminator: 0 });
});

/** RFC 5880 §6.8.6 once more, as one list in its order. */
function verdict(bytes: Uint8Array): ControlDiscard | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 4) return 'truncated';
  const state = view.getUint8(1) >> 6;
  const authenticated = (view.getUint8(1) & 4) !== 0;
  const checks: readonly (readonly [ControlDiscard, () => boolean])[] = [
    ['version', () => view.getUint8(0) >> 5 !== 1],
    ['length-short', () => view.getUint8(3) < (authenticated ? 26 : 24)],
    ['length-overrun', () => view.getUint8(3) > bytes.length],
    ['detect-mult-zero', () => view.getUint8(2) === 0],
    ['multipoint', () => view.getUint8(1) % 2 === 1],
    ['my-discriminator-zero', () => view.getUint32(4) === 0],
    ['your-discriminator-zero', () => view.getUint32(8) === 0 && state >= 2],
  ];
  return checks.find(([, fails]) => fails())?.[0] ?? null;
}

test('whatever comes, the first fault in the order of the RFC decides', (t) => {
  const seen = new Set<string>();
  const rarely = <T, U>(usual: T, other: fc.Arbitrary<U>) =>
    fc.oneof<fc.MaybeWeightedArbitrary<T | U>[]>(
      { weight: 3, arbitrary: fc.constant(usual) },
      { weight: 1, arbitrary: other },
    );
  const byte = fc.nat(255);
  const packets = fc
    .tuple(
      rarely(0x20, byte),
      byte,
      rarely(3, fc.constantFrom(0, 1, 255)),
      rarely(26, fc.integer({ min: 20, max: 60 })),
      rarely([0, 0, 0, 7], fc.constant([0, 0, 0, 0])),
      rarely([0, 0, 1, 0], fc.constant([0, 0, 0, 0])),
      fc.uint8Array({ minLength: 10, maxLength: 40 }),
    )
    .map(([first, second, mult, length, my, your, rest]) =>
      Uint8Array.from([first, second, mult, length, ...my, ...your, ...rest]),
    );
  fc.assert(
    fc.property(fc.oneof(packets, fc.uint8Array({ maxLength: 60 })), (bytes) => {
      const expected = verdict(bytes);
      seen.add(expected ?? 'accepted');
      const framed = Uint8Array.from([9, ...bytes, 9, 9, 9]);
      t.is(readControl(framed, 1, bytes.length, new ControlPacket()), expected);
    }),
    { numRuns: 3000 },
  );
  t.is(seen.size, 9, 'every verdict has come up');
});

test('what is written is read back', (t) => {
  const word = fc.integer({ min: 1, max: 0xffffffff });
  const fields = fc.record({
    state: fc.constantFrom<BfdState>('AdminDown', 'Down', 'Init', 'Up'),
    diag: fc.nat(31),
    detectMult: fc.integer({ min: 1, max: 255 }),
    myDiscriminator: word,
    yourDiscriminator: word,
    desiredMinTx: word,
    requiredMinRx: fc.nat(0xffffffff),
  });
  fc.assert(
    fc.property(fields, fc.constantFrom(0, FLAG_POLL, FLAG_FINAL, FLAG_DEMAND), (sent, flags) => {
      const bytes = new Uint8Array(CONTROL_LENGTH);
      writeControl(bytes, 0, sent, flags);
      const packet = new ControlPacket();
      t.is(readControl(bytes, 0, bytes.length, packet), null);
      t.deepEqual({ ...packet }, { ...sent, flags, length: 24, requiredMinEchoRx: 0 });
    }),
  );
});

test('an authentication section is told by its name', (t) => {
  const bytes = hex(SHA1);
  const packet = new ControlPacket();
  t.is(readControl(bytes, 0, bytes.length, packet), null);
  t.deepEqual(readAuth(bytes, 0, packet.length), { type: 'Meticulous Keyed SHA1', keyId: 2, sequence: 5 });

  const base = '20 44 05';
  const tail = '00000001 00000000 000f4240 000f4240 00000000';
  const section = (length: string, text: string) => {
    const whole = hex(`${base} ${length} ${tail} ${text}`);
    const into = new ControlPacket();
    t.is(readControl(whole, 0, whole.length, into), null);
    return formatAuth(readAuth(whole, 0, into.length));
  };
  t.is(section('21', '01 09 03 736563726574'), 'Simple Password authentication with key 3');
  t.is(section('34', `04 1c 07 00 00000001 ${'00'.repeat(20)}`), 'Keyed SHA1 authentication with key 7');
  t.is(section('30', `02 18 01 00 00000001 ${'00'.repeat(16)}`), 'Keyed MD5 authentication with key 1');
  t.is(section('1a', '09 02'), 'authentication of the unknown type 9');
  // No password; a password too long; a digest cut short; a section that leaves the packet.
  for (const [length, text] of [
    ['1b', '01 03 01'],
    ['2c', `01 14 01 ${'61'.repeat(17)}`],
    ['33', `04 1b 01 00 00000001 ${'00'.repeat(19)}`],
    ['1b', `04 1c 01 ${'00'.repeat(25)}`],
    ['1a', '01 09 03 736563726574'],
  ] as const)
    t.regex(section(length, text), /^authentication of type \d in a section of a wrong length/);
});

test('no authentication section makes the reader fail', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 26, maxLength: 60 }), (bytes) => {
      t.regex(formatAuth(readAuth(bytes, 0, bytes.length)), /authentication/);
    }),
  );
});
