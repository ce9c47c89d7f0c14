import test, { type ExecutionContext } from 'ava';
import type { KernelEvent } from '../../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { LINKTYPE_ETHERNET } from '../../../../protocols/pcapng.ts';
import { type Host, Network } from '../../../support/network.ts';
import { saveCapture } from '../../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../../support/tshark.ts';
import { run } from '../../tools/support/run.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const GCM_KEY = '0x000102030405060708090a0b0c0d0e0f10111213';
const GCM = `aead rfc4106(gcm(aes)) ${GCM_KEY} 128`;
const CBC_KEY = '0x101112131415161718191a1b1c1d1e1f';
const AUTH_KEY = `0x${'20'.repeat(32)}`;
const CBC = `enc cbc(aes) ${CBC_KEY} auth-trunc hmac(sha256) ${AUTH_KEY} 128`;

function sh(t: ExecutionContext, host: Host, line: string): string {
  const { text, code } = run(line, host.kernel.root);
  t.is(code, 0, `${line}: ${text}`);
  return text;
}

/** Two gateways with a router between them, and a host behind each: what passes between the hosts goes through a tunnel. */
function gateways(t: ExecutionContext, algorithms: string) {
  const net = new Network();
  const [h1, a, r, b, h2] = ['h1', 'a', 'r', 'b', 'h2'].map((name) => net.host(name)) as [
    Host,
    Host,
    Host,
    Host,
    Host,
  ];
  net.attach(h1, 'lan1', 'eth0', '10.244.1.2/24');
  net.attach(a, 'lan1', 'eth1', '10.244.1.1/24');
  net.attach(a, 'left', 'eth0', '10.1.0.2/24');
  net.attach(r, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r, 'right', 'eth1', '10.2.0.1/24');
  net.attach(b, 'right', 'eth0', '10.2.0.2/24');
  net.attach(b, 'lan2', 'eth1', '10.244.2.1/24');
  net.attach(h2, 'lan2', 'eth0', '10.244.2.2/24');
  for (const host of [a, r, b]) host.kernel.root.ipForward = true;
  for (const [host, gateway] of [
    [h1, '10.244.1.1'],
    [a, '10.1.0.1'],
    [b, '10.2.0.1'],
    [h2, '10.244.2.1'],
  ] as const)
    sh(t, host, `ip route add default via ${gateway}`);
  const out = 'src 10.1.0.2 dst 10.2.0.2 proto esp';
  const back = 'src 10.2.0.2 dst 10.1.0.2 proto esp';
  for (const host of [a, b]) {
    sh(t, host, `ip xfrm state add ${out} spi 0x1001 reqid 1 mode tunnel replay-window 32 ${algorithms}`);
    sh(t, host, `ip xfrm state add ${back} spi 0x1002 reqid 1 mode tunnel replay-window 32 ${algorithms}`);
  }
  for (const [host, own, other, there, here] of [
    [a, 1, 2, out, back],
    [b, 2, 1, back, out],
  ] as const) {
    const to = `src 10.244.${own}.0/24 dst 10.244.${other}.0/24`;
    const from = `src 10.244.${other}.0/24 dst 10.244.${own}.0/24`;
    sh(t, host, `ip xfrm policy add ${to} dir out tmpl ${there} reqid 1 mode tunnel`);
    sh(t, host, `ip xfrm policy add ${from} dir fwd tmpl ${here} reqid 1 mode tunnel`);
    sh(t, host, `ip xfrm policy add ${from} dir in tmpl ${here} reqid 1 mode tunnel`);
  }
  const ping = (size: number, df = false, target = '10.244.2.2') => {
    let result = 'nothing';
    const socket = h1.kernel.root.openIcmp({
      onReply: ({ payload }) => {
        result = `${payload.length} bytes`;
      },
      onError: ({ type: kind, code, mtu }) => {
        result = `${kind} ${code} ${mtu}`;
      },
    });
    const error = socket.sendEcho(ip(target), { id: 1, seq: 1, size, df });
    net.advance(100);
    socket.close();
    return error ?? result;
  };
  return { net, h1, a, r, b, h2, ping };
}

/** IP packets of ESP on a segment. */
const esp = (net: Network, segment: string) =>
  net.frames.filter(({ segment: on, frame }) => on === segment && frame[12] === 8 && frame[23] === 50);

function foldIsLive(t: ExecutionContext, ...hosts: Host[]): void {
  for (const host of hosts) {
    const fold = new KernelFold();
    for (const event of host.rt.events) fold.apply(event as KernelEvent);
    t.deepEqual(fold.view(), host.kernel.snapshot());
  }
}

for (const [name, algorithms, outer, mtu] of [
  // 20 IP, 8 ESP, 8 IV, 84 + 2 padded to 88, 16.
  ['AES-GCM-128', GCM, 20 + 8 + 8 + 88 + 16, 1446],
  // 20 IP, 8 ESP, 16 IV, 84 + 2 padded to 96, 16.
  ['AES-CBC with HMAC-SHA-256-128', CBC, 20 + 8 + 16 + 96 + 16, 1438],
] as const) {
  test(`a tunnel with ${name}: sizes on the wire, the MTU that is left, ciphertext alone`, (t) => {
    const { net, a, b, ping } = gateways(t, algorithms);
    ping(56);
    t.is(ping(56), '56 bytes');
    for (const { frame } of esp(net, 'left')) t.is(frame.length - 14, outer);
    for (const { frame } of net.frames.filter(({ segment }) => segment === 'left'))
      t.is(Buffer.from(frame).indexOf(Buffer.from([10, 244, 2, 2])), -1);
    // The gateway tells the host what goes through, and that much does.
    t.is(ping(1500 - 28, true), `dest-unreachable 4 ${mtu}`);
    t.is(ping(mtu - 28, true), `${mtu - 28} bytes`);
    t.true(esp(net, 'left').every(({ frame }) => frame.length <= 1514));
    // Without DF it is fragmented, outside.
    t.is(ping(3_000), '3000 bytes');
    foldIsLive(t, a, b);
  });
}

test('what flannel takes off for its ipsec, 77 bytes, is what AES-CBC with SHA-256 takes at worst', (t) => {
  const { net, ping } = gateways(t, CBC);
  ping(56);
  for (let size = 100; size < 117; size++) {
    t.is(ping(size, true), `${size} bytes`);
    t.true(esp(net, 'left').at(-1)!.frame.length - 14 - (size + 28) <= 77);
  }
  const worst = esp(net, 'left').map(({ frame }) => frame.length - 14);
  // 20 + 8 + 16 + 15 + 2 + 16
  t.true([...Array(17).keys()].some((i) => worst.includes(100 + i + 28 + 77)));
});

test('a packet that comes twice, or that somebody has changed, is dropped and counted', (t) => {
  const { net, b, ping } = gateways(t, GCM);
  ping(56);
  t.is(ping(56), '56 bytes');
  const [frame] = esp(net, 'right').map(({ frame }) => frame);
  b.kernel.receive(0, frame!.slice());
  t.is(b.kernel.drops.get('xfrm-replayed'), 1);
  const forged = frame!.slice();
  forged[14 + 20 + 7] = 77;
  b.kernel.receive(0, forged);
  t.is(b.kernel.drops.get('xfrm-forged'), 1);
  t.regex(
    sh(t, b, 'ip xfrm state get dst 10.2.0.2 proto esp spi 0x1001'),
    /seq 0x[12], oseq 0x0, bitmap 0x0000000[13]\n/,
  );
});

test('what should have come through the tunnel and did not is dropped, and what should not have too', (t) => {
  const { a, b, r, ping } = gateways(t, GCM);
  ping(56);
  // In the clear from a: b's policy wants it sealed.
  sh(t, a, 'ip xfrm policy delete src 10.244.1.0/24 dst 10.244.2.0/24 dir out');
  sh(t, r, 'ip route add 10.244.2.0/24 via 10.2.0.2');
  t.is(ping(56), 'nothing');
  t.is(b.kernel.drops.get('xfrm-in-policy'), 1);
  sh(
    t,
    a,
    'ip xfrm policy add src 10.244.1.0/24 dst 10.244.2.0/24 dir out tmpl src 10.1.0.2 dst 10.2.0.2 proto esp reqid 1 mode tunnel',
  );
  t.is(ping(56), '56 bytes');
  sh(t, b, 'ip xfrm policy flush');
  t.is(ping(56), 'nothing');
  t.is(b.kernel.drops.get('xfrm-in-policy'), 2);
  foldIsLive(t, a, b);
});

test('what came sealed is not asked whether its sender is reached by the device that it came by', (t) => {
  const { b, ping } = gateways(t, GCM);
  sh(t, b, 'ip link add d0 type dummy');
  sh(t, b, 'ip link set d0 up');
  sh(t, b, 'ip route add 10.244.1.0/24 dev d0');
  sh(t, b, 'sysctl -w net.ipv4.conf.all.rp_filter=1');
  ping(56);
  t.is(ping(56), '56 bytes');
  t.is(b.kernel.drops.get('ip-rp-filter'), undefined);
});

test('without an association nothing goes out, unless the policy says that it may', (t) => {
  const { a, ping } = gateways(t, GCM);
  sh(t, a, 'ip xfrm state flush');
  t.is(ping(56), 'nothing');
  t.true((a.kernel.drops.get('xfrm-out-policy') ?? 0) > 0);
  foldIsLive(t, a);
});

test('another key: forged; another SPI: unknown', (t) => {
  const { a, b, ping } = gateways(t, GCM);
  const id = 'src 10.1.0.2 dst 10.2.0.2 proto esp';
  sh(t, a, `ip xfrm state update ${id} spi 0x1001 reqid 1 mode tunnel ${GCM.replace('0x00', '0xff')}`);
  ping(56);
  t.is(ping(56), 'nothing');
  t.true((b.kernel.drops.get('xfrm-forged') ?? 0) > 0);
  sh(t, a, `ip xfrm state delete ${id} spi 0x1001`);
  sh(t, a, `ip xfrm state add ${id} spi 0x1009 reqid 1 mode tunnel ${GCM}`);
  t.is(ping(56), 'nothing');
  t.true((b.kernel.drops.get('xfrm-no-state') ?? 0) > 0);
});

test('transport mode seals what two hosts say to each other, TCP too, and block lets nothing out', (t) => {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  for (const host of [a, b]) {
    sh(t, host, `ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x11 ${CBC}`);
    sh(t, host, `ip xfrm state add src 10.0.0.2 dst 10.0.0.1 proto esp spi 0x12 ${CBC}`);
  }
  for (const [host, own, other] of [
    [a, 1, 2],
    [b, 2, 1],
  ] as const) {
    sh(t, host, `ip xfrm policy add src 10.0.0.${own} dst 10.0.0.${other} dir out tmpl proto esp`);
    sh(t, host, `ip xfrm policy add src 10.0.0.${other} dst 10.0.0.${own} dir in tmpl proto esp`);
  }
  let got = 0;
  b.kernel.root.listenTcp({ addr: 0, port: 80 }, (socket) => {
    socket.onData = (data) => {
      got += data.length;
    };
  });
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.0.0.2'), port: 80 });
  let left = 20_000;
  const send = () => {
    left -= socket.send(new Uint8Array(left));
  };
  socket.onConnected = send;
  socket.onDrained = send;
  net.advance(5_000);
  t.is(got, 20_000);
  const others = net.frames.filter(({ frame }) => frame[12] === 8 && frame[13] === 0 && frame[23] !== 50);
  t.deepEqual(others, []);
  t.true(esp(net, 'lan').some(({ frame }) => frame.length > 1400));
  t.true(esp(net, 'lan').every(({ frame }) => frame.length <= 1514));
  sh(t, a, 'ip xfrm policy add src 10.0.0.1 dst 10.0.0.2 proto udp dir out action block');
  sh(t, a, 'ip xfrm policy update src 10.0.0.1 dst 10.0.0.2 dir out priority 9 tmpl proto esp');
  a.kernel.root.bindUdp({ addr: 0, port: 9 }, () => {}).sendTo(ip('10.0.0.2'), 9, new Uint8Array(4));
  t.is(a.kernel.drops.get('xfrm-out-policy'), 1);
  foldIsLive(t, a, b);
});

test('ip xfrm state prints keys and counters, or hides the keys; no event holds one', (t) => {
  const { a, ping } = gateways(t, GCM);
  ping(56);
  ping(56);
  t.is(
    sh(t, a, 'ip xfrm state list spi 0x1001'),
    `src 10.1.0.2 dst 10.2.0.2
\tproto esp spi 0x00001001 reqid 1 mode tunnel
\treplay-window 32${' '}
\taead rfc4106(gcm(aes)) ${GCM_KEY} 128
\tanti-replay context: seq 0x0, oseq 0x2, bitmap 0x00000000
\tsel src 0.0.0.0/0 dst 0.0.0.0/0${' '}
`,
  );
  t.regex(sh(t, a, 'ip xfrm state list nokeys'), /aead rfc4106\(gcm\(aes\)\) <<Keys hidden>> 128/);
  t.is(sh(t, a, 'ip xfrm state count'), '\t SAD count 2\n');
  t.false(JSON.stringify(a.rt.events).includes(GCM_KEY.slice(2)));
});

for (const [name, algorithms, cipher, key, auth, authKey] of [
  ['AES-CBC', CBC, 'AES-CBC [RFC3602]', CBC_KEY, 'HMAC-SHA-256-128 [RFC4868]', AUTH_KEY],
  ['AES-GCM', GCM, 'AES-GCM with 16 octet ICV [RFC4106]', GCM_KEY, 'NULL', ''],
] as const) {
  testWithTshark(
    `tshark, given the keys, reads what ${name} has sealed, and without them ESP alone`,
    async (t) => {
      const { net, ping } = gateways(t, algorithms);
      ping(56);
      t.is(ping(56), '56 bytes');
      const frames = net.frames.filter(({ segment }) => segment === 'left').map(({ frame }) => frame);
      const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
      t.deepEqual(await complaints(file), []);
      t.deepEqual(await tshark(file, '-Y', 'icmp'), []);
      const association = `uat:esp_sa:"IPv4","*","*","*","${cipher}","${key}","${auth}","${authKey}"`;
      const options = [
        '-o',
        'esp.enable_encryption_decode:TRUE',
        '-o',
        'esp.enable_authentication_check:TRUE',
      ];
      const read = await tshark(
        file,
        ...options,
        '-o',
        association,
        '-Y',
        'icmp',
        '-T',
        'fields',
        '-e',
        'icmp.type',
        '-e',
        'ip.src',
      );
      t.deepEqual(read.slice(-2), ['8\t10.1.0.2,10.244.1.2', '0\t10.2.0.2,10.244.2.2']);
      const bad = await tshark(file, ...options, '-o', association, '-Y', 'esp.icv_bad == 1');
      t.deepEqual(bad, []);
    },
  );
}
