import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { blake2s } from '../../../protocols/wireguard/blake2s.ts';
import {
  clampKey,
  formatKey,
  kdf,
  open,
  parseKey,
  publicKeyOf,
  seal,
  sharedSecret,
} from '../../../protocols/wireguard/crypto.ts';
import { decodeMessage } from '../../../protocols/wireguard/messages.ts';
import { tai64n } from '../../../protocols/wireguard/noise.ts';
import { ReplayWindow, WINDOW_SIZE } from '../../../protocols/wireguard/replay-window.ts';
import { paddedLength } from '../../../protocols/wireguard/session.ts';
import { hchacha20, xopen, xseal } from '../../../protocols/wireguard/xchacha.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const toHex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('hex'));

test('BLAKE2s: RFC 7693 appendix B, and the reference implementation with a key', (t) => {
  const none = new Uint8Array(0);
  t.is(
    toHex(blake2s(none, Buffer.from('abc'))),
    '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982',
  );
  // blake2s-kat.txt of the BLAKE2 package: key 00…1f, no data and 00.
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  t.is(toHex(blake2s(key, none)), '48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49');
  t.is(
    toHex(blake2s(key, Uint8Array.of(0))),
    '40d15fee7c328830166ac3f918650f807e7e01e177258cdc0a39b11f598066f1',
  );
});

test('BLAKE2s without a key is that of OpenSSL, whatever the length', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      t.is(toHex(blake2s(new Uint8Array(0), data)), createHash('blake2s256').update(data).digest('hex'));
    }),
  );
});

test('X25519: RFC 7748 §6.1; a point of small order is none', (t) => {
  const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  t.is(toHex(publicKeyOf(bob)), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  const alice = hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
  t.is(toHex(sharedSecret(bob, alice)), '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742');
  t.is(sharedSecret(bob, new Uint8Array(32)), null);
});

test('a public key is that of `wg pubkey` (wireguard-tools 1.0.20210914)', (t) => {
  const key = parseKey('CD/qi2k5T4Yvnr9jB9k0ui6k6DyWlm9XRsNjOE8VIFA=');
  t.truthy(key);
  if (key === null) return;
  t.is(formatKey(publicKeyOf(key)), 'mXJDP0WGQIycNnal/D5y7FWT/vfPpJStusTR+lGKvG8=');
  t.deepEqual(publicKeyOf(clampKey(key)), publicKeyOf(key));
});

test('keys are base64 of 32 bytes and of nothing else', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      t.deepEqual(parseKey(formatKey(key)), key);
    }),
  );
  t.is(parseKey('mXJDP0WGQIycNnal/D5y7FWT/vfPpJStusTR+lGKvG9='), null);
  t.is(parseKey(''), null);
});

test('what is sealed opens under its key and counter alone', (t) => {
  const [key, other] = kdf(new Uint8Array(32), Buffer.from('x'));
  const aad = Buffer.from('aad');
  const sealed = seal(key, 2 ** 40 + 7, Buffer.from('plain'), aad);
  t.is(Buffer.from(open(key, 2 ** 40 + 7, sealed, aad) ?? []).toString(), 'plain');
  t.is(open(key, 7, sealed, aad), null);
  t.is(open(other, 2 ** 40 + 7, sealed, aad), null);
  t.is(open(key, 2 ** 40 + 7, sealed, Buffer.from('bad')), null);
  t.is(open(key, 0, new Uint8Array(3), aad), null);
});

test('HChaCha20 and XChaCha20-Poly1305: draft-irtf-cfrg-xchacha §2.2.1, A.3.1', (t) => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  t.is(
    toHex(hchacha20(key, hex('000000090000004a0000000031415927'))),
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
  );
  const plain = Buffer.from(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const nonce = hex('404142434445464748494a4b4c4d4e4f5051525354555657');
  const sealKey = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const aad = hex('50515253c0c1c2c3c4c5c6c7');
  const sealed = xseal(sealKey, nonce, plain, aad);
  t.is(toHex(sealed.subarray(0, 16)), 'bd6d179d3e83d43b9576579493c0e939');
  t.is(toHex(sealed.subarray(-16)), 'c0875924c1c7987947deafd8780acf49');
  t.deepEqual(xopen(sealKey, nonce, sealed, aad), Uint8Array.from(plain));
  t.is(xopen(sealKey, nonce, sealed, new Uint8Array(0)), null);
});

test('TAI64N grows with the time and begins at 2^62 + 10 s', (t) => {
  t.is(toHex(tai64n(0)), '400000000000000a00000000');
  t.is(toHex(tai64n(1_000)), '400000000000000b00000000');
  // 500 ms is 0x1dcd6500 ns.
  t.is(toHex(tai64n(500)), '400000000000000a1d000000');
});

test('no bytes make decoding a message fail', (t) => {
  const types = fc.constantFrom(1, 2, 3, 4, 5);
  const lengths = fc.constantFrom(0, 3, 4, 16, 31, 32, 63, 64, 92, 148, 200);
  fc.assert(
    fc.property(types, lengths, fc.uint8Array({ minLength: 200, maxLength: 200 }), (type, length, bytes) => {
      bytes.set([type, 0, 0, 0]);
      const message = decodeMessage(bytes.subarray(0, length));
      const expected = [0, length === 148, length === 92, length === 64, length >= 32, false][type] === true;
      t.is(message !== null, expected);
    }),
  );
});

test('the replay window takes each counter once, against a naive model', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(200), fc.nat(20_000), fc.nat({ max: 2 ** 31 - 1 })), { maxLength: 200 }),
      (counters) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let next = 0;
        for (const counter of counters) {
          const expected = !seen.has(counter) && counter + WINDOW_SIZE >= next;
          t.is(window.take(counter), expected, `${counter}`);
          if (!expected) continue;
          seen.add(counter);
          next = Math.max(next, counter + 1);
        }
      },
    ),
  );
});

test('packets are padded to 16 bytes, and to no more than the MTU', (t) => {
  t.is(paddedLength(0, 1420), 0);
  t.is(paddedLength(84, 1420), 96);
  t.is(paddedLength(1420, 1420), 1420);
  t.is(paddedLength(1417, 1420), 1420);
});
