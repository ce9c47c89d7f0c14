import fc from 'fast-check';

/** Rules of which each may decide about the packets of `drawnPacket` between 10.0.1.0/24 at v0 and 10.0.2.0/24 at w0. */

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));
const maybe = (part: fc.Arbitrary<string>, weight = 1) =>
  fc.oneof({ weight: 1, arbitrary: fc.constant('') }, { weight, arbitrary: part });
const negatable = (part: fc.Arbitrary<string>) =>
  fc.tuple(fc.nat(3), part).map(([n, text]) => (n === 0 ? `! ${text}` : text));
const option = (name: string, ...values: readonly string[]) =>
  one(...values.map((value) => `${name} ${value}`));

const head = join(
  maybe(negatable(option('-s', '10.0.1.2', '10.0.1.0/24', '10.0.2.0/24', '10.0.0.2/255.255.0.255'))),
  maybe(negatable(option('-d', '10.0.2.2', '10.0.2.0/24', '10.0.1.1', '10.96.0.10', '0.0.0.0/0'))),
);
const device = ['v0', 'w0', 'v+', 'w+', '+', 'lo', 'eth0'];
const inDevice = maybe(negatable(option('-i', ...device)));
const outDevice = maybe(negatable(option('-o', ...device)));

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
);

const state = one(
  'NEW',
  'ESTABLISHED',
  'RELATED',
  'INVALID',
  'UNTRACKED',
  'NEW,RELATED',
  'ESTABLISHED,INVALID',
);
const match = fc.oneof(
  join(one('-m conntrack'), negatable(state.map((text) => `--ctstate ${text}`))),
  join(one('-m state'), negatable(state.map((text) => `--state ${text}`))),
  join(
    one('-m conntrack'),
    fc.oneof(
      negatable(option('--ctstate', 'DNAT', 'SNAT')),
      negatable(option('--ctorigdst', '10.96.0.10', '10.0.2.0/24')),
      negatable(option('--ctorigdstport', '80', '50:60')),
      negatable(option('--ctstatus', 'ASSURED', 'SEEN_REPLY', 'CONFIRMED', 'NONE')),
      option('--ctdir', 'ORIGINAL', 'REPLY'),
      negatable(option('--ctproto', '6', '17')),
      negatable(option('--ctreplsrc', '10.0.2.2', '10.0.2.0/24')),
    ),
  ),
  join(one('-m mark', '-m connmark'), negatable(option('--mark', '1', '0', '0x10/0xf0', '2/2'))),
  join(
    one('-m addrtype'),
    fc.oneof(
      negatable(option('--dst-type', 'LOCAL', 'UNICAST', 'BROADCAST', 'BLACKHOLE', 'MULTICAST')),
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
    maybe(one('--rsource', '--rdest', '--mask 255.255.255.0')),
    maybe(option('--name', 'a')),
  ),
  join(
    one('-m limit'),
    option('--limit', '1/day', '1/hour', '20/day'),
    maybe(option('--limit-burst', '1', '2')),
  ),
  join(one('-m length'), negatable(option('--length', '28', '0:40', '100:', '44:60'))),
  join(one('-m ttl'), fc.oneof(negatable(option('--ttl-eq', '64', '1')), one('--ttl-lt 64', '--ttl-gt 64'))),
  join(one('-m tos'), negatable(option('--tos', '0x10', '0x08/0x1c', '0'))),
  join(one('-m dscp'), negatable(option('--dscp', '46', '4', '0'))),
  join(one('-m iprange'), negatable(one('--src-range 10.0.1.2-10.0.1.3', '--dst-range 10.0.2.2-10.0.2.200'))),
  one(
    '-m comment --comment "what for"',
    '-m pkttype --pkt-type unicast',
    '-m pkttype ! --pkt-type broadcast',
  ),
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
const kinds = [
  'net-unreach',
  'host-unreach',
  'port-unreach',
  'proto-unreach',
  'net-prohib',
  'host-prohib',
  'admin-prohib',
];
const targets = {
  filter: fc.oneof(
    own,
    one('-j DROP', '-j DROP', '-j REJECT', ''),
    option(
      '-j REJECT --reject-with',
      ...kinds.map(
        (kind) => `icmp-${kind.replace('unreach', 'unreachable').replace('prohib', 'prohibited')}`,
      ),
    ),
    marks,
  ),
  mangle: fc.oneof(
    own,
    marks,
    option('-j TTL', '--ttl-set 1', '--ttl-set 9', '--ttl-inc 1', '--ttl-dec 1', '--ttl-dec 70'),
    option(
      '-j TOS',
      '--set-tos 0x10',
      '--set-tos 0x04/0x1c',
      '--or-tos 0x08',
      '--and-tos 0xf0',
      '--xor-tos 2',
    ),
    option('-j DSCP', '--set-dscp 10', '--set-dscp-class EF'),
    one('-j DROP', ''),
  ),
  raw: fc.oneof(own, one('-j NOTRACK', '-j CT --notrack', '-j NOTRACK', '-j DROP', '')),
} as const;
const syn = '-p tcp --syn';

type Table = 'raw' | 'mangle' | 'nat' | 'filter';
const CHAINS: Readonly<Record<Table, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT', 'U', 'V'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING', 'U', 'V'],
  nat: ['PREROUTING', 'OUTPUT', 'POSTROUTING', 'INPUT'],
  filter: ['FORWARD', 'FORWARD', 'INPUT', 'OUTPUT', 'U', 'V'],
};

const NAT_TARGETS: Readonly<Record<string, fc.Arbitrary<string>>> = {
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
};

const INBOUND = ['PREROUTING', 'INPUT', 'FORWARD'];
const OUTBOUND = ['OUTPUT', 'FORWARD', 'POSTROUTING'];

function ruleIn(table: Table, chain: string): fc.Arbitrary<string> {
  const devices = join(
    INBOUND.includes(chain) ? inDevice : one(''),
    OUTBOUND.includes(chain) ? outDevice : one(''),
  );
  const place = `iptables -t ${table} -A ${chain}`;
  if (table === 'nat') return join(one(place), head, devices, maybe(match), NAT_TARGETS[chain] ?? one(''));
  const reset = one(`${place} -p tcp -j REJECT --reject-with tcp-reset`);
  const mss = one(
    `${place} ${syn} -j TCPMSS --set-mss 1000`,
    ...(chain === 'FORWARD' ? [`${place} ${syn} -j TCPMSS --clamp-mss-to-pmtu`] : []),
  );
  const plain = join(
    one(place),
    head,
    devices,
    maybe(protocol, 2),
    maybe(match, 2),
    ['PREROUTING', 'INPUT', 'FORWARD'].includes(chain) ? maybe(mac) : one(''),
    targets[table],
  );
  const special = table === 'filter' ? reset : table === 'mangle' ? mss : plain;
  return fc.oneof({ weight: 9, arbitrary: plain }, { weight: 1, arbitrary: special });
}

const rule = one<Table>('filter', 'filter', 'filter', 'mangle', 'mangle', 'nat', 'nat', 'raw').chain(
  (table) => one(...CHAINS[table]).chain((chain) => ruleIn(table, chain)),
);

const policies = fc.subarray(
  ['iptables -P FORWARD DROP', 'iptables -P INPUT DROP', 'iptables -t mangle -P OUTPUT DROP'],
  { maxLength: 1 },
);

/** Commands that make a rule set. Some are refused: loops, and what cannot be where it would be. */
export const ruleSet: fc.Arbitrary<string[]> = fc
  .tuple(fc.nat(4), policies, fc.array(rule, { minLength: 4, maxLength: 25 }))
  .map(([n, policy, list]) => [
    ...['raw', 'mangle', 'filter'].flatMap((table) => [
      `iptables -t ${table} -N U`,
      `iptables -t ${table} -N V`,
    ]),
    ...list,
    ...(n === 0 ? policy : []),
  ]);
