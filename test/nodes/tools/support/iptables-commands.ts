import fc from 'fast-check';
import type { IpFamily } from '../../../../protocols/ip.ts';
import { extensionMatches, extensionProtocols, extensionTargets } from './iptables-extensions.ts';
import { many, maybe, negatable, one, value, type Words, words } from './iptables-words.ts';

const port = fc.oneof(one('0', '53', '80', '8080', '65535'), one('http', '443'));
const ports = fc.oneof(
  port,
  fc.tuple(port, port).map(([a, b]) => `${a}:${b}`),
  one(':80', '1024:'),
);
/** What is written otherwise for each family. */
interface Dialect {
  readonly address: fc.Arbitrary<string>;
  readonly addresses: fc.Arbitrary<string>;
  readonly host: fc.Arbitrary<string>;
  readonly network: fc.Arbitrary<string>;
  readonly ranges: fc.Arbitrary<string>;
  readonly icmp: fc.Arbitrary<Words>;
  readonly protocols: fc.Arbitrary<string>;
  readonly fragments: fc.Arbitrary<Words>;
  readonly ttl: fc.Arbitrary<Words>;
  /** Matches that the other family has not. */
  readonly own: Readonly<Record<string, fc.Arbitrary<Words>>>;
  readonly rejects: fc.Arbitrary<string>;
  readonly natTo: fc.Arbitrary<string>;
  readonly ttlTargets: fc.Arbitrary<Words>;
  readonly netmap: string;
  readonly masks: fc.Arbitrary<Words>;
}

function ttlMatch(name: string): fc.Arbitrary<Words> {
  return fc.oneof(
    negatable(value(`--${name}-eq`, one('5', '255', '300'))),
    fc.tuple(one(`--${name}-lt`, `--${name}-gt`), one('1', '64')).map(([a, b]): Words => [a, b]),
  );
}

function ttlTargets(name: string): fc.Arbitrary<Words> {
  const option = (what: string) => `--${name.toLowerCase()}-${what}`;
  return one<Words>(
    ['-j', name, option('set'), '4'],
    ['-j', name, option('inc'), '1'],
    ['-j', name, option('dec'), '0'],
  );
}

const device = one('eth0', 'eth+', '+', 'lo', 'a-name-of-15-ch', 'br-1');
const number = one('1', '7', '0x10', '255');
const mark = one('1', '0x10/0xff', '0x4000/0x4000', '5/0', '0xffffffff');
const state = many(one('NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'));
const flags = many(one('SYN', 'ACK', 'FIN', 'RST', 'ALL', 'NONE'));

const DIALECTS: Readonly<Record<IpFamily, Dialect>> = {
  inet: {
    address: fc.oneof(
      one('10.0.0.1', '192.168.0.0/16', '0.0.0.0/0', '1.2.3.4/255.0.255.0', '10.1/16'),
      fc.tuple(fc.integer({ min: 128, max: 255 }), fc.nat(32)).map(([a, length]) => `${a}.2.3.4/${length}`),
    ),
    addresses: one('10.0.0.1,10.0.0.2', '10.0.0.0/8,11.0.0.0/8'),
    host: one('10.0.0.1', '10.0.0.0/8', '0.0.0.0/0'),
    network: one('10.0.0.1', '10.0.0.0/8'),
    ranges: one('1.1.1.1-1.1.1.9', '2.2.2.2'),
    icmp: words(
      fc.constant<Words>(['-p', 'icmp']),
      maybe(
        negatable(
          value('--icmp-type', one('echo-request', '8', '3/4', 'any', 'ping', 'host-unreachable', '3')),
        ),
      ),
    ),
    protocols: one('tcp', 'UDP', 'gre', '132', '0', '200', 'ipencap'),
    fragments: one<Words>(['-f'], ['!', '-f'], []),
    ttl: ttlMatch('ttl'),
    own: {},
    rejects: one('tcp-reset', 'icmp-host-prohibited', 'admin-prohib', 'net-unreach', 'no-route'),
    natTo: one('10.0.0.1', '10.0.0.1-10.0.0.9', '10.0.0.1:80', '10.0.0.1:80-90', ':80'),
    ttlTargets: ttlTargets('TTL'),
    netmap: '10.1.0.0/24',
    masks: value('--mask', one('255.255.255.0', '24')),
  },
  inet6: {
    address: fc.oneof(
      one('2001:db8::1', 'fe80::/10', '::/0', '2001:db8::1:2/ffff:0:ffff::', '::ffff:10.0.0.1', '::1'),
      one('2001:db8::/129', '2001:DB8:0:0:1::/64', '2001:db8::2'),
      fc
        .tuple(fc.nat(0xffff), fc.nat(128))
        .map(([a, length]) => `2001:${a.toString(16)}::${a.toString(16)}:1/${length}`),
    ),
    addresses: one('2001:db8::1,2001:db8::2', '2001:db8::/32,fd00::/8'),
    host: one('2001:db8::1', '2001:db8::/32', '::/0'),
    network: one('2001:db8::1', '2001:db8::/32'),
    ranges: one('2001:db8::1-2001:db8::9', 'fd00::2'),
    icmp: words(
      one<Words>(['-p', 'icmpv6'], ['-p', 'ipv6-icmp'], ['-p', '58', '-m', 'icmp6'], ['-p', 'icmp']),
      maybe(
        negatable(
          value(
            '--icmpv6-type',
            one('echo-request', '128', '1/4', 'ping', 'no-route', '3', 'redirect', '999'),
          ),
        ),
      ),
    ),
    protocols: one('tcp', 'UDP', 'gre', '132', '0', '200', 'ipv6-frag', 'mh', 'ipv6-nonxt'),
    fragments: one<Words>(['-f'], [], [], []),
    ttl: ttlMatch('hl'),
    own: {
      frag: words(
        maybe(negatable(value('--fragid', one('1', '1:5', ':5', '7:', '5:1', 'x')))),
        maybe(value('--fraglen', number)),
        maybe(one<Words>(['--fragres'], ['--fragfirst'], ['--fragmore'], ['--fraglast'])),
        maybe(one<Words>(['--fragmore'])),
      ),
      rt: words(
        maybe(negatable(value('--rt-type', one('0', '2', '256')))),
        maybe(negatable(value('--rt-segsleft', one('1', '1:3', ':3', '3:')))),
        maybe(negatable(value('--rt-len', one('8', '24')))),
        maybe(one<Words>(['--rt-0-res'])),
      ),
      ipv6header: words(
        negatable(
          value(
            '--header',
            many(one('hop', 'dst', 'ipv6-route', '44', 'frag', 'prot', 'auth', 'none', 'foo')),
          ),
        ),
        maybe(one<Words>(['--soft'])),
      ),
      hbh: words(maybe(negatable(value('--hbh-len', number))), maybe(value('--hbh-opts', one('1:4,5', '0')))),
      dst: words(maybe(negatable(value('--dst-len', number))), maybe(value('--dst-opts', one('1', '5:2,1')))),
    },
    rejects: one(
      'tcp-reset',
      'icmp6-adm-prohibited',
      'no-route',
      'addr-unreach',
      'policy-fail',
      'net-unreach',
    ),
    natTo: one(
      '2001:db8::1',
      '2001:db8::1-2001:db8::9',
      '[2001:db8::1]:80',
      '[2001:db8::1]:80-90',
      '[2001:db8::1-2001:db8::3]:80',
      '[2001:db8::1]',
      ':80',
      '[2001:db8::1',
    ),
    ttlTargets: ttlTargets('HL'),
    netmap: '2001:db8::/64',
    masks: value('--mask', one('ffff:ffff::', 'ffff::1')),
  },
};

/** Command lines of iptables or ip6tables, without the program's name. Some of them are wrong. */
export function commandLines(family: IpFamily): fc.Arbitrary<Words[]> {
  const dialect = DIALECTS[family];
  const head = words(
    maybe(fc.oneof(negatable(value('-s', dialect.address)), value('-s', dialect.addresses))),
    maybe(negatable(value('-d', dialect.address))),
    maybe(negatable(value('-i', device))),
    maybe(negatable(value('-o', device))),
  );
  const protocol = fc.oneof(
    words(
      one<Words>(['-p', 'tcp'], ['-p', '6'], ['-p', 'tcp', '-m', 'tcp']),
      maybe(negatable(value('--dport', ports))),
      maybe(negatable(value('--sport', ports))),
      maybe(
        fc.oneof(
          negatable(fc.constant<Words>(['--syn'])),
          negatable(fc.tuple(flags, flags).map(([mask, set]): Words => ['--tcp-flags', mask, set])),
          negatable(value('--tcp-option', number)),
        ),
      ),
    ),
    words(fc.constant<Words>(['-p', 'udp']), maybe(negatable(value('--dport', ports)))),
    words(
      one<Words>(['-p', 'tcp'], ['-p', 'udp'], ['-p', 'icmp'], []),
      fc.constant<Words>(['-m', 'multiport']),
      negatable(
        fc
          .tuple(one('--dports', '--sports', '--ports'), many(ports))
          .map(([option, list]): Words => [option, list]),
      ),
    ),
    dialect.icmp,
    extensionProtocols(),
    negatable(value('-p', dialect.protocols)),
    dialect.fragments,
  );
  const matchOptions: Readonly<Record<string, fc.Arbitrary<Words>>> = {
    conntrack: words(
      maybe(
        negatable(value('--ctstate', many(one('NEW', 'ESTABLISHED', 'RELATED', 'DNAT', 'SNAT', 'INVALID')))),
      ),
      maybe(negatable(value('--ctorigdst', dialect.host))),
      maybe(negatable(value('--ctorigdstport', one('80', '1:2')))),
      maybe(negatable(value('--ctstatus', many(one('ASSURED', 'SEEN_REPLY', 'CONFIRMED'))))),
      maybe(value('--ctdir', one('ORIGINAL', 'REPLY'))),
    ),
    state: negatable(value('--state', state)),
    mark: maybe(negatable(value('--mark', mark))),
    connmark: maybe(negatable(value('--mark', mark))),
    comment: value('--comment', one('x', 'a b', `q"'\\`, 'a/b', '', 'é')),
    addrtype: words(
      maybe(negatable(value('--src-type', many(one('LOCAL', 'UNICAST', 'BROADCAST'))))),
      maybe(negatable(value('--dst-type', many(one('LOCAL', 'MULTICAST'))))),
      maybe(one<Words>(['--limit-iface-in'], ['--limit-iface-out'])),
    ),
    statistic: fc.oneof(
      words(
        fc.constant<Words>(['--mode', 'random']),
        negatable(value('--probability', one('0.5', '0.33333333349', '0.1', '1', '0', '0.0001'))),
      ),
      words(
        fc.constant<Words>(['--mode', 'nth']),
        negatable(value('--every', one('3', '10'))),
        value('--packet', one('0', '1', '3')),
      ),
    ),
    recent: words(
      negatable(one<Words>(['--set'], ['--rcheck'], ['--update'], ['--remove'])),
      maybe(value('--seconds', one('60', '10800'))),
      maybe(value('--hitcount', one('4'))),
      maybe(one<Words>(['--rsource'], ['--rdest'], ['--reap'], ['--rttl'])),
      maybe(dialect.masks),
      maybe(value('--name', one('ssh', 'KUBE-SEP-X'))),
    ),
    limit: words(
      maybe(value('--limit', one('5/min', '3/hour', '100/second', '1/s', '7/m', '10'))),
      maybe(value('--limit-burst', one('5', '10'))),
    ),
    hashlimit: words(
      negatable(
        value(
          one('--hashlimit-upto', '--hashlimit-above'),
          one('5/sec', '100/min', '3600/hour', '1/day', 'x'),
        ),
      ),
      maybe(value('--hashlimit-burst', one('3', '10', '0'))),
      maybe(value('--hashlimit-mode', one('srcip', 'dstip,srcport', 'foo', 'srcip,srcport,dstip,dstport'))),
      maybe(value('--hashlimit-srcmask', one('24', '33'))),
      maybe(value('--hashlimit-htable-expire', one('1000', '5000'))),
      maybe(value('--hashlimit-htable-max', one('200'))),
      value('--hashlimit-name', one('a', 'b', 'c')),
    ),
    length: negatable(value('--length', one('100', '10:20', '10:', ':20'))),
    mac: negatable(value('--mac-source', one('00:11:22:33:44:55', 'AA:bb:cc:dd:ee:ff'))),
    [family === 'inet' ? 'ttl' : 'hl']: dialect.ttl,
    ...dialect.own,
    ...extensionMatches(family),
    tos: negatable(value('--tos', one('0x10', 'Minimize-Delay', '0x10/0xf0'))),
    dscp: fc.oneof(negatable(value('--dscp', one('10', '0x2e'))), value('--dscp-class', one('EF', 'AF11'))),
    pkttype: negatable(value('--pkt-type', one('broadcast', 'multicast', 'unicast'))),
    iprange: words(
      maybe(negatable(value('--src-range', dialect.ranges))),
      maybe(negatable(value('--dst-range', dialect.ranges))),
    ),
    physdev: words(
      maybe(negatable(value('--physdev-in', device))),
      maybe(negatable(one<Words>(['--physdev-is-bridged'], ['--physdev-is-in']))),
    ),
  };
  const match = fc.oneof(
    ...Object.entries(matchOptions).map(([name, options]) =>
      words(fc.constant<Words>(['-m', name]), options),
    ),
  );
  const chain = one('INPUT', 'FORWARD', 'OUTPUT', 'PREROUTING', 'POSTROUTING', 'U', 'V', 'U', 'V', 'U');
  const random = maybe(one<Words>(['--random'], ['--random-fully']));
  const target = fc.oneof(
    value('-j', one('ACCEPT', 'DROP', 'RETURN', 'U', 'V', 'TRACE', 'NOTRACK', 'MASQUERADE', 'REDIRECT')),
    value('-g', one('U', 'V')),
    words(fc.constant<Words>(['-j', 'REJECT']), maybe(value('--reject-with', dialect.rejects))),
    words(fc.constant<Words>(['-j', 'DNAT']), value('--to-destination', dialect.natTo), random),
    words(
      fc.constant<Words>(['-j', 'SNAT']),
      value('--to-source', dialect.natTo),
      random,
      maybe(fc.constant(['--persistent'])),
    ),
    words(
      one<Words>(['-j', 'MASQUERADE'], ['-j', 'REDIRECT']),
      value('--to-ports', one('80', '80-90')),
      random,
    ),
    words(
      one<Words>(['-j', 'MARK'], ['-j', 'CONNMARK']),
      fc
        .tuple(one('--set-mark', '--set-xmark', '--or-mark', '--and-mark', '--xor-mark'), mark)
        .map(([option, text]): Words => [option, text]),
    ),
    words(
      fc.constant<Words>(['-j', 'CONNMARK']),
      one<Words>(['--save-mark'], ['--restore-mark']),
      maybe(value('--mask', one('0xff', '7'))),
    ),
    words(
      fc.constant<Words>(['-j', 'LOG']),
      maybe(value('--log-prefix', one('x', 'a b: '))),
      maybe(value('--log-level', one('7', 'debug', 'warning'))),
      maybe(fc.constant(['--log-tcp-options'])),
    ),
    words(
      fc.constant<Words>(['-j', 'TCPMSS']),
      one<Words>(['--clamp-mss-to-pmtu'], ['--set-mss', '1400'], []),
    ),
    dialect.ttlTargets,
    extensionTargets(),
    one<Words>(
      ['-j', 'CT', '--notrack'],
      ['-j', 'TOS', '--set-tos', '0x10'],
      ['-j', 'DSCP', '--set-dscp-class', 'CS1'],
      ['-j', 'NETMAP', '--to', dialect.netmap],
      [],
    ),
  );
  const rule = words(head, protocol, maybe(match), target);
  const place = fc.oneof(
    chain.map((name): Words => ['-A', name]),
    fc.tuple(one('-A', '-D', '-C', '-I'), chain).map(([option, name]): Words => [option, name]),
    fc
      .tuple(one('-I', '-R'), chain, one('1', '2', '9', '0'))
      .map(([option, name, at]): Words => [option, name, at]),
  );
  const command = fc.oneof(
    { weight: 8, arbitrary: words(place, rule) },
    {
      weight: 1,
      arbitrary: one<Words>(
        ['-N', 'U'],
        ['-N', 'W'],
        ['-X', 'W'],
        ['-X', 'V'],
        ['-E', 'W', 'X'],
        ['-P', 'FORWARD', 'DROP'],
        ['-P', 'U', 'DROP'],
        ['-D', 'FORWARD', '1'],
        ['-F', 'V'],
        ['-Z'],
      ),
    },
  );
  const inTable = fc
    .tuple(one('filter', 'filter', 'nat', 'mangle', 'raw'), command)
    .map(([table, list]): Words => ['-t', table, ...list]);

  return fc.array(inTable, { minLength: 10, maxLength: 40 });
}
