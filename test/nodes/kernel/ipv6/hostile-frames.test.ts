import test from 'ava';
import fc from 'fast-check';
import { sealIcmpv6 } from '../../../../protocols/icmpv6.ts';
import { readIp6 } from '../../../../protocols/ip6.ts';
import { foldOf, pinger, routed } from './lab.ts';

test('no IPv6 frame brings a kernel down, whatever its headers say', (t) => {
  const { net, a, r } = routed();
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 15, maxLength: 200 }),
      fc.constantFrom(0, 6, 17, 43, 44, 51, 58, 59, 60, 99),
      fc.constantFrom('2001:db8:1::1', 'group', 'forward', 'any'),
      fc.integer({ min: 0, max: 140 }),
      fc.boolean(),
      (bytes, next, dst, type, sealed) => {
        const frame = bytes.slice();
        const router = r.kernel.root.device('eth0')!;
        for (let i = 0; i < 6; i++) frame[i] = Math.floor(router.mac / 256 ** (5 - i)) % 256;
        frame.set([0x86, 0xdd, 0x60], 12);
        if (frame.length > 54) {
          const length = frame.length - 54;
          frame.set([length >> 8, length & 0xff, next, 255, 0x20, 0x01, 0x0d, 0xb8, 0, 1], 18);
          if (dst !== 'any') frame.fill(0, 38, 54);
          if (dst === 'group') frame.set([0xff, 2], 38);
          else if (dst !== 'any') frame.set([0x20, 0x01, 0x0d, 0xb8, 0, dst === 'forward' ? 2 : 1], 38);
          if (dst !== 'any') frame[53] = 1;
          if (next === 58 && length >= 8) {
            frame.set([type, 0], 54);
            if (sealed) sealIcmpv6(frame, 54, length, readIp6(frame, 22), readIp6(frame, 38));
          }
        }
        r.kernel.receive(0, frame);
      },
    ),
    { numRuns: 3000 },
  );
  net.advance(120_000);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2');
  net.advance(5_000);
  t.is(ping.replies.length, 1);
});
