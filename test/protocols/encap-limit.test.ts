import test from 'ava';
import fc from 'fast-check';
import { ENCAP_LIMIT_HLEN, findEncapLimit, writeEncapLimit } from '../../protocols/encap-limit.ts';
import { IPV6_HLEN } from '../../protocols/ipv6.ts';

const NEXT_DEST_OPTIONS = 60;

// RFC 2473 §5.1: the option at the beginning of its header, PadN of one zero behind it.
test('the limit stands in a header of destination options', (t) => {
  const buf = new Uint8Array(ENCAP_LIMIT_HLEN);
  writeEncapLimit(buf, 0, 41, 4);
  t.deepEqual([...buf], [41, 0, 4, 1, 4, 1, 1, 0]);
});

test('what was written is found, wherever the packet is', (t) => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(255), (off, limit) => {
      const buf = new Uint8Array(off + IPV6_HLEN + ENCAP_LIMIT_HLEN);
      buf[off + 6] = NEXT_DEST_OPTIONS;
      writeEncapLimit(buf, off + IPV6_HLEN, 59, limit);
      const at = findEncapLimit(buf, off, buf.length);
      return at === IPV6_HLEN + 2 && buf[off + at + 2] === limit;
    }),
  );
  t.pass();
});

test('any bytes are read without an end in them', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 40, maxLength: 120 }),
      fc.constantFrom(0, 43, 44, 51, 60),
      (bytes, next) => {
        bytes[6] = next;
        const at = findEncapLimit(bytes, 0, bytes.length);
        return at === 0 || (bytes[at] === 4 && bytes[at + 1] === 1 && at + 3 <= bytes.length);
      },
    ),
  );
  t.pass();
});
