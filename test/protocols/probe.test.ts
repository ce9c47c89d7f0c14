import test from 'ava';
import fc from 'fast-check';
import {
  answer,
  encodeProbe,
  isProbeRequest,
  mayBeProbe,
  PROBE_HLEN,
  ProbeFieldError,
  ProbeReplyReader,
  replyTemplate,
} from '../../protocols/probe.ts';

const header = fc.record({
  probe: fc.nat({ max: 0xffffffff }),
  seq: fc.nat({ max: 0xffffffff }),
  sentAt: fc.double({ noNaN: true }),
});
const replyTo = (template: Uint8Array, request: Uint8Array, off: number) => {
  answer(template, request, off);
  return template;
};
const text = fc.string({ maxLength: 50, unit: 'grapheme' });

test('a reply gives back what the request said, with who replied', (t) => {
  const reader = new ProbeReplyReader();
  fc.assert(
    fc.property(header, text, text, fc.nat({ max: 9 }), (sent, uid, name, offset) => {
      const request = new Uint8Array(PROBE_HLEN + 20);
      request.set(encodeProbe(sent), offset);
      t.true(isProbeRequest(request, offset, request.length - offset));
      const reply = replyTo(replyTemplate(uid, name), request, offset);
      t.deepEqual(reader.read(reply), { ...sent, uid, name });
      const shifted = new Uint8Array(reply.length + 3);
      shifted.set(reply, 3);
      t.deepEqual(reader.read(shifted.subarray(3)), { ...sent, uid, name });
    }),
  );
});

test('the layout is as documented', (t) => {
  const request = encodeProbe({ probe: 0x01020304, seq: 0xfffefdfc, sentAt: 1.5 });
  t.is(Buffer.from(request).toString('hex'), '52525042010100000' + '1020304fffefdfc3ff8000000000000');
  const reply = replyTo(replyTemplate('u', 'ns/n'), request, 0);
  t.is(
    Buffer.from(reply).toString('hex'),
    '52525042010201040' + '1020304fffefdfc3ff8000000000000' + '75' + '6e732f6e',
  );
});

test('replies that differ only in uid or in how the tail is split are told apart', (t) => {
  const reader = new ProbeReplyReader();
  const request = encodeProbe({ probe: 1, seq: 1, sentAt: 0 });
  const read = (uid: string, name: string) => {
    const reply = reader.read(replyTo(replyTemplate(uid, name), request, 0));
    return [reply?.uid, reply?.name];
  };
  t.deepEqual(read('ab', 'c'), ['ab', 'c']);
  t.deepEqual(read('a', 'bc'), ['a', 'bc']);
  t.deepEqual(read('xb', 'c'), ['xb', 'c']);
  t.deepEqual(read('', ''), ['', '']);
});

test('a uid of more than 255 bytes is refused', (t) => {
  t.throws(() => replyTemplate('u'.repeat(256), 'n'), { instanceOf: ProbeFieldError });
  t.throws(() => replyTemplate('u', 'ä'.repeat(128)), { instanceOf: ProbeFieldError });
  t.notThrows(() => replyTemplate('u'.repeat(255), 'n'.repeat(255)));
});

test('a request is no reply, a reply no request, and neither is shorter or longer than itself', (t) => {
  const reader = new ProbeReplyReader();
  const request = encodeProbe({ probe: 1, seq: 2, sentAt: 3 });
  const reply = replyTo(replyTemplate('uid', 'name'), request, 0);
  t.is(reader.read(request), null);
  t.false(isProbeRequest(reply, 0, reply.length));
  t.false(isProbeRequest(request, 0, PROBE_HLEN - 1));
  for (let length = 0; length < reply.length; length++) t.is(reader.read(reply.subarray(0, length)), null);
  t.is(reader.read(Uint8Array.from([...reply, 0])), null);
});

test('every beginning of a request may become one; what departs from it may not', (t) => {
  const request = encodeProbe({ probe: 1, seq: 2, sentAt: 3 });
  for (let length = 0; length <= request.length; length++) t.true(mayBeProbe(request, 0, length));
  for (let i = 0; i < 6; i++) {
    const other = request.slice();
    other[i]! ^= 0x40;
    t.false(mayBeProbe(other, 0, i + 1));
    t.true(mayBeProbe(other, 0, i));
  }
});

test('no bytes make the reader fail', (t) => {
  const reader = new ProbeReplyReader();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, headed) => {
      if (headed && bytes.length > 6) bytes.set([0x52, 0x52, 0x50, 0x42, 1, 2]);
      t.notThrows(() => {
        reader.read(bytes);
        isProbeRequest(bytes, 0, bytes.length);
        mayBeProbe(bytes, 0, bytes.length);
      });
    }),
  );
});
