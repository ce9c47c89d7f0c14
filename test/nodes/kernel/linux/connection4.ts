import { type CaseStep, send, show, trimmed } from './case.ts';
import { packet4 } from './frames4.ts';
import { ROUTER } from './router4.ts';
import { type Tcp, tcp } from './transport.ts';

/** Flows, their times in tens of seconds, begun ones for whole. */
export const flows = show('conntrack -L', (text) =>
  trimmed(text)
    .split('\n')
    .filter((line) => /^\w+ +\d+ \d+ /.test(line))
    .map((line) =>
      line.replace(/^(\w+ +\d+) (\d+) /, (_, proto, left) => `${proto} ${Math.ceil(left / 10) * 10} `),
    )
    .join('\n'),
);

export interface Segment extends Partial<Tcp> {
  readonly from: 'client' | 'server';
  readonly flags: Tcp['flags'];
}

export const SCALED = [2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2];
export const FIRST: Segment = {
  from: 'client',
  flags: ['syn'],
  seq: 0xffff_ff00,
  window: 65_535,
  options: SCALED,
};
export const DATA = ['psh', 'ack'] as const;
export const RESET = ['rst', 'ack'] as const;
export const END = ['fin', 'ack'] as const;
/** The first sequence number after it. */
export const NEXT = 0xffff_ff01;

/** A connection that is open, from 100 and 1,000 on. */
export const OPEN: readonly Segment[] = [
  { from: 'client', flags: ['syn'], seq: 99, window: 65_535, options: SCALED },
  { from: 'server', flags: ['syn', 'ack'], seq: 999, ack: 100, window: 65_535, options: SCALED },
  { from: 'client', flags: ['ack'], seq: 100, ack: 1_000, window: 512 },
];

/** Segments between 10.0.1.2 and 10.0.2.2, and the flow after each. */
export function connection(...segments: readonly Segment[]): CaseStep[] {
  return segments.flatMap(({ from, ...segment }) => {
    const frame =
      from === 'client'
        ? packet4({
            src: '10.0.1.2',
            dst: '10.0.2.2',
            upper: tcp({ srcPort: 1_000, dstPort: 80, ...segment }),
          })
        : packet4({
            src: '10.0.2.2',
            dst: '10.0.1.2',
            upper: tcp({ srcPort: 80, dstPort: 1_000, ...segment }),
          });
    return [send(from === 'client' ? 0 : 1, frame), flows];
  });
}

/** A router that follows, and drops what is of no flow. */
export const FOLLOWED = [...ROUTER, 'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP'];
