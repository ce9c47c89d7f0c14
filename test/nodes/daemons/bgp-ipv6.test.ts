import test from 'ava';
import type { BgpConfig, BgpNeighbor } from '../../../nodes/config.ts';
import { Bfdd } from '../../../nodes/daemons/bfdd.ts';
import { RealSockets } from '../../../nodes/daemons/bgp/external-sessions.ts';
import { Bgpd } from '../../../nodes/daemons/bgpd.ts';
import type { RouteFacts } from '../../../nodes/events/kernel.ts';
import { BgpFold } from '../../../nodes/state/bgp-fold.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { eui64, formatIp6, LINK_LOCAL_PREFIX, readIp6 } from '../../../protocols/ip6.ts';
import { PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, ip6HopLimit, ip6NextHeader } from '../../../protocols/ipv6.ts';
import { type Host, Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

interface Speaker {
  readonly host: Host;
  readonly bgpd: Bgpd;
  readonly bfdd: Bfdd;
}

const BOTH = ['ipv4', 'ipv6'] as const;

function neighbor(
  name: string,
  localAddress: string,
  address: string,
  remoteAs: number,
  rest: Partial<BgpNeighbor> = {},
): BgpNeighbor {
  return {
    name,
    address,
    localAddress,
    remoteAs,
    type: 'external',
    routeReflectorClient: false,
    nextHopSelf: false,
    passive: false,
    ttl: 1,
    families: BOTH,
    ...rest,
  };
}

function daemon(
  host: Host,
  config: Partial<BgpConfig> & Pick<BgpConfig, 'asn' | 'routerId' | 'neighbors'>,
): Speaker {
  host.kernel.root.ipForward = true;
  forwardIpv6(host);
  const bfdd = new Bfdd(host.rt, host.kernel.root);
  const bgpd = new Bgpd(host.rt, {
    netns: host.kernel.root,
    config: { networks: [], maximumPaths: 1, ...config },
    timings: timings.bgp,
    sockets: new RealSockets(() => {}),
    start: 'boot',
    bfdd,
  });
  host.kernel.onFibChange = () => bgpd.fibChanged();
  host.kernel.onLinkChange = (device) => bgpd.onLinkChange(device);
  host.kernel.onAddressReady = (device) => bgpd.onAddressReady(device);
  bgpd.start();
  return { host, bgpd, bfdd };
}

function forwardIpv6({ kernel }: Host): void {
  kernel.root.sysctls.set('ipv6.conf.*.forwarding', 1, 'all');
}

function linkLocalOf(host: Host, dev: string): string {
  return formatIp6(eui64(LINK_LOCAL_PREFIX, host.kernel.root.device(dev)!.mac));
}

/** BGP's rows of both main tables. */
function routes({ host }: Speaker): string[] {
  const { root } = host.kernel;
  const text = ({ dst, nexthops }: RouteFacts) =>
    `${dst} ${nexthops.map(({ via, dev }) => `via ${via} dev ${dev}`).join(' ')}`;
  return [...root.routes.list(), ...root.ipv6.routes.list()]
    .filter(({ protocol, type }) => protocol === 'bird' && type === 'unicast')
    .map(text);
}

function states({ bgpd }: Speaker): string[] {
  return bgpd.snapshot().sessions.map(({ peer, state }) => `${peer} ${state}`);
}

function foldEqualsState(t: { deepEqual(a: unknown, b: unknown): unknown }, { host, bgpd }: Speaker): void {
  const fold = new BgpFold();
  for (const event of host.rt.events)
    if (event.type.startsWith('bgp.')) fold.apply(event as Parameters<BgpFold['apply']>[0]);
  t.deepEqual(fold.view(), bgpd.snapshot());
}

/** Two hosts on one segment, of IPv6 alone. */
function pair(): { readonly net: Network; readonly a: Host; readonly b: Host } {
  const net = new Network();
  const [a, b] = ['a', 'b'].map((name, i) => {
    const host = net.host(name, 'on');
    net.attach(host, 'wire', 'eth0', `2001:db8::${i + 1}/64`);
    return host;
  }) as [Host, Host];
  return { net, a, b };
}

/** External speakers of both families on it, by the addresses that `end` gives each. */
function speakers(
  [a, b]: readonly [Host, Host],
  end: (host: Host) => string,
  rest: Partial<BgpNeighbor> = {},
): [Speaker, Speaker] {
  const one = daemon(a, {
    asn: 65001,
    routerId: '192.0.2.1',
    networks: ['10.1.0.0/16', '2001:db8:1::/48'],
    neighbors: [neighbor('b', end(a), end(b), 65002, rest)],
  });
  const two = daemon(b, {
    asn: 65002,
    routerId: '192.0.2.2',
    networks: ['10.2.0.0/16', '2001:db8:2::/48'],
    neighbors: [neighbor('a', end(b), end(a), 65001, rest)],
  });
  return [one, two];
}

const GLOBAL = (host: Host) => `2001:db8::${host.name === 'a' ? 1 : 2}`;
const UNNUMBERED = (host: Host) => `${linkLocalOf(host, 'eth0')}%eth0`;

test('a session over IPv6 carries both families, each with the global and the link-local next hop', (t) => {
  const { net, a, b } = pair();
  const [one, two] = speakers([a, b], GLOBAL);
  net.advance(4_000);
  t.deepEqual(states(one), ['b Established']);
  const via = linkLocalOf(b, 'eth0');
  t.deepEqual(routes(one), [`10.2.0.0/16 via ${via} dev eth0`, `2001:db8:2::/48 via ${via} dev eth0`]);
  for (const node of [one, two]) foldEqualsState(t, node);
  const [ab] = one.bgpd.report().sessions;
  const [ba] = two.bgpd.report().sessions;
  t.is(ab?.key, ba?.key);
  t.is(ab?.sent, ba?.received);
  t.is(one.bgpd.report().pendingWork, 0);
  const shown = one.bgpd.show(['show', 'route', 'for', '2001:db8:2::/48', 'all']).text;
  t.regex(shown, new RegExp(`BGP.next_hop: 2001:db8::2 ${via}`));

  two.bgpd.withdraw('10.2.0.0/16');
  net.advance(100);
  t.deepEqual(routes(one), [`2001:db8:2::/48 via ${via} dev eth0`]);
});

test('link-local addresses carry a session where there are no others', (t) => {
  const net = new Network();
  const [a, b] = ['a', 'b'].map((name, i) => {
    const host = net.host(name, 'on');
    // Addresses of other links, so that fe80::/64 is not of one device alone.
    net.attach(host, `other-${name}`, 'eth1', `10.${i}.0.1/24`);
    net.attach(host, 'wire', 'eth0', `169.254.${i}.1/32`);
    return host;
  }) as [Host, Host];
  const [one, two] = speakers([a, b], UNNUMBERED);
  // Nothing is to be said before the addresses are known to be ours alone.
  net.advance(500);
  t.true(one.bgpd.report().pendingWork > 0);
  net.advance(4_000);
  t.deepEqual(states(one), ['b Established']);
  const via = linkLocalOf(b, 'eth0');
  t.deepEqual(routes(one), [`10.2.0.0/16 via ${via} dev eth0`, `2001:db8:2::/48 via ${via} dev eth0`]);
  for (const node of [one, two]) foldEqualsState(t, node);
  const [ab] = one.bgpd.report().sessions;
  const [ba] = two.bgpd.report().sessions;
  t.is(ab?.key, ba?.key);
  t.is(one.bgpd.report().pendingWork, 0);
});

test('the same link-local addresses on two links are two sessions', (t) => {
  const net = new Network();
  const hosts = ['hub', 'left', 'right'].map((name) => net.host(name, 'on'));
  const [hub, left, right] = hosts as [Host, Host, Host];
  const attach = (host: Host, segment: string, dev: string, addr: string) =>
    net.attach(host, segment, dev, `${addr}/64`);
  attach(hub, 'l', 'eth0', 'fe80::1');
  attach(hub, 'r', 'eth1', 'fe80::1');
  attach(left, 'l', 'eth0', 'fe80::2');
  attach(right, 'r', 'eth0', 'fe80::2');
  const center = daemon(hub, {
    asn: 65000,
    routerId: '192.0.2.9',
    networks: ['10.9.0.0/16'],
    neighbors: [
      neighbor('left', 'fe80::1%eth0', 'fe80::2%eth0', 65001),
      neighbor('right', 'fe80::1%eth1', 'fe80::2%eth1', 65002),
    ],
  });
  const leaf = (host: Host, name: string, asn: number) =>
    daemon(host, {
      asn,
      routerId: `192.0.2.${asn - 65000}`,
      networks: [`10.${asn - 65000}.0.0/16`],
      neighbors: [neighbor(name, 'fe80::2%eth0', 'fe80::1%eth0', 65000)],
    });
  const ends = [leaf(left, 'hub', 65001), leaf(right, 'hub', 65002)];
  net.advance(5_000);
  t.deepEqual(states(center), ['left Established', 'right Established']);
  t.deepEqual(routes(center), ['10.1.0.0/16 via fe80::2 dev eth0', '10.2.0.0/16 via fe80::2 dev eth1']);
  t.deepEqual(routes(ends[0]!), ['10.2.0.0/16 via fe80::1 dev eth0', '10.9.0.0/16 via fe80::1 dev eth0']);
  const keys = center.bgpd.report().sessions.map(({ key }) => key);
  t.is(new Set(keys).size, 2);
  t.deepEqual(
    ends.map(({ bgpd }) => bgpd.report().sessions[0]?.key),
    keys,
  );
  for (const node of [center, ...ends]) foldEqualsState(t, node);
});

test('IPv6 over a session of IPv4 and IPv4 over one of IPv6 without RFC 8950 need a next hop of their family', (t) => {
  const { net, a, b } = pair();
  a.kernel.root.addAddress('eth0', '10.0.0.1/24');
  b.kernel.root.addAddress('eth0', '10.0.0.2/24');
  const four = speakers([a, b], (host) => `10.0.0.${host.name === 'a' ? 1 : 2}`, { ttl: 64 });
  net.advance(4_000);
  // The mapped form is no way for a kernel.
  t.deepEqual(routes(four[0]), ['10.2.0.0/16 via 10.0.0.2 dev eth0']);

  const other = pair();
  for (const [i, host] of [other.a, other.b].entries())
    host.kernel.root.addAddress('eth0', `10.0.0.${i + 1}/24`);
  const six = speakers([other.a, other.b], GLOBAL, { ttl: 64, extendedNextHop: 'off' });
  other.net.advance(4_000);
  t.deepEqual(states(six[0]), ['b Established']);
  t.deepEqual(routes(six[0]), ['2001:db8:2::/48 via 2001:db8::2 dev eth0']);
  t.regex(six[1].bgpd.show(['show', 'why', '10.2.0.0/16']).text, /not told to a: .*set nextHop4/);

  const named = pair();
  for (const [i, host] of [named.a, named.b].entries())
    host.kernel.root.addAddress('eth0', `10.0.0.${i + 1}/24`);
  const plain = { ttl: 64, extendedNextHop: 'off' } as const;
  const [one] = [
    daemon(named.a, {
      asn: 65001,
      routerId: '192.0.2.1',
      neighbors: [neighbor('b', '2001:db8::1', '2001:db8::2', 65002, plain)],
    }),
    daemon(named.b, {
      asn: 65002,
      routerId: '192.0.2.2',
      networks: ['10.2.0.0/16'],
      neighbors: [neighbor('a', '2001:db8::2', '2001:db8::1', 65001, { ...plain, nextHop4: '10.0.0.2' })],
    }),
  ];
  named.net.advance(4_000);
  t.deepEqual(routes(one!), ['10.2.0.0/16 via 10.0.0.2 dev eth0']);
});

test('TTL security counts hop limits', (t) => {
  const { net, a, b } = pair();
  const [one] = speakers([a, b], GLOBAL, { ttlSecurity: 1 });
  net.advance(4_000);
  t.deepEqual(states(one), ['b Established']);
  const limits = net.frames.filter(
    ({ frame }) => frame[12] === 0x86 && ip6NextHeader(frame, ETH_HLEN) === PROTO_TCP,
  );
  t.true(limits.length > 0);
  t.true(limits.every(({ frame }) => ip6HopLimit(frame, ETH_HLEN) === 255));

  // One end alone: what comes from the other with a hop limit of 64 is dropped.
  const far = pair();
  const mixed = [
    daemon(far.a, {
      asn: 65001,
      routerId: '192.0.2.1',
      neighbors: [neighbor('b', '2001:db8::1', '2001:db8::2', 65002, { ttlSecurity: 1 })],
    }),
    daemon(far.b, {
      asn: 65002,
      routerId: '192.0.2.2',
      neighbors: [neighbor('a', '2001:db8::2', '2001:db8::1', 65001, { ttl: 64 })],
    }),
  ];
  far.net.advance(10_000);
  t.deepEqual(
    mixed.flatMap(states).filter((state) => state.endsWith('Established')),
    [],
  );
  t.true((far.a.kernel.drops.get('tcp-min-ttl') ?? 0) > 0);
});

test('whoever connects from an IPv6 prefix that is listened to is a neighbour, link-local ones included', (t) => {
  const { net, a, b } = pair();
  const options = { routeReflectorClient: false, nextHopSelf: false, passive: true, ttl: 64, families: BOTH };
  const one = daemon(a, {
    asn: 65001,
    routerId: '192.0.2.1',
    networks: ['10.1.0.0/16'],
    neighbors: [],
    dynamicNeighbors: [
      { prefix: '2001:db8::/64', remoteAs: [65002], ...options },
      { prefix: 'fe80::/10', remoteAs: [65003], ...options },
    ],
  });
  const two = daemon(b, {
    asn: 65002,
    routerId: '192.0.2.2',
    neighbors: [neighbor('a', '2001:db8::2', '2001:db8::1', 65001)],
  });
  const c = net.host('c', 'on');
  net.attach(c, 'wire', 'eth0', '2001:db8::3/64');
  const three = daemon(c, {
    asn: 65003,
    routerId: '192.0.2.3',
    neighbors: [neighbor('a', `${linkLocalOf(c, 'eth0')}%eth0`, `${linkLocalOf(a, 'eth0')}%eth0`, 65001)],
  });
  net.advance(5_000);
  const dynamic = `${linkLocalOf(c, 'eth0')}%eth0`;
  t.deepEqual(new Set(states(one)), new Set(['2001:db8::2 Established', `${dynamic} Established`]));
  t.is(routes(two).length, 1);
  t.is(routes(three).length, 1);
  three.bgpd.shutdown();
  net.advance(100);
  t.deepEqual(states(one), ['2001:db8::2 Established']);
  foldEqualsState(t, one);
});

test('connections that both ends have opened at once become one session', (t) => {
  const { net, a, b } = pair();
  const [one, two] = speakers([a, b], UNNUMBERED);
  net.advance(6_000);
  t.deepEqual(states(one), ['b Established']);
  t.deepEqual(states(two), ['a Established']);
  const open = [a, b].map((host) =>
    host.kernel.root.ipv6.tcp.list().filter(({ state }) => state === 'ESTABLISHED'),
  );
  t.deepEqual(
    open.map(({ length }) => length),
    [1, 1],
  );
});

test('BFD runs over IPv6 with hop limit 255, and a link that is cut ends the session', (t) => {
  for (const end of [GLOBAL, UNNUMBERED]) {
    const { net, a, b } = pair();
    const [one] = speakers([a, b], end, { bfd: { minTx: 50, minRx: 50, multiplier: 3 } });
    net.advance(8_000);
    t.deepEqual(states(one), ['b Established']);
    t.deepEqual(
      one.bfdd.snapshot().sessions.map(({ local, remote, mode, state }) => [local, remote, mode, state]),
      [[end(a), end(b), 'single-hop', 'Up']],
    );
    const sent = net.frames.filter(
      ({ frame }) =>
        frame[12] === 0x86 &&
        ip6NextHeader(frame, ETH_HLEN) === PROTO_UDP &&
        ((frame[ETH_HLEN + 42]! << 8) | frame[ETH_HLEN + 43]!) === 3784,
    );
    t.true(sent.length > 10);
    t.true(sent.every(({ frame }) => ip6HopLimit(frame, ETH_HLEN) === 255));
    const [first] = sent;
    t.is(`${formatIp6(readIp6(first!.frame, ETH_HLEN + IP6_SRC))}`.slice(0, 4), end(a).slice(0, 4));
    t.is(`${formatIp6(readIp6(first!.frame, ETH_HLEN + IP6_DST))}`.slice(0, 4), end(a).slice(0, 4));
    net.passes = () => false;
    net.advance(300);
    t.notDeepEqual(states(one), ['b Established']);
    t.deepEqual(routes(one), []);
  }
});

test('a next hop over IPv6 is followed through the IPv6 routes', (t) => {
  // a - m - b: the session of a and b goes over m, by global addresses.
  const net = new Network();
  const [a, m, b] = ['a', 'm', 'b'].map((name) => net.host(name, 'on')) as [Host, Host, Host];
  net.attach(a, 'am', 'eth0', '2001:db8:a::1/64');
  net.attach(m, 'am', 'eth0', '2001:db8:a::2/64');
  net.attach(m, 'mb', 'eth1', '2001:db8:b::2/64');
  net.attach(b, 'mb', 'eth0', '2001:db8:b::1/64');
  forwardIpv6(m);
  const way = (dst: string, via: string): RouteFacts => ({
    dst,
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 1024,
    src: '',
    nexthops: [{ via, dev: 'eth0', onlink: false, weight: 1 }],
  });
  net.advance(3_000);
  a.kernel.root.ipv6.routes.set(way('2001:db8:b::/64', '2001:db8:a::2'));
  b.kernel.root.ipv6.routes.set(way('2001:db8:a::/64', '2001:db8:b::2'));
  const one = daemon(a, {
    asn: 65001,
    routerId: '192.0.2.1',
    neighbors: [neighbor('b', '2001:db8:a::1', '2001:db8:b::1', 65002, { ttl: 64 })],
  });
  daemon(b, {
    asn: 65002,
    routerId: '192.0.2.2',
    networks: ['10.2.0.0/16', '2001:db8:2::/48'],
    neighbors: [neighbor('a', '2001:db8:b::1', '2001:db8:a::1', 65001, { ttl: 64 })],
  });
  net.advance(3_000);
  t.deepEqual(routes(one), [
    '10.2.0.0/16 via 2001:db8:a::2 dev eth0',
    '2001:db8:2::/48 via 2001:db8:a::2 dev eth0',
  ]);
  a.kernel.root.ipv6.routes.set(way('2001:db8:b::/64', '2001:db8:a::3'));
  net.advance(10);
  t.deepEqual(routes(one), [
    '10.2.0.0/16 via 2001:db8:a::3 dev eth0',
    '2001:db8:2::/48 via 2001:db8:a::3 dev eth0',
  ]);
  a.kernel.root.ipv6.routes.delete('2001:db8:b::/64', 1024);
  net.advance(10);
  t.deepEqual(routes(one), []);
  t.regex(one.bgpd.show(['show', 'route']).text, /unreachable/);
});

test('inside an AS a link-local next hop goes no further, and a global one goes on without it', (t) => {
  // a - b - c: a speaks with b, external, by link-local or global addresses; b and c are of one AS.
  for (const end of [GLOBAL, UNNUMBERED]) {
    const { net, a, b } = pair();
    const c = net.host('c', 'on');
    net.attach(b, 'bc', 'eth1', '2001:db8:bc::1/64');
    net.attach(c, 'bc', 'eth0', '2001:db8:bc::2/64');
    daemon(a, {
      asn: 65001,
      routerId: '192.0.2.1',
      networks: ['10.1.0.0/16', '2001:db8:1::/48'],
      neighbors: [neighbor('b', end(a), end(b), 65002)],
    });
    daemon(b, {
      asn: 65002,
      routerId: '192.0.2.2',
      neighbors: [
        neighbor('a', end(b), end(a), 65001),
        neighbor('c', '2001:db8:bc::1', '2001:db8:bc::2', 65002, { ttl: 64 }),
      ],
    });
    const three = daemon(c, {
      asn: 65002,
      routerId: '192.0.2.3',
      neighbors: [neighbor('b', '2001:db8:bc::2', '2001:db8:bc::1', 65002, { ttl: 64 })],
    });
    net.advance(6_000);
    const heard = three.bgpd.snapshot().adjRibIn.b ?? [];
    const hop = end === GLOBAL ? '2001:db8::1' : '2001:db8:bc::1';
    t.deepEqual(
      heard.map(({ prefix, attributes }) => [prefix, attributes.nexthop]),
      [
        ['10.1.0.0/16', hop],
        ['2001:db8:1::/48', hop],
      ],
    );
    // 16 bytes: what stood behind it was of another link.
    const messages = three.host.rt.events.flatMap((event) =>
      event.type === 'bgp.received' && event.message[18] === 2 ? [event.message] : [],
    );
    const lengths = messages.flatMap((message) => {
      const at = message.findIndex((byte, i) => byte === 0x90 && message[i + 1] === 14);
      return at < 0 ? [] : [message[at + 7]];
    });
    t.true(lengths.length > 0);
    t.true(lengths.every((length) => length === 16));
    // Who has no way to a's link cannot use its next hop.
    t.is(routes(three).length, end === GLOBAL ? 0 : 2);
    foldEqualsState(t, three);
  }
});

test('an attempt to connect to a link-local address ends as its neighbour entry fails, not with the last SYN', (t) => {
  const { net, a, b } = pair();
  const [one] = speakers([a, b], UNNUMBERED);
  net.advance(4_000);
  t.deepEqual(states(one), ['b Established']);
  net.passes = () => false;
  const seen = a.rt.events.length;
  one.bgpd.control({ op: 'reset', peer: 'b' });
  net.advance(30_000);
  const ended = a.rt.events
    .slice(seen)
    .flatMap((event) => (event.type === 'bgp.session' && event.from === 'Connect' ? [event.reason] : []));
  t.is(ended[0], 'TcpConnectionFails');
  t.true(one.bgpd.report().sessions.every(({ settled }) => settled));
});
