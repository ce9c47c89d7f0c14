import test from 'ava';
import fc from 'fast-check';
import {
  type EspSuite,
  EspWindow,
  espCapacity,
  espLength,
  ivLength,
  openEsp,
  peekEsp,
  sealEsp,
} from '../../protocols/esp.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (length: number, first = 0) => Uint8Array.from({ length }, (_, i) => first + i);

const suites: readonly (readonly [name: string, suite: EspSuite])[] = [
  ['AES-GCM-128, ICV of 16', { type: 'gcm', key: bytes(16), salt: bytes(4, 90), icvLength: 16 }],
  ['AES-GCM-256, ICV of 8', { type: 'gcm', key: bytes(32), salt: bytes(4, 90), icvLength: 8 }],
  [
    'AES-CBC, HMAC-SHA-256-128',
    { type: 'cbc', key: bytes(16), hmac: 'sha256', authKey: bytes(32), icvLength: 16 },
  ],
  [
    'AES-CBC-256, HMAC-SHA1-96',
    { type: 'cbc', key: bytes(32), hmac: 'sha1', authKey: bytes(20), icvLength: 12 },
  ],
];

function seal(suite: EspSuite, payload: Uint8Array, sequence = 1, high: number | null = null): Uint8Array {
  const packet = new Uint8Array(espLength(suite, payload.length));
  const iv = bytes(ivLength(suite), 40);
  sealEsp(packet, 0, suite, { spi: 0x4321, sequence, high, iv, payload, nextHeader: 4 });
  return packet;
}

test('AES-CBC: the transport-mode ping of RFC 3602 §4, case 5', (t) => {
  const suite: EspSuite = {
    type: 'cbc',
    key: hex('90d382b410eeba7ad938c46cec1a82bf'),
    hmac: 'sha1',
    authKey: bytes(20),
    icvLength: 12,
  };
  const payload = hex(`08000ebd a70a0000 8e9c083d b95b0700 08090a0b 0c0d0e0f 10111213 14151617
    18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637`);
  const packet = new Uint8Array(espLength(suite, payload.length));
  const iv = hex('e96e8c08ab465763fd098d45dd3ff893');
  sealEsp(packet, 0, suite, { spi: 0x4321, sequence: 1, high: null, iv, payload, nextHeader: 1 });
  t.is(
    toHex(packet.subarray(0, -12)),
    toHex(
      hex(`00004321 00000001 e96e8c08 ab465763 fd098d45 dd3ff893
      f663c25d 325c18c6 a9453e19 4e120849 a4870b66 cc6b9965 330013b4 898dc856
      a4699e52 3a55db08 0b59ec3a 8e4b7e52 775b07d1 db34ed9c 538ab50c 551b874a
      a269add0 47ad2d59 13ac19b7 cfbad4a6`),
    ),
  );
});

for (const [name, suite] of suites) {
  test(`${name}: what is sealed opens as it was, and not when a bit of it is another`, (t) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (payload, where) => {
        const packet = seal(suite, payload);
        t.deepEqual(openEsp(packet, 0, packet.length, suite, null), { payload, nextHeader: 4 });
        t.deepEqual(peekEsp(packet, 0, packet.length), { spi: 0x4321, sequence: 1 });
        packet[where % packet.length]! ^= 1 << (where % 8);
        t.is(openEsp(packet, 0, packet.length, suite, null), 'forged');
      }),
    );
  });

  test(`${name}: the upper half of an extended sequence number is not sent, and opens with no other`, (t) => {
    const payload = bytes(50);
    const packet = seal(suite, payload, 7 * 2 ** 32 + 9, 7);
    t.is(packet.length, seal(suite, payload).length);
    t.deepEqual(peekEsp(packet, 0, packet.length), { spi: 0x4321, sequence: 9 });
    t.deepEqual(openEsp(packet, 0, packet.length, suite, 7), { payload, nextHeader: 4 });
    for (const high of [null, 0, 6, 8]) t.is(openEsp(packet, 0, packet.length, suite, high), 'forged');
  });

  test(`${name}: no bytes make opening fail`, (t) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (packet) => {
        const opened = openEsp(packet, 0, packet.length, suite, null);
        t.true(opened === 'malformed' || opened === 'forged');
      }),
    );
  });

  test(`${name}: the capacity of a packet is the most that fits`, (t) => {
    for (let length = 100; length < 1600; length++) {
      const capacity = espCapacity(suite, length);
      t.true(espLength(suite, capacity) <= length);
      t.true(espLength(suite, capacity + 1) > length);
    }
  });
}

test('the replay window against a naive model', (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(80), fc.nat(5_000)), { maxLength: 150 }), (sequences) => {
      const window = new EspWindow(64);
      const seen = new Set<number>();
      let last = 0;
      for (const sequence of sequences) {
        const expected = sequence > 0 && !seen.has(sequence) && sequence > last - 64;
        t.is(window.mayTake(sequence), expected);
        if (!expected) continue;
        window.take(sequence);
        seen.add(sequence);
        last = Math.max(last, sequence);
        t.is(window.last, last);
      }
    }),
  );
});

test('of an extended sequence number the lower half is enough, as far as the window reaches', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4096 }),
      fc.nat(2 ** 40),
      fc.integer({ min: -4095, max: 2 ** 30 }),
      (size, last, ahead) => {
        const window = new EspWindow(size);
        window.take(last);
        const sequence = last + Math.max(ahead, 1 - size);
        if (sequence < 0) return;
        t.is(window.extended(sequence % 2 ** 32), sequence);
      },
    ),
  );
});
