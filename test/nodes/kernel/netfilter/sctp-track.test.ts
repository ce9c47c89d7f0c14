import test from 'ava';
import fc from 'fast-check';
import { defaultConntrackSettings } from '../../../../nodes/kernel/netfilter/ct-settings.ts';
import { SCTP_STATES, SctpTrack } from '../../../../nodes/kernel/netfilter/sctp-track.ts';
import { run } from '../../tools/support/run.ts';
import { routed } from './lab.ts';

const chunk = fc
  .tuple(fc.nat(15), fc.nat(3), fc.uint8Array({ maxLength: 24 }), fc.constantFrom(0, 0, 0, 1, -1, 9))
  .map(([type, flags, value, off]) => {
    const length = Math.max(0, 4 + value.length + off);
    return [
      type,
      flags,
      length >> 8,
      length & 0xff,
      ...value,
      ...new Uint8Array((4 - (value.length % 4)) % 4),
    ];
  });

test('no bytes stop an association from being followed, and it stays in a state that there is', (t) => {
  const settings = defaultConntrackSettings();
  const packet = fc.record({
    tag: fc.nat(3),
    chunks: fc.array(chunk, { maxLength: 4 }),
    cut: fc.nat(6),
    direction: fc.constantFrom(0 as const, 1 as const),
  });
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 12 }), (packets) => {
      const track = new SctpTrack();
      let known: 'new' | 'known' = 'new';
      for (const { tag, chunks, cut, direction } of packets) {
        const whole = Uint8Array.of(0, 1, 0, 2, 0, 0, 0, tag, 0, 0, 0, 0, ...chunks.flat());
        const bytes = whole.subarray(0, Math.max(12, whole.length - cut));
        const way = known === 'new' ? 0 : direction;
        const verdict = track.packet(bytes, 0, bytes.length, way, known, settings);
        t.true(SCTP_STATES.includes(track.state));
        if (verdict === 'accept') known = 'known';
        else t.is(track.timeout, 0);
      }
    }),
  );
});

test('conntrack -p sctp --state names states of SCTP alone', (t) => {
  const { root } = routed().a.kernel;
  t.is(run('conntrack -L -p sctp --state COOKIE_WAIT', root).code, 0);
  t.regex(run('conntrack -L -p sctp --state SYN_SENT', root).text, /unknown SCTP state `SYN_SENT'/);
});
