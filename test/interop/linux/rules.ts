import fc from 'fast-check';
import type { IpFamily } from '../../../protocols/ip.ts';
import { extensionMatches, extensionProtocols, extensionTargets, reversePath } from './rule-extensions.ts';
import { join, maybe, negatable, one, option } from './rule-words.ts';

/** Rules of which each may decide about the packets of `drawnPacket` between 10.0.1.0/24 at v0 and 10.0.2.0/24 at w0. */

const device = ['v0', 'w0', 'v+', 'w+', '+', 'lo', 'eth0'];
const inDevice = maybe(negatable(option('-i', ...device)));
const outDevice = maybe(negatable(option('-o', ...device)));

const state = one(
  'NEW',
  'ESTABLISHED',
  'RELATED',
  'INVALID',
  'UNTRACKED',
  'NEW,RELATED',
  'ESTABLISHED,INVALID',
);
const mac = join(one('-m mac'), negatable(option('--mac-source', '02:00:00:00:00:02', '02:00:00:00:00:09')));

const own = one('-j U', '-j V', '-g V', '-j RETURN', '-j ACCEPT', '-g U');
const marks = fc.oneof(
  option(
    '-j MARK',
    '--set-mark 1',
    '--or-mark 0x10',
    '--and-mark 0x1',
    '--xor-mark 3',
    '--set-xmark 0x20/0xf0',
  ),
  option(
    '-j CONNMARK',
    '--set-mark 1',
    '--save-mark',
    '--restore-mark',
    '--or-mark 2',
    '--restore-mark --mask 0xf',
  ),
);
/** What is written otherwise for each family. Packets are of 10.0.1.0/24 and 10.0.2.0/24, or 2001:db8:1::/64 and 2001:db8:2::/64. */
interface Dialect {
  readonly family: IpFamily;
  readonly program: string;
  readonly head: fc.Arbitrary<string>;
  readonly protocols: readonly fc.Arbitrary<string>[];
  readonly matches: readonly fc.Arbitrary<string>[];
  readonly ctAddress: readonly fc.Arbitrary<string>[];
  readonly types: readonly string[];
  readonly mask: string;
  readonly rejects: readonly string[];
  readonly ttl: fc.Arbitrary<string>;
  readonly nat: Readonly<Record<string, fc.Arbitrary<string>>>;
}

const INET: Dialect = {
  family: 'inet',
  program: 'iptables',
  head: join(
    maybe(negatable(option('-s', '10.0.1.2', '10.0.1.0/24', '10.0.2.0/24', '10.0.0.2/255.255.0.255'))),
    maybe(negatable(option('-d', '10.0.2.2', '10.0.2.0/24', '10.0.1.1', '10.96.0.10', '0.0.0.0/0'))),
  ),
  protocols: [
    join(
      one('-p icmp'),
      maybe(
        negatable(
          option(
            '--icmp-type',
            'echo-request',
            'echo-reply',
            '3/1',
            '3',
            'any',
            'time-exceeded',
            'timestamp-request',
          ),
        ),
      ),
    ),
    negatable(option('-p', 'tcp', 'udp', 'icmp', '200')),
    one('-f', '! -f', '', ''),
  ],
  matches: [
    join(
      one('-m ttl'),
      fc.oneof(negatable(option('--ttl-eq', '64', '1')), one('--ttl-lt 64', '--ttl-gt 64')),
    ),
    join(
      one('-m iprange'),
      negatable(one('--src-range 10.0.1.2-10.0.1.3', '--dst-range 10.0.2.2-10.0.2.200')),
    ),
  ],
  ctAddress: [
    negatable(option('--ctorigdst', '10.96.0.10', '10.0.2.0/24')),
    negatable(option('--ctreplsrc', '10.0.2.2', '10.0.2.0/24')),
  ],
  types: ['LOCAL', 'UNICAST', 'BROADCAST', 'BLACKHOLE', 'MULTICAST'],
  mask: '255.255.255.0',
  rejects: [
    'net-unreach',
    'host-unreach',
    'port-unreach',
    'proto-unreach',
    'net-prohib',
    'host-prohib',
    'admin-prohib',
  ].map((kind) => `icmp-${kind.replace('unreach', 'unreachable').replace('prohib', 'prohibited')}`),
  ttl: option('-j TTL', '--ttl-set 1', '--ttl-set 9', '--ttl-inc 1', '--ttl-dec 1', '--ttl-dec 70'),
  nat: {
    PREROUTING: fc.oneof(
      option('-p tcp -j DNAT --to-destination', '10.0.2.3:8080', '10.0.2.4', '10.0.1.1:443', '10.0.1.3'),
      option('-p udp -j DNAT --to-destination', '10.0.2.3:5353', '10.0.2.4', '10.0.2.1:99'),
      one('-p icmp -j DNAT --to-destination 10.0.2.5', '-p tcp -j REDIRECT --to-ports 99', '-j REDIRECT'),
      option('-j NETMAP --to', '10.0.2.0/28'),
    ),
    OUTPUT: option('-p tcp -j DNAT --to-destination', '10.0.2.3'),
    INPUT: option('-j SNAT --to-source', '10.0.1.7'),
    POSTROUTING: one(
      '-j MASQUERADE',
      '-j SNAT --to-source 10.0.2.1',
      '-j SNAT --to-source 10.0.2.77',
      '-j MASQUERADE -p icmp',
      '-j RETURN',
    ),
  },
};

const INET6: Dialect = {
  family: 'inet6',
  program: 'ip6tables',
  head: join(
    maybe(
      negatable(
        option(
          '-s',
          '2001:db8:1::2',
          '2001:db8:1::/64',
          '2001:db8:2::/64',
          '2001:db8::2/ffff:ffff:0:ffff:ffff:ffff:ffff:ffff',
        ),
      ),
    ),
    maybe(
      negatable(option('-d', '2001:db8:2::2', '2001:db8:2::/64', '2001:db8:1::1', '2001:db8:96::12', '::/0')),
    ),
  ),
  protocols: [
    join(
      one('-p icmpv6'),
      maybe(
        negatable(option('--icmpv6-type', 'echo-request', 'echo-reply', '1/4', '1', '3', 'packet-too-big')),
      ),
    ),
    negatable(option('-p', 'tcp', 'udp', 'icmpv6', '200', 'icmp')),
    join(
      one('-m frag'),
      fc.oneof(
        one('--fragfirst', '--fragmore', '--fraglast'),
        negatable(option('--fragid', '0:4710', '4711')),
      ),
    ),
    join(
      one('-m ipv6header'),
      negatable(option('--header', 'dst', 'hop', 'prot', 'frag,prot', 'dst,hop,prot')),
      maybe(one('--soft')),
    ),
    join(
      one('-m rt'),
      fc.oneof(negatable(option('--rt-type', '0', '2', '4')), negatable(option('--rt-segsleft', '0', '1:3'))),
    ),
    join(one('-m hbh', '-m dst'), one('')).map((text) => text.replace('-m hbh', '-m hbh').trim()),
  ],
  matches: [
    join(one('-m hl'), fc.oneof(negatable(option('--hl-eq', '64', '1')), one('--hl-lt 64', '--hl-gt 64'))),
    join(
      one('-m iprange'),
      negatable(one('--src-range 2001:db8:1::2-2001:db8:1::3', '--dst-range 2001:db8:2::2-2001:db8:2::200')),
    ),
  ],
  ctAddress: [
    negatable(option('--ctorigdst', '2001:db8:96::12', '2001:db8:2::/64')),
    negatable(option('--ctreplsrc', '2001:db8:2::2', '2001:db8:2::/64')),
  ],
  types: ['LOCAL', 'UNICAST', 'UNREACHABLE', 'MULTICAST', 'LOCAL,UNICAST'],
  mask: 'ffff:ffff:ffff:ffff::',
  rejects: [
    'no-route',
    'adm-prohibited',
    'addr-unreachable',
    'port-unreachable',
    'policy-fail',
    'reject-route',
  ].map((kind) => `icmp6-${kind}`),
  ttl: option('-j HL', '--hl-set 1', '--hl-set 9', '--hl-inc 1', '--hl-dec 1', '--hl-dec 70'),
  nat: {
    PREROUTING: fc.oneof(
      option(
        '-p tcp -j DNAT --to-destination',
        '[2001:db8:2::3]:8080',
        '2001:db8:2::4',
        '[2001:db8:1::1]:443',
        '2001:db8:1::3',
        '2001:db8:2::2-2001:db8:2::9',
      ),
      option(
        '-p udp -j DNAT --to-destination',
        '[2001:db8:2::3]:5353',
        '2001:db8:2::4',
        '[2001:db8:2::1]:99',
      ),
      one(
        '-p icmpv6 -j DNAT --to-destination 2001:db8:2::5',
        '-p tcp -j REDIRECT --to-ports 99',
        '-j REDIRECT',
      ),
      option('-j NETMAP --to', '2001:db8:2::/124'),
    ),
    OUTPUT: option('-p tcp -j DNAT --to-destination', '2001:db8:2::3'),
    INPUT: option('-j SNAT --to-source', '2001:db8:1::7'),
    POSTROUTING: one(
      '-j MASQUERADE',
      '-j SNAT --to-source 2001:db8:2::1',
      '-j SNAT --to-source 2001:db8:2::77',
      '-j SNAT --to-source 2001:db8:2::70-2001:db8:2::7f',
      '-j MASQUERADE -p icmpv6',
      '-j RETURN',
    ),
  },
};

function matchOf(dialect: Dialect): fc.Arbitrary<string> {
  const protocol = fc.oneof(
    join(
      one('-p tcp'),
      maybe(negatable(option('--dport', '80', '50:100', '443:', ':80'))),
      maybe(negatable(option('--sport', '10000:20000', '53'))),
      maybe(
        negatable(
          one(
            '--syn',
            '--tcp-flags SYN,ACK SYN',
            '--tcp-flags ALL NONE',
            '--tcp-flags RST,FIN RST',
            '--tcp-option 2',
          ),
        ),
      ),
    ),
    join(one('-p udp'), maybe(negatable(option('--dport', '53', '80:90', '1024:')))),
    join(
      one('-p tcp -m multiport', '-p udp -m multiport'),
      negatable(option('--dports', '80,443', '53,8000:9000', '1:100')),
    ),
    join(one('-p tcp -m multiport', '-p udp -m multiport'), negatable(option('--ports', '80,10000:30000'))),
    ...extensionProtocols,
    ...dialect.protocols,
  );

  const match = fc.oneof(
    join(one('-m conntrack'), negatable(state.map((text) => `--ctstate ${text}`))),
    join(one('-m state'), negatable(state.map((text) => `--state ${text}`))),
    join(
      one('-m conntrack'),
      fc.oneof(
        negatable(option('--ctstate', 'DNAT', 'SNAT')),
        ...dialect.ctAddress,
        negatable(option('--ctorigdstport', '80', '50:60')),
        negatable(option('--ctstatus', 'ASSURED', 'SEEN_REPLY', 'CONFIRMED', 'NONE')),
        option('--ctdir', 'ORIGINAL', 'REPLY'),
        negatable(option('--ctproto', '6', '17')),
      ),
    ),
    join(one('-m mark', '-m connmark'), negatable(option('--mark', '1', '0', '0x10/0xf0', '2/2'))),
    join(
      one('-m addrtype'),
      fc.oneof(
        negatable(option('--dst-type', ...dialect.types)),
        negatable(option('--src-type', 'LOCAL', 'UNICAST')),
      ),
    ),
    join(one('-m statistic --mode nth'), negatable(option('--every', '2', '3'))).chain((text) =>
      one(`${text} --packet 0`, `${text} --packet 1`),
    ),
    join(
      one('-m recent'),
      fc.oneof(
        one('--set'),
        negatable(one('--rcheck', '--update', '--remove')),
        negatable(one('--rcheck --seconds 900 --hitcount 2', '--update --hitcount 3', '--rcheck --rttl')),
      ),
      maybe(one('--rsource', '--rdest', `--mask ${dialect.mask}`)),
      maybe(option('--name', 'a')),
    ),
    join(
      one('-m limit'),
      option('--limit', '1/day', '1/hour', '20/day'),
      maybe(option('--limit-burst', '1', '2')),
    ),
    join(
      one('-m hashlimit'),
      option('--hashlimit-upto', '30/day', '2/hour'),
      one('', '--hashlimit-burst 1'),
      maybe(option('--hashlimit-mode', 'srcip', 'dstip,dstport', 'srcip,srcport')),
      maybe(option('--hashlimit-srcmask', '24', '64')),
      option('--hashlimit-name', 'h1', 'h2', 'h3'),
    ),
    join(one('-m length'), negatable(option('--length', '28', '0:40', '100:', '44:60'))),
    ...dialect.matches,
    ...extensionMatches(dialect.family),
    join(one('-m tos'), negatable(option('--tos', '0x10', '0x08/0x1c', '0'))),
    join(one('-m dscp'), negatable(option('--dscp', '46', '4', '0'))),
    one(
      '-m comment --comment "what for"',
      '-m pkttype --pkt-type unicast',
      '-m pkttype ! --pkt-type broadcast',
    ),
  );
  return join(maybe(protocol, 2), maybe(match, 2));
}

type Table = 'raw' | 'mangle' | 'nat' | 'filter';
const CHAINS: Readonly<Record<Table, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT', 'U', 'V'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING', 'U', 'V'],
  nat: ['PREROUTING', 'OUTPUT', 'POSTROUTING', 'INPUT'],
  filter: ['FORWARD', 'FORWARD', 'INPUT', 'OUTPUT', 'U', 'V'],
};

const INBOUND = ['PREROUTING', 'INPUT', 'FORWARD'];
const OUTBOUND = ['OUTPUT', 'FORWARD', 'POSTROUTING'];

const syn = '-p tcp --syn';

type Targets = Readonly<Record<Exclude<Table, 'nat'>, fc.Arbitrary<string>>>;

function targetsOf(dialect: Dialect): Targets {
  return {
    filter: fc.oneof(
      own,
      one('-j DROP', '-j DROP', '-j REJECT', ''),
      option('-j REJECT --reject-with', ...dialect.rejects),
      marks,
    ),
    mangle: fc.oneof(
      own,
      marks,
      dialect.ttl,
      option(
        '-j TOS',
        '--set-tos 0x10',
        '--set-tos 0x04/0x1c',
        '--or-tos 0x08',
        '--and-tos 0xf0',
        '--xor-tos 2',
      ),
      option('-j DSCP', '--set-dscp 10', '--set-dscp-class EF'),
      extensionTargets(dialect.family),
      one('-j DROP', ''),
    ),
    raw: fc.oneof(own, one('-j NOTRACK', '-j CT --notrack', '-j NOTRACK', '-j DROP', '')),
  };
}

function ruleIn(dialect: Dialect, table: Table, chain: string): fc.Arbitrary<string> {
  const { program, head, nat } = dialect;
  const devices = join(
    INBOUND.includes(chain) ? inDevice : one(''),
    OUTBOUND.includes(chain) ? outDevice : one(''),
  );
  const place = `${program} -t ${table} -A ${chain}`;
  if (table === 'nat') return join(one(place), head, devices, maybe(matchOf(dialect)), nat[chain] ?? one(''));
  const reset = one(`${place} -p tcp -j REJECT --reject-with tcp-reset`);
  const mss = one(
    `${place} ${syn} -j TCPMSS --set-mss 1000`,
    ...(chain === 'FORWARD' ? [`${place} ${syn} -j TCPMSS --clamp-mss-to-pmtu`] : []),
  );
  const plain = join(
    one(place),
    head,
    devices,
    matchOf(dialect),
    ['PREROUTING', 'INPUT', 'FORWARD'].includes(chain) ? maybe(mac) : one(''),
    chain === 'PREROUTING' ? maybe(reversePath) : one(''),
    targetsOf(dialect)[table],
  );
  const special = table === 'filter' ? reset : table === 'mangle' ? mss : plain;
  return fc.oneof({ weight: 9, arbitrary: plain }, { weight: 1, arbitrary: special });
}

/** Commands that make a rule set. Some are refused: loops, and what cannot be where it would be. */
export function ruleSet(family: IpFamily): fc.Arbitrary<string[]> {
  const dialect = family === 'inet' ? INET : INET6;
  const { program } = dialect;
  const rule = one<Table>('filter', 'filter', 'filter', 'mangle', 'mangle', 'nat', 'nat', 'raw').chain(
    (table) => one(...CHAINS[table]).chain((chain) => ruleIn(dialect, table, chain)),
  );

  const policies = fc.subarray(
    [`${program} -P FORWARD DROP`, `${program} -P INPUT DROP`, `${program} -t mangle -P OUTPUT DROP`],
    { maxLength: 1 },
  );

  return fc
    .tuple(fc.nat(4), policies, fc.array(rule, { minLength: 4, maxLength: 25 }))
    .map(([n, policy, list]) => [
      ...['raw', 'mangle', 'filter'].flatMap((table) => [
        `${program} -t ${table} -N U`,
        `${program} -t ${table} -N V`,
      ]),
      ...list,
      ...(n === 0 ? policy : []),
    ]);
}
