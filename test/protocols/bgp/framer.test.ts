import test from 'ava';
import fc from 'fast-check';
import { MessageType } from '../../../protocols/bgp/constants.ts';
import { Framer } from '../../../protocols/bgp/framer.ts';
import { encodeKeepalive, frameMessage, messageType } from '../../../protocols/bgp/header.ts';
import { encodeNotification, notification } from '../../../protocols/bgp/notification.ts';
import { encodeRouteRefresh } from '../../../protocols/bgp/route-refresh.ts';

function drain(framer: Framer): { messages: Uint8Array[]; error: string | null } {
  const messages: Uint8Array[] = [];
  for (;;) {
    const framed = framer.next();
    if (framed === null) return { messages, error: null };
    if (!framed.ok) {
      const { code, subcode, data } = framed.error;
      return { messages, error: `${code}/${subcode} ${Buffer.from(data).toString('hex')}`.trim() };
    }
    messages.push(framed.message);
  }
}

const message = fc.oneof(
  fc.constant(encodeKeepalive()),
  fc.uint8Array({ maxLength: 60 }).map((data) => encodeNotification(notification(6, 2, data))),
  fc.nat(200).map((length) => frameMessage(MessageType.update, 4 + length)),
  fc.constant(encodeRouteRefresh({ family: { afi: 1, safi: 1 }, subtype: 0 })),
);

test('a stream yields its messages however it is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      (messages, cuts) => {
        const stream = Buffer.concat(messages);
        const framer = new Framer();
        const found: Uint8Array[] = [];
        let at = 0;
        for (let i = 0; at < stream.length; i++) {
          const size = cuts.length === 0 ? stream.length : cuts[i % cuts.length]!;
          framer.push(stream.subarray(at, at + size));
          at += size;
          const { messages: some, error } = drain(framer);
          t.is(error, null);
          found.push(...some);
        }
        t.is(framer.pending, 0);
        t.deepEqual(
          found.map((each) => Buffer.from(each).toString('hex')),
          messages.map((each) => Buffer.from(each).toString('hex')),
        );
      },
    ),
  );
});

test('a message is a copy of its own', (t) => {
  const chunk = Uint8Array.from(encodeKeepalive());
  const framer = new Framer();
  framer.push(chunk);
  const framed = framer.next();
  chunk.fill(0);
  t.true(framed?.ok);
  if (framed?.ok) t.is(messageType(framed.message), MessageType.keepalive);
});

/** RFC 4271 §6.1, each with the header that provokes it: marker's last byte, length, type. */
const HEADER_ERRORS: readonly (readonly [string, number, number, number, string])[] = [
  ['marker', 0xfe, 19, 4, '1/1'],
  ['shorter than a header', 0xff, 18, 4, '1/2 0012'],
  ['longer than a message', 0xff, 4097, 2, '1/2 1001'],
  ['short OPEN', 0xff, 28, 1, '1/2 001c'],
  ['short UPDATE', 0xff, 22, 2, '1/2 0016'],
  ['short NOTIFICATION', 0xff, 20, 3, '1/2 0014'],
  ['KEEPALIVE with a body', 0xff, 20, 4, '1/2 0014'],
  ['type 0', 0xff, 19, 0, '1/3 00'],
  ['type 6', 0xff, 19, 6, '1/3 06'],
];

for (const [name, marker, length, type, expected] of HEADER_ERRORS) {
  test(`header error: ${name}`, (t) => {
    const header = new Uint8Array(19).fill(0xff);
    header[15] = marker;
    header[16] = length >> 8;
    header[17] = length;
    header[18] = type;
    const framer = new Framer();
    framer.push(header);
    t.is(drain(framer).error, expected);
  });
}

test('random bytes give messages, an error, or a wait for more; never an exception', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const framer = new Framer();
      framer.push(bytes);
      drain(framer);
    }),
  );
  t.pass();
});
