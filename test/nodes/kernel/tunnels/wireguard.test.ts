import { writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { KernelEvent } from '../../../../nodes/events/kernel.ts';
import { WireguardDevice } from '../../../../nodes/kernel/tunnels/wireguard.ts';
import { KernelFold } from '../../../../nodes/state/kernel-fold.ts';
import { startTool } from '../../../../nodes/tools/start.ts';
import { parseIpPrefix } from '../../../../protocols/ip.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { LINKTYPE_ETHERNET } from '../../../../protocols/pcapng.ts';
import { formatKey, publicKeyOf } from '../../../../protocols/wireguard/crypto.ts';
import { type Host, Network } from '../../../support/network.ts';
import { saveCapture } from '../../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../../support/tshark.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;
const secret = (n: number) => new Uint8Array(32).fill(n);
const publicOf = (n: number) => publicKeyOf(secret(n));

function sh(t: ExecutionContext, host: Host, line: string): string {
  let out = '';
  let code = -1;
  const context = { rt: host.rt, kernel: host.kernel, ns: host.kernel.root };
  const write = (text: string) => {
    out += text;
  };
  startTool(line.split(' '), context, {
    stdout: write,
    stderr: write,
    exit: (value) => {
      code = value;
    },
  });
  t.is(code, 0, `${line}: ${out}`);
  return out;
}

function wg(host: Host): WireguardDevice {
  const device = host.kernel.root.device('wg0');
  if (!(device instanceof WireguardDevice)) throw new Error('no wg0');
  return device;
}

/** Two hosts on different subnets, a router between them, and WireGuard from one to the other; b does not know where a is. */
function tunnelled(t: ExecutionContext) {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.1.0.2/24');
  net.attach(r, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r, 'right', 'eth1', '10.2.0.1/24');
  net.attach(b, 'right', 'eth0', '10.2.0.2/24');
  r.kernel.root.ipForward = true;
  sh(t, a, 'ip route add default via 10.1.0.1');
  sh(t, b, 'ip route add default via 10.2.0.1');
  for (const [host, own, other] of [
    [a, 1, 2],
    [b, 2, 1],
  ] as const) {
    sh(t, host, 'ip link add wg0 type wireguard');
    sh(t, host, `ip addr add 192.168.7.${own}/24 dev wg0`);
    wg(host).configure({ privateKey: secret(own), listenPort: 51_820 });
    wg(host).setPeer(publicOf(other), {
      allowedIps: [parseIpPrefix(`192.168.7.${other}/32`)!],
      ...(host === a ? { endpoint: { addr: ip('10.2.0.2'), port: 51_820 } } : {}),
    });
    sh(t, host, 'ip link set wg0 up');
  }
  const pinger =
    (from: Host, to: string) =>
    (size: number, df = false) => {
      let result = 'nothing';
      const socket = from.kernel.root.openIcmp({
        onReply: ({ payload }) => {
          result = `${payload.length} bytes`;
        },
        onError: ({ type: kind, code, mtu }) => {
          result = `${kind} ${code} ${mtu}`;
        },
      });
      const error = socket.sendEcho(ip(to), { id: 1, seq: 1, size, df });
      net.advance(100);
      socket.close();
      return error ?? result;
    };
  return { net, a, r, b, ping: pinger(a, '192.168.7.2'), pingBack: pinger(b, '192.168.7.1') };
}

/** UDP payload lengths on a segment, of what is of one message type. */
const lengths = (net: Network, segment: string, type: number) =>
  net.frames
    .filter(({ segment: on, frame }) => on === segment && frame[12] === 8 && frame[23] === 17)
    .filter(({ frame }) => frame[42] === type)
    .map(({ frame }) => frame.length - 42);

function foldIsLive(t: ExecutionContext, ...hosts: Host[]): void {
  for (const host of hosts) {
    const fold = new KernelFold();
    for (const event of host.rt.events) fold.apply(event as KernelEvent);
    t.deepEqual(fold.view(), host.kernel.snapshot());
  }
}

test('a ping brings a handshake about, and its packets are sealed in messages of honest size', (t) => {
  const { net, a, b, ping, pingBack } = tunnelled(t);
  t.is(wg(a).mtu, 1420);
  t.is(ping(56), '56 bytes');
  t.deepEqual(lengths(net, 'left', 1), [148]);
  t.deepEqual(lengths(net, 'left', 2), [92]);
  // 84 bytes, padded to 96, with a header of 16 and a tag of 16, both ways: what waited is what confirms the session.
  t.deepEqual(lengths(net, 'left', 4), [128, 128]);
  t.is(pingBack(56), '56 bytes');
  for (const host of [a, b]) t.is(wg(host).peers[0]?.lastHandshake !== null, true);
  t.is(wg(a).state().peers[0]?.endpoint, '10.2.0.2:51820');
  t.is(wg(b).state().peers[0]?.endpoint, '10.1.0.2:51820');
  foldIsLive(t, a, b);
  // No plaintext on the wire: neither the inner addresses nor the payload of the echo.
  const inner = Buffer.from([192, 168, 7, 2]);
  for (const { frame } of net.frames.filter(({ frame }) => frame[23] === 17))
    t.is(Buffer.from(frame.subarray(42)).indexOf(inner), -1);
});

test('the MTU is 1420: a full packet is one of 1480 bytes outside, a larger one is refused or fragmented inside', (t) => {
  const { net, ping } = tunnelled(t);
  t.is(ping(1420 - 28, true), `${1420 - 28} bytes`);
  // 1420 is not padded above the MTU.
  t.true(lengths(net, 'left', 4).every((length) => length === 1420 + 32));
  t.is(ping(1420 - 27, true), 'EMSGSIZE');
  t.is(ping(3_000), '3000 bytes');
});

test('the initiator asks for new keys after 120 s of use, and keys of 180 s are good for nothing', (t) => {
  const { net, a, b, ping } = tunnelled(t);
  t.is(ping(56), '56 bytes');
  const index = wg(a).peers[0]?.session?.keys.localIndex;
  net.advance(119_000);
  t.is(ping(56), '56 bytes');
  t.is(lengths(net, 'left', 1).length, 1);
  net.advance(1_000);
  t.is(ping(56), '56 bytes');
  t.is(lengths(net, 'left', 1).length, 2);
  t.not(wg(a).peers[0]?.session?.keys.localIndex, index);
  foldIsLive(t, a, b);
  net.advance(200_000);
  const before = lengths(net, 'left', 1).length;
  t.is(ping(56), '56 bytes');
  t.is(lengths(net, 'left', 1).length, before + 1);
  // Nobody who is idle keeps a session: after 540 s the keys are gone.
  net.advance(541_000);
  t.is(wg(a).peers[0]?.session, null);
});

test('one who has received and sent nothing says so after 10 s, once', (t) => {
  const { net, b } = tunnelled(t);
  const socket = b.kernel.root.bindUdp({ addr: 0, port: 7 }, () => {});
  const from = net.hosts[0]!;
  from.kernel.root.bindUdp({ addr: 0, port: 7 }, () => {}).sendTo(ip('192.168.7.2'), 7, new Uint8Array(10));
  net.advance(9_000);
  const early = lengths(net, 'right', 4).length;
  net.advance(2_000);
  t.is(lengths(net, 'right', 4).length, early + 1);
  t.is(lengths(net, 'right', 4).at(-1), 32);
  net.advance(60_000);
  t.is(lengths(net, 'right', 4).length, early + 1);
  socket.close();
});

test('without an answer an initiation is sent every 5 s for 90 s, and then what waits is dropped', (t) => {
  const { net, a, b, ping } = tunnelled(t);
  wg(b).removePeer(publicOf(1));
  t.is(ping(56), 'nothing');
  net.advance(60_000);
  const count = lengths(net, 'left', 1).length;
  t.true(count >= 11 && count <= 13, `${count}`);
  net.advance(140_000);
  const last = lengths(net, 'left', 1).length;
  t.true(last >= 18 && last <= 20, `${last}`);
  t.is(a.kernel.drops.get('wireguard-no-session'), 1);
  t.true((b.kernel.drops.get('wireguard-unknown-peer') ?? 0) > 0);
});

test('a packet that comes twice, or that somebody has changed, is dropped and counted', (t) => {
  const { net, b, ping } = tunnelled(t);
  t.is(ping(56), '56 bytes');
  const data = net.frames.find(
    ({ segment, frame }) => segment === 'right' && frame[42] === 4 && frame[23] === 17,
  )?.frame;
  t.truthy(data);
  if (data === undefined) return;
  b.kernel.receive(0, data.slice());
  t.is(b.kernel.drops.get('wireguard-replayed'), 1);
  const forged = data.slice();
  forged[forged.length - 1]! ^= 1;
  // The UDP checksum is no matter of the sealing: none.
  forged[40] = 0;
  forged[41] = 0;
  b.kernel.receive(0, forged);
  t.is(b.kernel.drops.get('wireguard-forged'), 1);
  // A replayed initiation has an old timestamp.
  const initiation = net.frames.find(
    ({ segment, frame }) => segment === 'right' && frame[42] === 1 && frame[23] === 17,
  );
  net.advance(1_000);
  b.kernel.receive(0, initiation!.frame.slice());
  t.is(b.kernel.drops.get('wireguard-replayed'), 2);
});

test('with another key, or another preshared key, nothing gets through', (t) => {
  const { net, a, b, ping } = tunnelled(t);
  wg(a).setPeer(publicOf(2), { presharedKey: secret(9) });
  t.is(ping(56), 'nothing');
  t.true((a.kernel.drops.get('wireguard-forged') ?? 0) > 0);
  wg(b).setPeer(publicOf(1), { presharedKey: secret(9) });
  net.advance(6_000);
  t.is(ping(56), '56 bytes');
  wg(b).configure({ privateKey: secret(3) });
  t.is(ping(56), 'nothing');
  // Nothing has come for 15 s: it is time to ask who is there.
  net.advance(16_000);
  t.true((b.kernel.drops.get('wireguard-mac') ?? 0) > 0);
  foldIsLive(t, a, b);
});

test('a peer is where it was last heard from', (t) => {
  const { net, a, b, ping, pingBack } = tunnelled(t);
  t.is(ping(56), '56 bytes');
  sh(t, a, 'ip addr add 10.1.0.99/24 dev eth0');
  sh(t, a, 'ip addr del 10.1.0.2/24 dev eth0');
  sh(t, a, 'ip addr replace 10.1.0.99/24 dev eth0');
  sh(t, a, 'ip route replace default via 10.1.0.1');
  wg(a).configure({ listenPort: 4_000 });
  t.is(ping(56), '56 bytes');
  t.is(wg(b).state().peers[0]?.endpoint, '10.1.0.99:4000');
  t.is(pingBack(56), '56 bytes');
  t.is(lengths(net, 'left', 1).length, 1);
  foldIsLive(t, a, b);
});

test('what is not in the allowed IPs of its peer is dropped; to what nobody has there is no way', (t) => {
  const { a, b, ping } = tunnelled(t);
  sh(t, a, 'ip addr add 192.168.7.9/24 dev wg0');
  t.is(ping(56), '56 bytes');
  const socket = a.kernel.root.bindUdp({ addr: ip('192.168.7.9'), port: 7 }, () => {});
  socket.sendTo(ip('192.168.7.2'), 7, new Uint8Array(10));
  ping(56);
  t.is(b.kernel.drops.get('wireguard-allowed-ips'), 1);
  let told = '';
  const icmp = a.kernel.root.openIcmp({
    onReply: () => {},
    onError: ({ type, code }) => (told = `${type} ${code}`),
  });
  icmp.sendEcho(ip('192.168.7.77'), { id: 5, seq: 1, size: 8 });
  ping(56);
  t.is(told, 'dest-unreachable 1');
  t.is(a.kernel.drops.get('wireguard-no-peer'), 1);
});

test('a persistent keepalive begins a session by itself and goes on for good', (t) => {
  const { net, a, b } = tunnelled(t);
  wg(a).setPeer(publicOf(2), { persistentKeepalive: 25 });
  net.advance(101_000);
  const empty = lengths(net, 'left', 4).filter((length) => length === 32);
  t.is(empty.length, 1 + 4);
  t.is(wg(a).state().peers[0]?.persistentKeepalive, 25);
  foldIsLive(t, a, b);
});

test('a port that another has: the device does not come up; two devices do not share one', (t) => {
  const { a } = tunnelled(t);
  sh(t, a, 'ip link add wg1 type wireguard');
  const other = a.kernel.root.device('wg1') as WireguardDevice;
  other.configure({ listenPort: 51_820 });
  t.throws(() => a.kernel.root.setUp('wg1'), { message: 'RTNETLINK answers: Address already in use' });
  other.configure({ listenPort: 0 });
  a.kernel.root.setUp('wg1');
  t.true(other.state().listenPort >= 32_768);
  sh(t, a, 'ip link del wg0');
  t.deepEqual(
    Object.values(a.kernel.snapshot().wireguard[''] ?? {}).map(({ dev }) => dev),
    ['wg1'],
  );
  foldIsLive(t, a);
});

test('it can go to another namespace, and its packets still leave by the one that it was made in', (t) => {
  const { net, a, b, ping } = tunnelled(t);
  t.is(ping(56), '56 bytes');
  sh(t, a, 'ip netns add inner');
  sh(t, a, 'ip link set wg0 netns inner');
  const inner = a.kernel.netns('inner')!;
  inner.addAddress('wg0', '192.168.7.1/24');
  inner.setUp('wg0');
  net.advance(6_000);
  let replies = 0;
  inner
    .openIcmp({ onReply: () => replies++, onError: () => {} })
    .sendEcho(ip('192.168.7.2'), { id: 1, seq: 1, size: 8 });
  net.advance(100);
  t.is(replies, 1);
  foldIsLive(t, a, b);
});

test('ip link shows a point-to-point device without addresses', (t) => {
  const { a } = tunnelled(t);
  t.regex(
    sh(t, a, 'ip -d link show wg0'),
    /wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n {4}link\/none {2}promiscuity 0.*\n {4}wireguard /,
  );
});

test('no event holds a private key', (t) => {
  const { a, ping } = tunnelled(t);
  ping(56);
  t.false(JSON.stringify(a.rt.events).includes(formatKey(wg(a).privateKey!)));
});

testWithTshark('tshark reads handshake and data, and finds nothing malformed', async (t) => {
  const { net, ping } = tunnelled(t);
  t.is(ping(56), '56 bytes');
  net.advance(20_000);
  const frames = net.frames.filter(({ segment }) => segment === 'left').map(({ frame }) => frame);
  const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
  t.deepEqual(await complaints(file), []);
  const types = await tshark(file, '-Y', 'wg', '-T', 'fields', '-e', 'wg.type');
  t.deepEqual(types.slice(0, 4), ['1', '2', '4', '4']);
});

testWithTshark('tshark, given the keys of one end, reads what is sealed, of each session', async (t) => {
  const { net, a, b, ping } = tunnelled(t);
  wg(a).setPeer(publicOf(2), { presharedKey: secret(9) });
  wg(b).setPeer(publicOf(1), { presharedKey: secret(9) });
  t.is(ping(56), '56 bytes');
  net.advance(130_000);
  t.is(ping(56), '56 bytes');
  net.advance(1_000);
  t.is(ping(56), '56 bytes');
  const frames = net.frames.filter(({ segment }) => segment === 'left').map(({ frame }) => frame);
  const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
  t.deepEqual(await tshark(file, '-Y', 'icmp'), []);
  for (const host of [a, b]) {
    const keys = `${file}.${host.name}.keys`;
    writeFileSync(keys, sh(t, host, 'extract-handshakes'));
    const read = await tshark(
      file,
      '-o',
      `wg.keylog_file:${keys}`,
      '-Y',
      'icmp',
      '-T',
      'fields',
      '-e',
      'ip.dst',
    );
    t.deepEqual(
      read.map((line) => line.split(',').at(-1)),
      Array(3).fill(['192.168.7.2', '192.168.7.1']).flat(),
    );
  }
});
