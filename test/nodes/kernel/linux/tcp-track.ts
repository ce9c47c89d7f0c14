import { settleIpId } from '../../../interop/linux/settle.ts';
import type { CaseGroup } from './case.ts';
import { connection, DATA, FIRST, FOLLOWED, NEXT, OPEN, RESET, SCALED, type Segment } from './connection4.ts';

/** The SYN of the other end, which begins at 1,000. */
const SECOND: Segment = { from: 'server', flags: ['syn'], seq: 1_000, window: 65_535, options: SCALED };
const ANSWER: Segment = { ...FIRST, flags: ['syn', 'ack'], ack: 1_001 };

/** What once differed from Linux in `test/interop/tcp-track.test.ts`, and what stands right beside it. */
export const tcpTrackCases: CaseGroup = {
  name: 'tcp-track',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'a RST without an ACK closes what both ends have just opened, if it comes from who was last told so',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        SECOND,
        { from: 'server', flags: ['rst'], seq: 0x4000_0000 },
        { from: 'client', flags: ['rst'], seq: 0x4000_0000 },
        { from: 'client', flags: ['ack'], seq: NEXT, ack: 1_001 },
      ),
    },
    {
      name: 'what closes a connection for a SYN that was passed over is the RST of the other end alone',
      setUp: FOLLOWED,
      steps: connection(
        ...OPEN,
        { ...FIRST, seq: 0x2000_0000 },
        { from: 'client', flags: RESET, seq: 0x6000_0000, ack: 0x2000_0001 },
        { ...FIRST, seq: 0x2000_0000 },
        { from: 'server', flags: RESET, seq: 0x6000_0000, ack: 0x2000_0001 },
      ),
    },
    {
      name: 'what closes a connection for an ACK that was passed over is the RST of either end',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        { from: 'server', flags: ['ack'], seq: 5_000, ack: 777, size: 10 },
        { from: 'server', flags: RESET, seq: 0x6000_0000, ack: 5_010 },
      ),
    },
    {
      name: 'a RST that acknowledges something has to be in the window of what both ends have opened',
      setUp: FOLLOWED,
      steps: connection(FIRST, SECOND, { from: 'server', flags: RESET, seq: 0x4000_0000, ack: NEXT }),
    },
    {
      name: 'a connection that both ends have opened is established by the ACK of the second',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        SECOND,
        ANSWER,
        { from: 'server', flags: ['ack'], seq: 1_001, ack: NEXT, window: 512 },
        { from: 'client', flags: DATA, seq: NEXT, ack: 1_001, window: 512, size: 100 },
      ),
    },
    {
      name: 'the SYN and ACK of both ends make a connection that both have opened',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        SECOND,
        ANSWER,
        { ...SECOND, flags: ['syn', 'ack'], ack: NEXT },
        { from: 'client', flags: ['ack'], seq: NEXT, ack: 1_001, window: 512 },
      ),
    },
    {
      name: 'a SYN with options that begins anew takes back what its sender has acknowledged',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        SECOND,
        ANSWER,
        { ...ANSWER, seq: FIRST.seq! + 50, ack: 70_000 },
        { from: 'server', flags: ['rst'], seq: 900, window: 65_535 },
      ),
    },
    {
      name: 'who was taken up in the middle is not held to windows after a SYN that was passed over either',
      setUp: FOLLOWED,
      steps: connection(
        { from: 'client', flags: ['ack'], seq: 100, ack: 1_000, window: 65_535 },
        { from: 'server', flags: ['ack'], seq: 1_000, ack: 100, window: 65_535 },
        { ...FIRST, seq: 0x2000_0000 },
        { ...SECOND, flags: ['syn', 'ack'], ack: 0x2000_0001 },
        { from: 'client', flags: ['ack'], seq: 0x2000_0001, ack: 1_001, window: 512 },
        { from: 'server', flags: DATA, seq: 0x6000_0000, ack: 0x2000_0001, window: 512, size: 100 },
        { from: 'client', flags: DATA, seq: 0x6000_0000, ack: 1_001, window: 512, size: 100 },
      ),
    },
    {
      name: 'the same ACK comes again where it was passed over at first, whatever the windows are scaled by',
      setUp: FOLLOWED,
      steps: (() => {
        const ack: Segment = { from: 'server', flags: ['ack'], seq: 1_001, ack: NEXT, window: 512 };
        return connection(FIRST, ack, SECOND, ANSWER, ack, ack, ack);
      })(),
    },
    {
      name: 'a RST in order closes a connection, one in its window does not',
      setUp: FOLLOWED,
      steps: connection(
        ...OPEN,
        { from: 'server', flags: ['rst'], seq: 1_100 },
        { from: 'server', flags: ['rst'], seq: 1_000 },
      ),
    },
  ],
};
