import test from 'ava';
import fc from 'fast-check';
import { defaultConntrackSettings } from '../../../../nodes/kernel/netfilter/ct-settings.ts';
import { isWholeTcp } from '../../../../nodes/kernel/netfilter/tcp-read.ts';
import {
  areValidFlags,
  flagSetOf,
  TCP_STATES,
  transition,
} from '../../../../nodes/kernel/netfilter/tcp-states.ts';
import { TcpTrack } from '../../../../nodes/kernel/netfilter/tcp-track.ts';
import { setU16, setU32 } from '../../../../protocols/bytes.ts';

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const SCALE = Uint8Array.of(2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2);

/** direction, flags, seq, ack, bytes, window; options on a SYN. */
type Step = readonly ['>' | '<', number, number, number, number, number, Uint8Array?];

function segment([, flags, seq, ack, size, window, options = new Uint8Array(0)]: Step): Uint8Array {
  const tcp = new Uint8Array(20 + options.length + size);
  setU32(tcp, 4, seq >>> 0);
  setU32(tcp, 8, ack >>> 0);
  tcp[12] = ((20 + options.length) / 4) << 4;
  tcp[13] = flags;
  setU16(tcp, 14, window);
  tcp.set(options, 20);
  return tcp;
}

/** Verdict, state and time in s after each segment. */
function play(steps: readonly Step[], settings = defaultConntrackSettings()): string[] {
  const track = new TcpTrack();
  const flow = { seenReply: false, assured: false };
  return steps.map((step, index) => {
    const bytes = segment(step);
    if (index === 0 && !track.begin(bytes, 0, bytes.length, settings)) return 'none';
    const direction = step[0] === '>' ? 0 : 1;
    const before = track.state;
    const verdict = track.packet(bytes, 0, bytes.length, direction, flow, settings);
    if (verdict === 'accept' && flow.seenReply && track.assures(before)) flow.assured = true;
    if (verdict !== 'invalid' && direction === 1) flow.seenReply = true;
    return `${verdict} ${track.state}${track.timeout === 0 ? '' : ` ${track.timeout}`}${flow.assured ? ' assured' : ''}`;
  });
}

const OPEN: readonly Step[] = [
  ['>', SYN, 99, 0, 0, 65_535, SCALE],
  ['<', SYN | ACK, 999, 100, 0, 65_535, SCALE],
  ['>', ACK, 100, 1_000, 0, 512],
];

test('a connection opens, carries data and closes', (t) => {
  t.deepEqual(
    play([
      ...OPEN,
      ['>', ACK, 100, 1_000, 10, 512],
      ['<', ACK, 1_000, 110, 0, 512],
      ['>', FIN | ACK, 110, 1_000, 0, 512],
      ['<', ACK, 1_000, 111, 0, 512],
      ['<', FIN | ACK, 1_000, 111, 0, 512],
      ['>', ACK, 111, 1_001, 0, 512],
    ]),
    [
      'accept SYN_SENT 120',
      'accept SYN_RECV 60',
      'accept ESTABLISHED 432000 assured',
      // Data that is not acknowledged shortens the wait.
      'accept ESTABLISHED 300 assured',
      'accept ESTABLISHED 432000 assured',
      'accept FIN_WAIT 120 assured',
      'accept CLOSE_WAIT 60 assured',
      'accept LAST_ACK 30 assured',
      'accept TIME_WAIT 120 assured',
    ],
  );
});

test('a RST that answers a SYN ends the flow; a retransmitted SYN does not keep it alive', (t) => {
  t.deepEqual(
    play([
      ['>', SYN, 99, 0, 0, 1_000],
      ['>', SYN, 99, 0, 0, 1_000],
      ['<', RST | ACK, 0, 100, 0, 0],
    ]),
    ['accept SYN_SENT 120', 'accept SYN_SENT', 'reset CLOSE'],
  );
});

test('a SYN opens a connection anew that was closed or reset', (t) => {
  const again: Step = ['>', SYN, 50_000, 0, 0, 1_000];
  t.is(
    play([...OPEN, ['>', RST, 100, 0, 0, 0], again])
      .at(-1)
      ?.split(' ')[0],
    'reopen',
  );
});

test('loose: a connection is taken up in the middle, and its windows are not held to', (t) => {
  const middle: readonly Step[] = [
    ['>', ACK, 5_000, 9_000, 10, 512],
    ['<', ACK, 9_000, 900_000, 0, 512],
  ];
  t.deepEqual(play(middle), ['accept ESTABLISHED 300', 'accept ESTABLISHED 300']);
  t.is(play(middle, { ...defaultConntrackSettings(), nf_conntrack_tcp_loose: 0 })[0], 'none');
});

test('out of the window a segment is invalid; with be_liberal it is not', (t) => {
  const far: Step = ['>', ACK, 0x4000_0000, 1_000, 10, 512];
  t.is(play([...OPEN, far]).at(-1), 'invalid ESTABLISHED assured');
  const liberal = { ...defaultConntrackSettings(), nf_conntrack_tcp_be_liberal: 1 };
  t.is(play([...OPEN, far], liberal).at(-1), 'accept ESTABLISHED 432000 assured');
});

test('a forged RST beside the window is invalid, one in it but not exact leaves the state', (t) => {
  t.is(
    play([...OPEN, ['<', RST, 900, 0, 0, 0]])
      .at(-1)
      ?.split(' ')[0],
    'invalid',
  );
  t.is(play([...OPEN, ['<', RST, 1_200, 0, 0, 0]]).at(-1), 'accept ESTABLISHED 10 assured');
  t.is(play([...OPEN, ['<', RST, 1_000, 0, 0, 0]]).at(-1), 'accept CLOSE 10 assured');
});

test('the table: nothing leads out of it, and an answer opens no flow', (t) => {
  for (const direction of [0, 1] as const)
    for (let set = 0; set < 6; set++)
      for (const [state] of TCP_STATES.entries()) {
        const next = transition(direction, set, state);
        t.true(next < TCP_STATES.length || next === 10 || next === 11);
        if (direction === 1 && state === 0) t.is(next, 10);
      }
});

test('of all combinations of flags those are valid that a TCP sends (tcp_valid_flags)', (t) => {
  const valid = Array.from({ length: 64 }, (_, flags) => flags).filter((flags) => areValidFlags(flags & ~8));
  t.deepEqual(
    valid.filter((flags) => (flags & 8) === 0),
    [2, 4, 16, 17, 18, 20, 34, 48, 49],
  );
  t.is(flagSetOf(SYN | RST), flagSetOf(RST));
});

test('whatever comes, it is judged, and the time is that of a timeout', (t) => {
  const settings = defaultConntrackSettings();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.uint8Array({ minLength: 20, maxLength: 80 })), { maxLength: 20 }),
      (packets) => {
        const track = new TcpTrack();
        const flow = { seenReply: false, assured: false };
        let begun = false;
        for (const [answer, bytes] of packets) {
          if (!isWholeTcp(bytes, 0, bytes.length)) continue;
          begun ||= track.begin(bytes, 0, bytes.length, settings);
          if (!begun) continue;
          track.packet(bytes, 0, bytes.length, answer ? 1 : 0, flow, settings);
          t.true(TCP_STATES.includes(track.state) && track.timeout >= 0 && track.timeout <= 432_000);
        }
      },
    ),
    { numRuns: 300 },
  );
});
