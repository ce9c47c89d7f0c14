import fc from 'fast-check';
import type { IpFamily } from '../../../../protocols/ip.ts';
import { maybe, negatable, one, value, type Words, words } from './iptables-words.ts';

/** Matches and targets beside those of every day, each with options of which some are wrong. */

const ports = one('0', '80', '5:9', ':9', '1024:', '9:5', 'http', '0:65535');
const spi = one('1', '0x10', '1:5', '5:1', ':7', '9:', '0:4294967295', 'x');
const count = one('0', '1', '100', '0x10', '5000000000', '18446744073709551615', '18446744073709551616', 'x');
const chunks = one(
  'DATA',
  'data:EBU',
  'DATA:iUb,INIT',
  'SACK,ABORT:T,COOKIE_ECHO',
  'ALL',
  'NONE',
  'DATA,ALL',
  'FOO',
  'ABORT:t,SHUTDOWN_COMPLETE:T,I_FORWARD_TSN,PAD',
  'ASCONF,ASCONF_ACK,FORWARD_TSN,RE_CONFIG,ECN_ECNE',
  'INIT:T',
);

/** Protocols with matches of their own. */
export function extensionProtocols(): fc.Arbitrary<Words> {
  return fc.oneof(
    words(
      one<Words>(['-p', 'sctp'], ['-p', '132'], ['-p', 'sctp', '-m', 'sctp'], ['-m', 'sctp']),
      maybe(negatable(value('--dport', ports))),
      maybe(negatable(value('--sport', ports))),
      maybe(
        negatable(
          fc
            .tuple(one('any', 'ALL', 'only', 'some'), chunks)
            .map(([mode, list]): Words => ['--chunk-types', mode, list]),
        ),
      ),
    ),
    words(
      one<Words>(['-p', 'sctp'], ['-p', 'dccp'], ['-p', 'udplite']),
      fc.constant<Words>(['-m', 'multiport']),
      negatable(value('--dports', one('1,2', '1:3,9'))),
    ),
    words(
      one<Words>(['-p', 'dccp'], ['-p', '33', '-m', 'dccp'], ['-m', 'dccp']),
      maybe(negatable(value('--dport', ports))),
      maybe(negatable(value('--source-port', ports))),
      maybe(
        negatable(
          value('--dccp-types', one('DATA', 'request,ACK,RESET', 'INVALID,DATA', 'ALL', 'CLOSE,SYNCACK')),
        ),
      ),
      maybe(negatable(value('--dccp-option', one('0', '1', '0x20', '256')))),
    ),
    words(
      one<Words>(['-p', 'esp'], ['-p', 'esp', '-m', 'esp'], ['-m', 'esp']),
      negatable(value('--espspi', spi)),
    ),
    words(
      one<Words>(['-p', 'tcp', '-m', 'tcpmss'], ['-m', 'tcpmss'], ['!', '-p', 'tcp', '-m', 'tcpmss']),
      negatable(value('--mss', one('100', '100:200', ':200', '200:', '200:100', '70000'))),
    ),
    words(
      one<Words>(['-p', 'tcp', '-m', 'ecn'], ['-m', 'ecn']),
      maybe(negatable(fc.constant<Words>(['--ecn-tcp-ece']))),
      maybe(negatable(fc.constant<Words>(['--ecn-tcp-cwr']))),
      maybe(negatable(value('--ecn-ip-ect', one('0', '1', '3', '4', '0x2')))),
    ),
  );
}

function policyElement(family: IpFamily): fc.Arbitrary<Words> {
  const ends =
    family === 'inet'
      ? one('10.0.0.1', '10.0.0.5/24', '10.0.0.0/255.255.0.0', '0.0.0.0/0')
      : one('2001:db8::1', '2001:db8::1/64', '::/0');
  return words(
    maybe(negatable(value('--reqid', one('0', '5', '0x10', 'x')))),
    maybe(negatable(value('--spi', one('0', '0x100', 'x')))),
    maybe(negatable(value('--proto', one('esp', 'ah', '108', 'tcp', 'x')))),
    maybe(negatable(value('--mode', one('tunnel', 'transport', 'tunnel', 'beet')))),
    maybe(words(negatable(value('--tunnel-src', ends)), maybe(negatable(value('--tunnel-dst', ends))))),
  );
}

export function extensionMatches(family: IpFamily): Readonly<Record<string, fc.Arbitrary<Words>>> {
  return {
    ah:
      family === 'inet'
        ? negatable(value('--ahspi', spi))
        : words(
            maybe(negatable(value('--ahspi', spi))),
            maybe(negatable(value('--ahlen', one('0', '16', 'x')))),
            maybe(fc.constant<Words>(['--ahres'])),
          ),
    rpfilter: words(
      maybe(fc.constant<Words>(['--loose'])),
      maybe(fc.constant<Words>(['--validmark'])),
      maybe(fc.constant<Words>(['--accept-local'])),
      maybe(one<Words>(['--invert'], ['--invert'], ['--invert'], ['!', '--invert'])),
    ),
    connlimit: words(
      maybe(negatable(value(one('--connlimit-upto', '--connlimit-above'), one('0', '3', '0x10', 'x', '5')))),
      maybe(value('--connlimit-mask', one('0', '24', '64', '32', '33', '129', 'x'))),
      maybe(one<Words>(['--connlimit-saddr'], ['--connlimit-daddr'], ['--connlimit-daddr'])),
      maybe(one<Words>([], [], ['--connlimit-saddr'], ['!', '--connlimit-daddr'])),
    ),
    policy: words(
      maybe(value('--dir', one('in', 'out', 'in', 'x'))),
      maybe(value('--pol', one('none', 'ipsec', 'ipsec', 'x'))),
      maybe(fc.constant<Words>(['--strict'])),
      policyElement(family),
      maybe(words(fc.constant<Words>(['--next']), policyElement(family))),
    ),
    quota: negatable(value('--quota', count)),
    connbytes: words(
      negatable(
        value(
          '--connbytes',
          one(
            '10',
            '10:20',
            ':20',
            '20:10',
            '10:',
            '10:10',
            '1:2:3',
            'x',
            '5000000000:',
            '18446744073709551615',
          ),
        ),
      ),
      maybe(value('--connbytes-dir', one('both', 'reply', 'original', 'x'))),
      maybe(value('--connbytes-mode', one('bytes', 'packets', 'avgpkt', 'x'))),
      maybe(value('--connbytes-dir', one('both'))),
      maybe(value('--connbytes-mode', one('bytes'))),
    ),
    helper: negatable(value('--helper', one('ftp', '', 'ftp 21', 'sip-5060', 'x'.repeat(31)))),
    string: words(
      maybe(value('--algo', one('bm', 'kmp', 'kmp', 'bm', 'foo'))),
      negatable(
        fc.oneof(
          value('--string', one('abc', 'a b', 'a"b', "a'b", 'a|b', 'a\\b', 'é', '', 'x'.repeat(129))),
          value(
            '--hex-string',
            one(
              '|0d0a|',
              'abc|00 0A|def',
              '|61||62|',
              'a\\|b',
              '|6',
              '|6g|',
              '||',
              'ab|',
              '|',
              'a\\',
              '| 61|',
            ),
          ),
        ),
      ),
      maybe(value('--from', one('0', '5', '80', '70000'))),
      maybe(value('--to', one('70', '65535', '0'))),
      maybe(fc.constant<Words>(['--icase'])),
    ),
    u32: negatable(
      value(
        '--u32',
        one(
          '0=0',
          '6&0xFF=1&&0>>22&0x3C@0>>24=0',
          '0x10&0xff=0x1:0x5,0x9',
          '4<<2=5',
          '4<2=5',
          '4',
          '=4',
          '0=4:1',
          '0=4&&',
          '0=4&5=3',
          '',
          ' 0 & 0xff = 1 , 2 : 3 && 010 = 4',
          '0=',
          '0=1,',
          '0@',
          '0!1=2',
          '0x=1',
          '4294967296=1',
          `${'1=1&&'.repeat(9)}1=1`,
          `${'1=1&&'.repeat(10)}1=1`,
          `0${'&1'.repeat(9)}=1`,
          `0${'&1'.repeat(10)}=1`,
          `0=${'1,'.repeat(9)}1`,
          `0=${'1,'.repeat(10)}1`,
        ),
      ),
    ),
  };
}

const setting = (name: string, given: fc.Arbitrary<string>) => maybe(value(name, given));

export function extensionTargets(): fc.Arbitrary<Words> {
  return fc.oneof(
    words(
      fc.constant<Words>(['-j', 'NFLOG']),
      setting('--nflog-group', one('0', '5', '65535', '65536')),
      setting('--nflog-prefix', one('x', 'a b: ', '', 'p'.repeat(64), 'q"\\')),
      setting('--nflog-size', one('0', '64')),
      setting('--nflog-threshold', one('0', '1', '20', '70000')),
    ),
    one<Words>(
      ['-j', 'NFLOG', '--nflog-range', '64'],
      ['-j', 'CHECKSUM', '--checksum-fill'],
      ['-j', 'CHECKSUM'],
    ),
    words(
      fc.constant<Words>(['-j', 'CLASSIFY']),
      setting('--set-class', one('1:10', 'ffff:ffff', '0:0', '1', '1ffff:2', 'x:1', '0x1:2zz')),
    ),
    words(
      fc.constant<Words>(['-j', 'ECN']),
      maybe(fc.constant<Words>(['--ecn-tcp-remove'])),
      setting('--ecn-tcp-ece', one('0', '1', '2')),
      setting('--ecn-tcp-cwr', one('0', '1')),
      setting('--ecn-ip-ect', one('0', '2', '4')),
    ),
  );
}
