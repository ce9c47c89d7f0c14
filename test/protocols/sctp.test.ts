import test from 'ava';
import fc from 'fast-check';
import { setU32, u32 } from '../../protocols/bytes.ts';
import { CRC32C_START, crc32cOf, crc32cUpdate } from '../../protocols/crc32c.ts';
import { SCTP_CHECKSUM, SCTP_HLEN, sctpChecksum } from '../../protocols/sctp.ts';

/** Bit by bit, by the polynomial as it is written (RFC 9260 appendix A). */
function naive(bytes: Uint8Array): number {
  let rest = 0xffff_ffff;
  for (const byte of bytes)
    for (let bit = 0; bit < 8; bit++) {
      const top = (rest >>> 31) ^ ((byte >>> bit) & 1);
      rest = ((rest << 1) ^ (top === 1 ? 0x1edc_6f41 : 0)) >>> 0;
    }
  let turned = 0;
  for (let bit = 0; bit < 32; bit++) turned = ((turned << 1) | ((~rest >>> bit) & 1)) >>> 0;
  return turned;
}

test('CRC32c of what RFC 3720 (B.4) and everybody has it of', (t) => {
  const sum = (bytes: Uint8Array) => crc32cOf(crc32cUpdate(CRC32C_START, bytes, 0, bytes.length));
  t.is(sum(new TextEncoder().encode('123456789')), 0xe306_9283);
  t.is(sum(new Uint8Array(32)), 0x8a91_36aa);
  t.is(sum(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
  t.is(sum(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd_794e);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => t.is(sum(bytes), naive(bytes))));
});

test('the checksum of SCTP is over all but itself, its lowest byte first', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: SCTP_HLEN, maxLength: 100 }), fc.nat(9), (packet, at) => {
      const frame = new Uint8Array(at + packet.length);
      frame.set(packet, at);
      const bare = packet.slice();
      setU32(bare, SCTP_CHECKSUM, 0);
      setU32(frame, at + SCTP_CHECKSUM, sctpChecksum(frame, at, frame.length));
      t.is(new DataView(frame.buffer).getUint32(at + SCTP_CHECKSUM, true), naive(bare));
      t.is(sctpChecksum(frame, at, frame.length), u32(frame, at + SCTP_CHECKSUM));
    }),
  );
});
