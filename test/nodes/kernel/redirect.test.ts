import test from 'ava';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { writeIpv4Header } from '../../../protocols/ipv4.ts';
import { Network } from '../../support/network.ts';
import { run } from '../tools/support/run.ts';
import { CLAIMED, foldOf, pinger as pinger6 } from './ipv6/lab.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

function does(ns: Netns, ...lines: readonly string[]): void {
  for (const line of lines) {
    const { code, text } = run(line, ns);
    if (code !== 0) throw new Error(`${line}: ${text}`);
  }
}

/** h, r1 and r2 on one link; r2 leads to 10.9.0.2 and 2001:db8:9::2, and h knows of r1 alone. */
function lan(kind: 'inet' | 'inet6') {
  const net = new Network();
  const [h, r1, r2, b] = ['h', 'r1', 'r2', 'b'].map((name) => net.host(name, 'on'));
  if (h === undefined || r1 === undefined || r2 === undefined || b === undefined) throw new Error('no hosts');
  const inet6 = kind === 'inet6';
  for (const [i, host] of [h, r1, r2].entries())
    net.attach(host, 'lan', 'eth0', inet6 ? `fe80::${i + 1}/64` : `10.0.0.${i + 1}/24`);
  net.attach(r2, 'right', 'eth1', inet6 ? '2001:db8:9::1/64' : '10.9.0.1/24');
  net.attach(b, 'right', 'eth0', inet6 ? '2001:db8:9::2/64' : '10.9.0.2/24');
  if (inet6) {
    for (const router of [r1, r2]) does(router.kernel.root, 'sysctl -w net.ipv6.conf.all.forwarding=1');
    does(
      h.kernel.root,
      'ip addr add 2001:db8:1::1/128 dev eth0',
      'ip -6 route add default via fe80::2 dev eth0',
    );
    does(
      r1.kernel.root,
      'ip -6 route add 2001:db8:9::/64 via fe80::3 dev eth0',
      'ip -6 route add 2001:db8:1::1 dev eth0',
    );
    does(r2.kernel.root, 'ip -6 route add 2001:db8:1::1 dev eth0');
    does(b.kernel.root, 'ip -6 route add default via 2001:db8:9::1');
  } else {
    for (const router of [r1, r2]) router.kernel.root.ipForward = true;
    does(h.kernel.root, 'ip route add default via 10.0.0.2');
    does(r1.kernel.root, 'ip route add 10.9.0.0/24 via 10.0.0.3');
    does(b.kernel.root, 'ip route add default via 10.9.0.1');
  }
  net.advance(CLAIMED);
  return { net, h, r1, r2, b };
}

test('a host goes by the router that it is redirected to, for five minutes', (t) => {
  const { net, h, r1 } = lan('inet');
  const { root } = h.kernel;
  let replies = 0;
  const ping = root.openIcmp({ onReply: () => replies++, onError: () => {} });
  const send = (seq: number) => {
    const before = r1.kernel.drops.get('ttl-exceeded') ?? 0;
    ping.sendEcho(ip('10.9.0.2'), { id: 1, seq, size: 8 });
    net.advance(1000);
    return (r1.kernel.drops.get('ttl-exceeded') ?? 0) - before;
  };
  const gets = () => run('ip route get 10.9.0.2', root).text;
  send(1);
  t.regex(
    gets(),
    /via 10\.0\.0\.2 dev eth0 src 10\.0\.0\.1 uid 0 \n {4}cache \n/,
    'the router is asked for first',
  );
  send(2);
  t.regex(
    gets(),
    /via 10\.0\.0\.3 dev eth0 src 10\.0\.0\.1 uid 0 \n {4}cache <redirected> expires 299sec \n/,
  );
  t.is(replies, 2);
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
  t.is(h.kernel.snapshot().redirects['']?.length, 1);
  does(r1.kernel.root, 'ip link set eth0 down');
  send(3);
  t.is(replies, 3, 'r1 is not needed any more');
  net.advance(300_000);
  t.regex(gets(), /via 10\.0\.0\.2 /);
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
});

test('a host goes by the IPv6 router that it is redirected to, until it has not done so for a minute', (t) => {
  const { net, h, r1 } = lan('inet6');
  const { root } = h.kernel;
  const ping = pinger6(root);
  ping.send('2001:db8:9::2');
  net.advance(1000);
  t.is(ping.replies.length, 1);
  t.regex(run('ip -6 route get 2001:db8:9::2', root).text, / via fe80::3 dev eth0 /);
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
  does(r1.kernel.root, 'ip link set eth0 down');
  for (let i = 0; i < 4; i++) {
    net.advance(40_000);
    ping.send('2001:db8:9::2');
  }
  net.advance(10);
  t.is(ping.replies.length, 5);
  net.advance(120_000);
  t.deepEqual(h.kernel.snapshot().redirects[''], []);
  t.deepEqual(foldOf(h.rt), h.kernel.snapshot());
});

test('a host on the link itself is what an IPv6 router redirects to, with its address', (t) => {
  const { net, h, r1, r2 } = lan('inet6');
  does(r2.kernel.root, 'sysctl -w net.ipv6.conf.all.forwarding=0', 'ip addr add 2001:db8:1::3/128 dev eth0');
  does(r1.kernel.root, 'ip -6 route add 2001:db8:1::3 dev eth0');
  net.advance(CLAIMED);
  const ping = pinger6(h.kernel.root);
  ping.send('2001:db8:1::3');
  net.advance(1000);
  t.is(ping.replies.length, 1);
  t.deepEqual(
    h.kernel.snapshot().redirects['']?.map(({ dst, gateway }) => `${dst} ${gateway}`),
    ['2001:db8:1::3 2001:db8:1::3'],
  );
  t.true(h.kernel.root.neighbors6().some(({ ip: known }) => known === '2001:db8:1::3'));
});

test('a router, and a host that is told to, heeds no IPv6 redirects', (t) => {
  for (const variable of ['net.ipv6.conf.eth0.accept_redirects=0', 'net.ipv6.conf.all.forwarding=1']) {
    const { net, h } = lan('inet6');
    does(h.kernel.root, `sysctl -w ${variable}`);
    const ping = pinger6(h.kernel.root);
    ping.send('2001:db8:9::2');
    net.advance(1000);
    t.is(h.kernel.drops.get('ndp-redirect-ignored'), 1, variable);
    t.deepEqual(h.kernel.snapshot().redirects[''], []);
  }
});

test('what came from or for an impossible address stands in dmesg as the kernel writes it', (t) => {
  const net = new Network();
  const h = net.host('h');
  net.attach(h, 'lan', 'eth0', '10.0.0.1/24');
  const { root } = h.kernel;
  const from = (src: string, dst: string) => {
    const frame = new Uint8Array(14 + 20);
    writeEthernet(frame, root.device('eth0')!.mac, 0x0200_0000_0002, ETHERTYPE_IPV4);
    const header = { src: ip(src), dst: ip(dst), proto: 17, ttl: 64, totalLength: 20, id: 1, df: false };
    writeIpv4Header(frame, 14, header);
    h.kernel.receive(0, frame);
  };
  from('127.0.0.1', '10.0.0.1');
  t.is(run('dmesg', root).text, '', 'nothing is asked for');
  does(root, 'sysctl -w net.ipv4.conf.eth0.log_martians=1');
  from('127.0.0.1', '10.0.0.1');
  from('10.0.0.9', '127.0.0.1');
  does(root, 'sysctl -w net.ipv4.conf.all.rp_filter=1');
  from('10.7.7.7', '10.0.0.1');
  t.deepEqual(run('dmesg -t', root).text.split('\n'), [
    'IPv4: martian source 10.0.0.1 from 127.0.0.1, on dev eth0',
    'll header: 00000000: 52 54 00 00 00 00 02 00 00 00 00 02 08 00',
    'IPv4: martian destination 127.0.0.1 from 10.0.0.9, dev eth0',
    'IPv4: martian source 10.0.0.1 from 10.7.7.7, on dev eth0',
    'll header: 00000000: 52 54 00 00 00 00 02 00 00 00 00 02 08 00',
    '',
  ]);
  for (let i = 0; i < 50; i++) from('127.0.0.1', '10.0.0.1');
  t.is(run('dmesg -t', root).text.split('\n').length, 5 + 7 * 2 + 1, 'ten messages in five seconds');
  net.advance(5000);
  from('127.0.0.1', '10.0.0.1');
  t.is(run('dmesg -t', root).text.split('\n').length, 5 + 8 * 2 + 1);
});
