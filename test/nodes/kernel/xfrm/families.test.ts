import test, { type ExecutionContext } from 'ava';
import type { KernelEvent } from '../../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { u16 } from '../../../../protocols/bytes.ts';
import { ANY_IP6, parseIp6 } from '../../../../protocols/ip6.ts';
import { LINKTYPE_ETHERNET } from '../../../../protocols/pcapng.ts';
import { type Host, Network } from '../../../support/network.ts';
import { saveCapture } from '../../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../../support/tshark.ts';
import { run } from '../../tools/support/run.ts';
import { FAR, GCM, GCM_KEY, gateways, sh } from './gateways.ts';

const CBC = `enc cbc(aes) 0x101112131415161718191a1b1c1d1e1f auth-trunc hmac(sha256) 0x${'20'.repeat(32)} 128`;

/** What ping says of one packet. */
function ping(net: Network, from: Host, args: string): string {
  const tool = run(`ping -n -c 1 -W 1 ${args}`, from.kernel.root);
  net.advance(3_000);
  return tool.text;
}

const answered = (text: string) => / 1 received/.test(text);

/** Frames on a segment that are no neighbour discovery. */
const frames = (net: Network, segment: string) =>
  net.frames
    .filter(({ segment: on, frame }) => on === segment && !(frame[12] === 0x86 && frame[20] === 58))
    .map(({ frame }) => frame);

function foldIsLive(t: ExecutionContext, ...hosts: Host[]): void {
  for (const host of hosts) {
    const fold = new KernelFold();
    for (const event of host.rt.events) fold.apply(event as KernelEvent);
    t.deepEqual(fold.view(), host.kernel.snapshot());
  }
}

for (const [outer, inner, mtu, wire] of [
  // 40 IPv6, 8 ESP, 8 IV, 104 + 2 padded to 108, 16.
  ['inet6', 'inet6', 1426, 40 + 8 + 8 + 108 + 16],
  ['inet6', 'inet', 1426, 40 + 8 + 8 + 88 + 16],
  ['inet', 'inet6', 1446, 20 + 8 + 8 + 108 + 16],
] as const) {
  const name = { inet: 'IPv4', inet6: 'IPv6' };
  testWithTshark(
    `a tunnel of ${name[outer]} with ${name[inner]} in it: sizes, MTU, and what tshark reads`,
    async (t) => {
      const { net, h1, a, b } = gateways(t, outer, inner, outer === inner ? '' : 'flag af-unspec');
      ping(net, h1, FAR[inner]);
      net.frames.splice(0);
      t.true(answered(ping(net, h1, FAR[inner])));
      const sealed = frames(net, 'left').filter((frame) => frame.length > 100);
      t.deepEqual(
        sealed.map((frame) => frame.length - 14),
        [wire, wire],
      );
      const header = inner === 'inet' ? 28 : 48;
      t.regex(
        ping(net, h1, `-M do -s ${1500 - header} ${FAR[inner]}`),
        new RegExp(`[Mm][Tt][Uu] ?= ?${mtu}`),
      );
      t.true(answered(ping(net, h1, `-M do -s ${mtu - header} ${FAR[inner]}`)));
      // Of IPv6 nobody fragments the answer on its way: the one who answers has to be told first.
      ping(net, h1, `-s 4000 ${FAR[inner]}`);
      t.true(answered(ping(net, h1, `-s 4000 ${FAR[inner]}`)));
      t.true(net.frames.every(({ frame }) => frame.length <= 1514));
      foldIsLive(t, a, b);
      const file = saveCapture(t, frames(net, 'left'), LINKTYPE_ETHERNET);
      t.deepEqual(await complaints(file), []);
      const protocol = outer === 'inet' ? 'IPv4' : 'IPv6';
      const association = `uat:esp_sa:"${protocol}","*","*","*","AES-GCM with 16 octet ICV [RFC4106]","${GCM_KEY}","NULL",""`;
      const echo = inner === 'inet' ? 'icmp.type == 8' : 'icmpv6.type == 128';
      const options = ['-o', 'esp.enable_encryption_decode:TRUE', '-o', association];
      t.true((await tshark(file, ...options, '-Y', echo)).length >= 2);
    },
  );
}

test('without af-unspec an association takes packets of its own family alone', (t) => {
  const { net, h1, a } = gateways(t, 'inet6', 'inet', '');
  t.false(answered(ping(net, h1, FAR.inet)));
  t.true((a.kernel.drops.get('xfrm-out-policy') ?? 0) > 0);
  t.regex(sh(t, a, 'ip -6 xfrm state'), /\n\tsel src ::\/0 dst ::\/0 \n/);
});

test('two hosts of IPv6 in transport mode, with TCP', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a', 'on'), net.host('b', 'on')];
  for (const [i, host] of [a, b].entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    sh(t, host, `ip addr add fd00::${i + 1}/64 dev eth0 nodad`);
    sh(t, host, `ip xfrm state add src fd00::1 dst fd00::2 proto esp spi 0x11 ${CBC}`);
    sh(t, host, `ip xfrm state add src fd00::2 dst fd00::1 proto esp spi 0x12 ${CBC}`);
    sh(
      t,
      host,
      `ip -6 xfrm policy add src fd00::${i + 1} dst fd00::${2 - i} proto tcp dir out tmpl proto esp`,
    );
    sh(t, host, `ip xfrm policy add src fd00::${2 - i} dst fd00::${i + 1} proto tcp dir in tmpl proto esp`);
  }
  net.advance(2_000);
  let got = 0;
  b.kernel.root.ipv6.tcp.listen({ addr: ANY_IP6, port: 80 }, (socket) => {
    socket.onData = (data) => {
      got += data.length;
    };
  });
  const socket = a.kernel.root.ipv6.tcp.connect({ src: ANY_IP6, dst: parseIp6('fd00::2')!, port: 80 });
  let left = 20_000;
  const send = () => {
    left -= socket.send(new Uint8Array(left));
  };
  socket.onConnected = send;
  socket.onDrained = send;
  net.advance(5_000);
  t.is(got, 20_000);
  const plain = frames(net, 'lan').filter((frame) => frame[12] === 0x86 && frame[20] === 6);
  t.deepEqual(plain, []);
  const sealed = frames(net, 'lan').filter((frame) => frame[12] === 0x86 && frame[20] === 50);
  t.true(sealed.some((frame) => frame.length > 1400) && sealed.every((frame) => frame.length <= 1514));
  // What has no policy goes as it is.
  t.true(answered(ping(net, a, 'fd00::2')));
  foldIsLive(t, a, b);
});

test('policies select by port, and by type of ICMP', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  for (const [i, host] of [a, b].entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    sh(t, host, `ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x11 ${GCM}`);
  }
  const to = 'src 10.0.0.1 dst 10.0.0.2';
  sh(t, a, `ip xfrm policy add ${to} proto udp dport 9 dir out tmpl proto esp`);
  sh(t, a, `ip xfrm policy add ${to} proto icmp type 8 dir out action block`);
  sh(t, b, `ip xfrm policy add ${to} proto udp sport 7 dport 9 dir in tmpl proto esp`);
  const got: number[] = [];
  for (const port of [9, 10])
    b.kernel.root.bindUdp({ addr: 0, port }, ({ dst, srcPort }) => got.push(port, srcPort, dst));
  const socket = a.kernel.root.bindUdp({ addr: 0, port: 7 }, () => {});
  for (const port of [9, 10]) socket.sendTo(0x0a000002, port, new Uint8Array(4));
  net.advance(100);
  t.deepEqual(got, [9, 7, 0x0a000002, 10, 7, 0x0a000002]);
  const protocols = frames(net, 'lan').flatMap((frame) => (frame[13] === 0 ? [frame[23]] : []));
  t.deepEqual(protocols, [50, 17]);
  t.false(answered(ping(net, a, '10.0.0.2')));
  t.true(answered(ping(net, b, '10.0.0.1')));
  t.is(a.kernel.drops.get('xfrm-out-policy'), 1);
  // From that port b wants it sealed.
  sh(t, a, 'ip xfrm policy flush');
  socket.sendTo(0x0a000002, 9, new Uint8Array(4));
  net.advance(100);
  t.is(b.kernel.drops.get('xfrm-in-policy'), 1);
  foldIsLive(t, a, b);
});

testWithTshark('ESP in UDP gets through a NAT, and tshark reads it', async (t) => {
  const net = new Network();
  const [a, nat, b] = [net.host('a'), net.host('nat'), net.host('b')];
  net.attach(a, 'home', 'eth0', '192.168.1.2/24');
  net.attach(nat, 'home', 'eth0', '192.168.1.1/24');
  net.attach(nat, 'world', 'eth1', '203.0.113.1/24');
  net.attach(b, 'world', 'eth0', '203.0.113.9/24');
  nat.kernel.root.ipForward = true;
  sh(t, a, 'ip route add default via 192.168.1.1');
  sh(t, nat, 'iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE');
  sh(t, a, 'ip addr add 10.9.0.1/32 dev lo');
  sh(t, b, 'ip addr add 10.9.0.2/32 dev lo');
  sh(t, a, 'ip route add 10.9.0.2/32 via 192.168.1.1 src 10.9.0.1');
  sh(t, b, 'ip route add 10.9.0.1/32 via 203.0.113.1 src 10.9.0.2');
  const encap = 'encap espinudp 4500 4500 0.0.0.0';
  for (const [host, mine, other] of [
    [a, '192.168.1.2', '203.0.113.9'],
    // The NAT's address is that of a, as b sees it.
    [b, '203.0.113.9', '203.0.113.1'],
  ] as const) {
    const [own, far] = host === a ? [1, 2] : [2, 1];
    const [spi, back] = host === a ? ['0x11', '0x12'] : ['0x12', '0x11'];
    sh(
      t,
      host,
      `ip xfrm state add src ${mine} dst ${other} proto esp spi ${spi} reqid 1 mode tunnel ${encap} ${GCM}`,
    );
    sh(
      t,
      host,
      `ip xfrm state add src ${other} dst ${mine} proto esp spi ${back} reqid 1 mode tunnel ${encap} ${GCM}`,
    );
    sh(
      t,
      host,
      `ip xfrm policy add src 10.9.0.${own} dst 10.9.0.${far} dir out tmpl src ${mine} dst ${other} proto esp reqid 1 mode tunnel`,
    );
    sh(
      t,
      host,
      `ip xfrm policy add src 10.9.0.${far} dst 10.9.0.${own} dir in tmpl src ${other} dst ${mine} proto esp reqid 1 mode tunnel`,
    );
  }
  t.true(answered(ping(net, a, '10.9.0.2')));
  t.true(answered(ping(net, a, '-M do -s 1410 10.9.0.2')));
  // 20 IP, 8 UDP, 8 ESP, 8 IV, 2 + 16, to a multiple of 4.
  t.regex(ping(net, a, '-M do -s 1411 10.9.0.2'), /mtu=1438/);
  const sealed = frames(net, 'world').filter((frame) => frame[13] === 0);
  t.true(sealed.length >= 4);
  for (const frame of sealed)
    t.deepEqual([frame[23], u16(frame, 34), u16(frame, 36), u16(frame, 40)], [17, 4500, 4500, 0]);
  t.regex(sh(t, a, 'ip xfrm state'), /\n\tencap type espinudp sport 4500 dport 4500 addr 0\.0\.0\.0\n/);
  // A keepalive is nobody's, what is IKE's has nobody to take it, and ESP without UDP does not fit the association.
  const other = nat.kernel.root.bindUdp({ addr: 0, port: 4500 }, () => {});
  other.sendTo(0xcb007109, 4500, Uint8Array.of(0xff));
  other.sendTo(0xcb007109, 4500, new Uint8Array(30));
  net.advance(100);
  t.is(b.kernel.drops.get('xfrm-ike'), 1);
  foldIsLive(t, a, b);
  sh(t, b, 'ip xfrm state flush');
  t.deepEqual(b.kernel.root.udp.list(), []);
  const file = saveCapture(t, frames(net, 'world'), LINKTYPE_ETHERNET);
  t.deepEqual(await complaints(file), []);
  const association = `uat:esp_sa:"IPv4","*","*","*","AES-GCM with 16 octet ICV [RFC4106]","${GCM_KEY}","NULL",""`;
  const read = await tshark(
    file,
    '-o',
    'esp.enable_encryption_decode:TRUE',
    '-o',
    association,
    '-Y',
    'udpencap && icmp',
  );
  t.true(read.length >= 4);
});

/** Two hosts, an association from the first to the second, and what its monitor says. */
function oneWay(t: ExecutionContext, settings: string) {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  for (const [i, host] of [a, b].entries()) net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
  const monitor = run('ip xfrm monitor', a.kernel.root);
  const id = 'src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x11';
  sh(t, a, `ip xfrm state add ${id} ${settings} ${GCM}`);
  sh(t, b, `ip xfrm state add ${id} ${settings.replaceAll(/limit \S+ \d+/g, '')} ${GCM}`);
  sh(t, a, 'ip xfrm policy add src 10.0.0.1 dst 10.0.0.2 dir out tmpl proto esp');
  let got = 0;
  b.kernel.root.bindUdp({ addr: 0, port: 9 }, () => got++);
  const socket = a.kernel.root.bindUdp({ addr: 0, port: 7 }, () => {});
  const send = () => {
    socket.sendTo(0x0a000002, 9, new Uint8Array(92));
    net.advance(100);
    return got;
  };
  send();
  return { net, a, b, monitor, send };
}

test('an association that has had its packets is told of, and then is gone', (t) => {
  const { a, monitor, send } = oneWay(t, 'limit packet-soft 2 limit packet-hard 4');
  t.is(send(), 2);
  t.notRegex(monitor.text, /Expired/);
  t.is(send(), 3);
  t.regex(monitor.text, /Expired src 10\.0\.0\.1 dst 10\.0\.0\.2\n[\s\S]*\thard 0\n$/);
  t.is(send(), 4);
  t.is(sh(t, a, 'ip xfrm state count'), '\t SAD count 1\n');
  t.regex(sh(t, a, 'ip -s xfrm state'), /\n\t {2}400\(bytes\), 4\(packets\)\n/);
  t.is(send(), 4);
  t.is(a.kernel.drops.get('xfrm-expired'), 1);
  t.is(sh(t, a, 'ip xfrm state count'), '\t SAD count 0\n');
  t.regex(monitor.text, /\thard 1\n$/);
  t.is(send(), 4);
  // Without one the policy asks for one.
  t.regex(
    monitor.text,
    /\nacquire proto esp \n {2}sel src 10\.0\.0\.1\/32 dst 10\.0\.0\.2\/32 proto udp sport 7 dport 9 \n {2}policy src 10\.0\.0\.1\/32 dst 10\.0\.0\.2\/32 \n/,
  );
  foldIsLive(t, a);
});

test('bytes, time since it was added and time since its first packet end an association too', (t) => {
  const bytes = oneWay(t, 'limit byte-hard 150');
  t.is(bytes.send(), 2);
  t.is(bytes.send(), 2);
  const added = oneWay(t, 'limit time-soft 10 limit time-hard 20');
  added.net.advance(10_000);
  t.regex(added.monitor.text, /\thard 0\n$/);
  t.is(added.send(), 2);
  added.net.advance(10_000);
  t.regex(added.monitor.text, /\thard 1\n$/);
  t.is(added.send(), 2);
  foldIsLive(t, added.a);
  const used = oneWay(t, 'limit time-use-hard 5');
  used.net.advance(4_000);
  t.is(used.send(), 2);
  used.net.advance(2_000);
  t.is(used.send(), 2);
  used.monitor.interrupt();
  t.is(used.monitor.code, 130);
});

test('extended sequence numbers go on where those of 32 bits would end', (t) => {
  const { a, b, send } = oneWay(t, 'replay-window 64 flag esn');
  const end = 2 ** 32;
  const [sender] = a.kernel.root.xfrm.sad.list();
  const [receiver] = b.kernel.root.xfrm.sad.list();
  sender!.oseq = end - 2;
  receiver!.window.take(end - 2);
  for (let i = 2; i < 6; i++) t.is(send(), i);
  t.is(sender!.oseq, end + 2);
  t.is(receiver!.window.last, end + 2);
  t.regex(
    sh(t, b, 'ip xfrm state'),
    /\n\treplay-window 0 flag esn\n[\s\S]*\tanti-replay esn context:\n\t seq-hi 0x1, seq 0x2, oseq-hi 0x0, oseq 0x0\n\t replay_window 64, bitmap-length 2\n\t 00000000 0000001f \n/,
  );
  foldIsLive(t, a, b);
  const plain = oneWay(t, 'replay-window 32');
  plain.a.kernel.root.xfrm.sad.list()[0]!.oseq = end - 2;
  plain.b.kernel.root.xfrm.sad.list()[0]!.window.take(end - 2);
  t.is(plain.send(), 2);
  t.is(plain.send(), 2);
  t.is(plain.a.kernel.drops.get('xfrm-sequence'), 1);
});
