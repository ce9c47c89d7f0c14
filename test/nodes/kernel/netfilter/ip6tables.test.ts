import test from 'ava';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { run } from '../../tools/support/run.ts';
import { foldOf, ip6, pinger, routed, text } from '../ipv6/lab.ts';

function ip6tables(ns: Netns, ...lines: readonly string[]): void {
  for (const line of lines) {
    const { code, text: said } = run(`ip6tables ${line}`, ns);
    if (code !== 0) throw new Error(`ip6tables ${line}: ${said}`);
  }
}

function udp(ns: Netns, port: number) {
  const got: string[] = [];
  const errors: string[] = [];
  const socket = ns.ipv6.udp.bind({ addr: ip6('::'), port }, ({ src, srcPort, payload }) =>
    got.push(`${text(src)} ${srcPort} ${String.fromCharCode(...payload)}`),
  );
  socket.onError = ({ type, code, from }) => errors.push(`${type} ${code} ${text(from)}`);
  const send = (dst: string, dstPort: number, words: string) =>
    socket.sendTo(
      ip6(dst),
      dstPort,
      Uint8Array.from(words, (char) => char.charCodeAt(0)),
    );
  return { got, errors, send };
}

test('a router drops what ip6tables says, and refuses with the kinds of ICMPv6', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  ip6tables(r.kernel.root, '-A FORWARD -p icmpv6 --icmpv6-type echo-request -j DROP');
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.is(r.kernel.drops.get('netfilter-drop'), 1);
  ip6tables(r.kernel.root, '-R FORWARD 1 -d 2001:db8:2::/64 -j REJECT --reject-with adm-prohibited');
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.like(ping.errors[0], { type: 'dest-unreachable', code: 1 });
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('rules of IPv4 and of IPv6 are not each other', (t) => {
  const { net, a, r } = routed();
  const ping = pinger(a.kernel.root);
  t.is(run('iptables -P FORWARD DROP', r.kernel.root).code, 0);
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.is(ping.replies.length, 1);
  t.regex(run('ip6tables -S FORWARD', r.kernel.root).text, /-P FORWARD ACCEPT/);
});

test('DNAT and MASQUERADE of IPv6, there and back, and what conntrack shows', (t) => {
  const { net, a, r, b } = routed();
  const { root } = r.kernel;
  ip6tables(
    root,
    '-t nat -A PREROUTING -d 2001:db8:1::1 -p udp --dport 53 -j DNAT --to-destination [2001:db8:2::2]:5353',
    '-t nat -A POSTROUTING -o eth1 -j MASQUERADE',
  );
  const client = udp(a.kernel.root, 4000);
  const server = udp(b.kernel.root, 5353);
  client.send('2001:db8:1::1', 53, 'hi');
  net.advance(10);
  t.deepEqual(server.got, ['2001:db8:2::1 4000 hi']);
  server.send('2001:db8:2::1', 4000, 'yes');
  net.advance(10);
  t.deepEqual(client.got, ['2001:db8:1::1 53 yes']);
  t.is(
    run('conntrack -L -f ipv6', root).streams.stdout,
    'udp      17 29 src=2001:db8:1::2 dst=2001:db8:1::1 sport=4000 dport=53 src=2001:db8:2::2 dst=2001:db8:2::1 sport=5353 dport=4000 mark=0 use=1\n',
  );
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  t.is(run('conntrack -D -f ipv6 -s 2001:db8:1::2', root).code, 0);
  t.is(root.conntrack.count, 0);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('an error about a packet that went through NAT is about the packet that its sender knows', (t) => {
  const { net, a, r } = routed();
  ip6tables(
    r.kernel.root,
    '-t nat -A PREROUTING -d 2001:db8:9::9 -p udp -j DNAT --to-destination [2001:db8:2::2]:7',
    '-t nat -A POSTROUTING -o eth1 -j MASQUERADE',
  );
  const client = udp(a.kernel.root, 4001);
  client.send('2001:db8:9::9', 9, 'x');
  net.advance(10);
  // Nobody is at port 7 there.
  t.deepEqual(client.errors, ['dest-unreachable 4 2001:db8:9::9']);
});

test('neighbour discovery passes INPUT and OUTPUT, and belongs to no flow', (t) => {
  const { net, a, r } = routed();
  ip6tables(
    r.kernel.root,
    '-A INPUT -p icmpv6 --icmpv6-type neighbour-solicitation -m conntrack --ctstate UNTRACKED',
    '-A INPUT -m conntrack --ctstate INVALID -j DROP',
    '-A OUTPUT -p icmpv6 --icmpv6-type neighbour-advertisement -j DROP',
  );
  const ping = pinger(a.kernel.root);
  run('ip -6 neigh flush all', a.kernel.root);
  for (const { ip } of a.kernel.root.neighbors6()) a.kernel.root.deleteNeighbor('eth0', ip6(ip));
  ping.send('2001:db8:1::1');
  net.advance(4_000);
  t.is(ping.replies.length, 0);
  const counted = run('ip6tables -nvxL OUTPUT', r.kernel.root).text;
  t.notRegex(counted, /^ +0 .*DROP/m);
  t.regex(run('ip6tables -nvxL INPUT', r.kernel.root).text, /^ +[1-9]\d* +\d+ +58/m);
  t.is(r.kernel.root.conntrack.count, 0);
});
