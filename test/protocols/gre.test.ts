import test from 'ava';
import fc from 'fast-check';
import { decodeGre, greLength, writeGre } from '../../protocols/gre.ts';

const u32 = fc.nat(0xffffffff);
const header = fc.record({
  etherType: fc.nat(0xffff),
  checksum: fc.boolean(),
  key: fc.option(u32),
  sequence: fc.option(u32),
});

test('what is written is read', (t) => {
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 80 }), fc.nat(9), (gre, payload, off) => {
      const length = greLength(gre);
      const buf = new Uint8Array(off + length + payload.length);
      buf.set(payload, off + length);
      writeGre(buf, off, gre);
      t.deepEqual(decodeGre(buf, off, buf.length - off), { ...gre, payloadOffset: off + length });
    }),
  );
});

test('RFC 2890: a header with checksum, key and sequence, byte by byte', (t) => {
  const buf = new Uint8Array(16);
  writeGre(buf, 0, { etherType: 0x0800, checksum: true, key: 0x01020304, sequence: 5 });
  const sum = 0xffff - ((0xb000 + 0x0800 + 0x0102 + 0x0304 + 0x0005) & 0xffff);
  t.deepEqual([...buf], [0xb0, 0, 8, 0, sum >> 8, sum & 0xff, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5]);
});

test('a wrong checksum, a version, source routing and what is cut off are none', (t) => {
  const buf = new Uint8Array(12);
  writeGre(buf, 0, { etherType: 0x0800, checksum: true, key: null, sequence: null });
  t.not(decodeGre(buf, 0, 12), null);
  buf[11] = 1;
  t.is(decodeGre(buf, 0, 12), null);
  t.is(decodeGre(Uint8Array.of(0, 1, 8, 0), 0, 4), null);
  t.is(decodeGre(Uint8Array.of(0x40, 0, 8, 0, 0, 0, 0, 0), 0, 8), null);
  t.is(decodeGre(Uint8Array.of(0x20, 0, 8, 0, 1), 0, 5), null);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => void decodeGre(bytes, 0, bytes.length)));
});
