import fc from 'fast-check';
import type { IpFamily } from '../../../protocols/ip.ts';
import { join, maybe, negatable, one, option } from './rule-words.ts';

/**
 * Matches beside those of every day, but for connlimit, in which Linux counts flows that are gone until its clock ticks. Each
 * may decide about the packets of `drawnPacket`, or of `drawnPacket6`.
 */
export function extensionMatches(family: IpFamily): fc.Arbitrary<string>[] {
  // The first 32 bits, the length, what is above IP, and a port, in each family's place.
  const u32 =
    family === 'inet'
      ? ['0&0xffff=28:60', '6&0xff=6,17', '0>>22&0x3c@0&0xffff=80,443', '4&0x4000>>14=1', '0>>22&0x3c@12=0:5']
      : ['4>>16=20:60', '4>>8&0xff=6,17', '40&0xffff=80,443', '8=0x20010db8', '0>>20&0xff=0x10'];
  const inPacket = family === 'inet' ? '|0a000202|' : '|20010db80002|';
  return [
    join(
      one('-m string --algo bm', '-m string --algo kmp'),
      negatable(
        one('--string "abc"', '--string "\'()"', '--hex-string "|101112|"', `--hex-string "${inPacket}"`),
      ),
      maybe(one('--from 10', '--from 20 --to 60', '--to 30', '--to 41', '--to 80')),
      maybe(one('--icase')),
    ),
    join(one('-m u32'), negatable(option('--u32', ...u32.map((text) => `"${text}"`)))),
    join(one('-m ecn'), negatable(option('--ecn-ip-ect', '0', '3'))),
    join(one('-m quota'), negatable(option('--quota', '0', '100', '400', '3000'))),
    join(
      one('-m connbytes'),
      negatable(option('--connbytes', '2', '2:3', '100:400', ':60')),
      option('--connbytes-mode', 'packets', 'bytes', 'avgpkt'),
      option('--connbytes-dir', 'both', 'original', 'reply'),
    ),
    negatable(one('-m helper --helper ftp')).map((text) =>
      text.startsWith('!') ? '-m helper ! --helper ftp' : text,
    ),
    one('-m policy --pol none --dir in', '-m policy --pol none --dir out', '-m policy --pol ipsec --dir in'),
  ];
}

/** The same of packets of one protocol. */
export const extensionProtocols: readonly fc.Arbitrary<string>[] = [
  join(one('-p tcp -m tcpmss'), negatable(option('--mss', '1460', '0:1000', '500:'))),
  join(
    one('-p tcp -m ecn'),
    negatable(one('--ecn-tcp-ece', '--ecn-tcp-cwr')),
    maybe(option('--ecn-ip-ect', '3')),
  ),
];

/** `-m rpfilter`, which has its place before routing alone. */
export const reversePath: fc.Arbitrary<string> = join(
  one('-m rpfilter'),
  maybe(one('--loose')),
  maybe(one('--accept-local')),
  maybe(one('--validmark')),
  maybe(one('--invert')),
);

/** What changes packets, or tells of them. */
export function extensionTargets(family: IpFamily): fc.Arbitrary<string> {
  const ecn = one(
    '-p tcp -j ECN --ecn-tcp-remove',
    '-p tcp -j ECN --ecn-tcp-ece 1',
    '-p tcp -j ECN --ecn-tcp-cwr 1 --ecn-tcp-ece 0',
    '-j ECN --ecn-ip-ect 0',
    '-j ECN --ecn-ip-ect 2',
  );
  const others = one(
    '-j CHECKSUM --checksum-fill',
    '-j CLASSIFY --set-class 1:2',
    '-j NFLOG --nflog-group 3',
  );
  return family === 'inet' ? fc.oneof(ecn, others) : others;
}
