import test from 'ava';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../../protocols/ethernet.ts';
import { readIp6 } from '../../../../protocols/ip6.ts';
import { writeIpv6Header } from '../../../../protocols/ipv6.ts';
import { readMac } from '../../../../protocols/mac.ts';
import { writeUdp } from '../../../../protocols/udp.ts';
import { EmulatedPorts } from '../../../support/router.ts';
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

/** A datagram of IPv6 from one port of a bridge to a host at the other. */
function bridgedDatagram(dst: string): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + 40 + 8);
  writeEthernet(frame, 0x0200_0000_0205, 0x0200_0000_0202, ETHERTYPE_IPV6);
  const [from, to] = [ip6('2001:db8::2'), ip6(dst)];
  writeIpv6Header(frame, ETH_HLEN, { src: from, dst: to, nextHeader: 17, hopLimit: 64, payloadLength: 8 });
  writeUdp(frame, ETH_HLEN + 40, from, to, 4_000, 53, 0, { checksum: 'compute' });
  return frame;
}

test('bridged packets of IPv6 pass ip6tables with the ports that they come and go by, DNAT included', (t) => {
  const ports = new EmulatedPorts([{ name: 'v0' }, { name: 'w0' }]);
  const { root } = ports;
  root.addBridge({ name: 'br0', mac: 0x0200_0000_0001, mtu: 1500 });
  for (const dev of ['v0', 'w0']) root.setMaster(dev, 'br0');
  root.setUp('br0');
  run('sysctl -w net.ipv6.conf.br0.disable_ipv6=0', root);
  run('ip -6 addr add 2001:db8::1/64 dev br0 nodad', root);
  root.setNeighbor('br0', ip6('2001:db8::5'), 0x0200_0000_0205);
  ip6tables(root, '-t nat -A PREROUTING -d 2001:db8:96::1 -j DNAT --to-destination 2001:db8::5');
  const [moved] = ports.send(0, bridgedDatagram('2001:db8:96::1'));
  t.is(moved?.port, 1);
  t.is(text(readIp6(moved!.frame, ETH_HLEN + 24)), '2001:db8::5');
  t.is(readMac(moved!.frame, 0), 0x0200_0000_0205);

  ip6tables(root, '-A FORWARD -m physdev --physdev-in v0 --physdev-out w0 -j DROP');
  t.deepEqual(ports.send(0, bridgedDatagram('2001:db8::5')), []);
  run('sysctl -w net.bridge.bridge-nf-call-ip6tables=0', root);
  t.is(ports.send(0, bridgedDatagram('2001:db8::5')).length, 1);
});

test('rules put what packets have into sets and take it out again', (t) => {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  for (const line of [
    'ipset create seen hash:ip family inet6 timeout 100',
    'ipset create nets hash:net family inet6',
  ])
    t.is(run(line, root).code, 0, line);
  ip6tables(
    root,
    '-A FORWARD -j SET --add-set seen src --exist --timeout 7',
    '-A FORWARD -j SET --add-set nets src',
    '-A FORWARD -m set --match-set seen src -j DROP',
  );
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.regex(run('ipset list seen', root).text, /^2001:db8:1::2 timeout 6$/m);
  t.regex(run('ipset list nets', root).text, /^2001:db8:1::2$/m);
  t.is(run('ipset destroy nets', root).code, 1, 'a rule changes it');
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
  ip6tables(root, '-F FORWARD', '-A FORWARD -j SET --del-set nets src');
  ping.send('2001:db8:2::2');
  net.advance(10);
  t.is(ping.replies.length, 1);
  t.regex(run('ipset list nets', root).text, /Number of entries: 0/);
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('LOG has a packet of IPv6 in the kernel’s words, and what an error is about in brackets', (t) => {
  const { net, a, r } = routed();
  ip6tables(r.kernel.root, '-A FORWARD -j LOG --log-prefix v6:', '-A OUTPUT -j LOG');
  const client = udp(a.kernel.root, 4002);
  client.send('2001:db8:2::2', 9, 'x');
  client.send('2001:db8:7::7', 9, 'x');
  net.advance(10);
  const lines = r.kernel.log.lines().map(({ text: line }) => line);
  t.true(
    lines.some((line) =>
      /^v6:IN=eth0 OUT=eth1 MAC=\S+ SRC=2001:0db8:0001:0000:0000:0000:0000:0002 DST=2001:0db8:0002:0000:0000:0000:0000:0002 LEN=49 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=UDP SPT=4002 DPT=9 LEN=9 $/.test(
        line,
      ),
    ),
    lines.join('\n'),
  );
  t.true(
    lines.some((line) =>
      /PROTO=ICMPv6 TYPE=1 CODE=0 \[SRC=\S+ DST=\S+ LEN=49 .*PROTO=UDP SPT=4002 DPT=9 LEN=9 \] $/.test(line),
    ),
    lines.join('\n'),
  );
});

test('hashlimit keeps account of each source by itself, and forgets one that is silent', (t) => {
  const { net, a, b, r } = routed();
  ip6tables(
    r.kernel.root,
    '-A FORWARD -p udp -m hashlimit --hashlimit-upto 2/sec --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name per -j ACCEPT',
    '-A FORWARD -p udp -j DROP',
  );
  const [left, right] = [udp(a.kernel.root, 4003), udp(b.kernel.root, 4003)];
  const burst = (from: typeof left, dst: string, count: number) => {
    for (let i = 0; i < count; i++) from.send(dst, 4003, 'x');
    net.advance(5);
  };
  burst(left, '2001:db8:2::2', 5);
  t.is(right.got.length, 2);
  burst(right, '2001:db8:1::2', 1);
  t.is(left.got.length, 1, 'another source');
  net.advance(500);
  burst(left, '2001:db8:2::2', 3);
  t.is(right.got.length, 3, 'one more after half a second');
  net.advance(1_500);
  burst(left, '2001:db8:2::2', 5);
  t.is(right.got.length, 5, 'a whole burst once it was forgotten');
});
