import test from 'ava';
import fc from 'fast-check';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { setU16 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { writeEthernet } from '../../../protocols/ethernet.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { ipHeaderLength } from '../../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../../protocols/mac.ts';
import { Network } from '../../support/network.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** A router with one of everything that takes frames in. */
function target() {
  const world = new FakeWorld();
  const kernel = new Kernel(world.runtime(), { timings, transmit: () => {} });
  const { root } = kernel;
  root.ipForward = true;
  for (const port of [0, 1]) {
    root.addPort({ name: `eth${port}`, mac: 0x525400000100 + port, mtu: 1500, port });
    root.setUp(`eth${port}`);
    root.addAddress(`eth${port}`, `10.0.${port}.1/24`);
    root.setProxyArp(`eth${port}`, 'on');
  }
  root.addBridge({ name: 'br0', mac: 0x020000000001, mtu: 1500 });
  root.addVxlan({
    name: 'vx0',
    mac: 0x020000000002,
    mtu: 1450,
    vni: 1,
    local: ip('10.0.0.1'),
    dstPort: 8472,
    learning: 'on',
  });
  for (const name of ['br0', 'vx0']) root.setUp(name);
  root.setMaster('vx0', 'br0');
  root.addAddress('br0', '10.5.0.1/24');
  root.addTun({ name: 'tun0', mtu: 1400 }, () => {});
  root.setUp('tun0');
  root.addAddress('tun0', '10.6.0.0/32');
  root.listenTcp({ addr: 0, port: 179 }, (socket) => {
    socket.onData = (bytes) => socket.send(bytes);
    socket.onPeerClosed = () => socket.close();
  });
  root.bindUdp({ addr: 0, port: 53 }, () => {});
  root.openIcmp({ onReply: () => {}, onError: () => {} });
  return { world, kernel };
}

/** Real frames that a host sends to the target: ARP, ICMP, fragments, UDP, VXLAN, TCP with data and closing. */
const samples: readonly Uint8Array[] = (() => {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.2/24');
  const port = net.attach(b, 'lan', 'eth0', '10.0.0.1/24');
  a.kernel.root.setNeighbor('eth0', ip('10.0.0.1'), 0x525400000100);
  net.advance(1);
  const { root } = a.kernel;
  const echo = root.openIcmp({ onReply: () => {}, onError: () => {} });
  for (const size of [8, 3000]) echo.sendEcho(ip('10.0.0.1'), { id: 1, seq: 1, size });
  const udp = root.bindUdp({ addr: 0, port: 0 }, () => {});
  for (const to of [53, 54]) udp.sendTo(ip('10.0.0.1'), to, new Uint8Array(20));
  const vxlan = { mac: 0x020000000003, mtu: 1400, vni: 1, local: ip('10.0.0.2'), dstPort: 8472 };
  root.addVxlan({ name: 'vx0', ...vxlan, learning: 'off' });
  root.addVxlanFdb('vx0', 0, ip('10.0.0.1'), 'static');
  root.setUp('vx0');
  root.addAddress('vx0', '10.5.0.2/24');
  echo.sendEcho(ip('10.5.0.1'), { id: 1, seq: 2, size: 8 });
  const tcp = root.connectTcp({ src: 0, dst: ip('10.0.0.1'), port: 179 });
  tcp.onConnected = () => {
    tcp.send(new Uint8Array(50));
    tcp.close();
  };
  b.kernel.root.listenTcp({ addr: 0, port: 179 }, () => {});
  net.advance(5000);
  if (port.mac !== 0x525400000100) throw new Error('the samples are for another host');
  return net.frames.map(({ frame }) => frame);
})();

/** Sets the IPv4 header's checksum right, so that what is behind it is reached. */
function mend(frame: Uint8Array): void {
  if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0) return;
  const length = ipHeaderLength(frame, 14);
  if (length < 20 || 14 + length > frame.length) return;
  setU16(frame, 24, 0);
  setU16(frame, 24, internetChecksum(frame, 14, length));
}

test('the samples hold what they are to hold', (t) => {
  const types = new Set(samples.map((frame) => (frame[13] === 6 ? 'arp' : `ip ${frame[23]}`)));
  t.deepEqual([...types].sort(), ['arp', 'ip 1', 'ip 17', 'ip 6']);
  t.true(samples.length > 10);
});

test('no bytes make the kernel throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 20 }), (frames) => {
      const { world, kernel } = target();
      for (const frame of frames) {
        if (frame.length > 13) frame.set([0x52, 0x54, 0, 0, 1, 0], 0);
        kernel.receive(0, frame);
      }
      world.advance(100_000);
      t.is(kernel.netns(''), kernel.root);
    }),
    { numRuns: 100 },
  );
});

test('real frames with bytes changed, cut or repeated do not make it throw either', (t) => {
  const mutation = fc.record({
    sample: fc.nat(),
    changes: fc.array(fc.tuple(fc.nat(79), fc.nat(255)), { maxLength: 4 }),
    cut: fc.option(fc.nat(80), { freq: 4 }),
    mended: fc.boolean(),
    port: fc.nat(2),
    wait: fc.constantFrom(0, 0, 1, 50, 40_000),
  });
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 60 }), (mutations) => {
      const { world, kernel } = target();
      for (const { sample, changes, cut, mended, port, wait } of mutations) {
        let frame = samples[sample % samples.length]!.slice();
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
        if (cut !== null) frame = frame.slice(0, cut);
        if (mended) mend(frame);
        kernel.receive(port, frame);
        world.advance(wait);
      }
      world.advance(100_000);
      t.is(kernel.netns(''), kernel.root);
    }),
    { numRuns: 200 },
  );
});

test('unharmed, the samples are taken', (t) => {
  const { world, kernel } = target();
  for (const sample of samples) {
    kernel.receive(0, sample.slice());
    world.advance(1);
  }
  for (const reason of kernel.drops.keys()) t.notRegex(reason, /malformed|truncated|bad-/);
});

test('a tunnel whose remote end is behind itself drops the packet', (t) => {
  const { kernel } = target();
  const { root } = kernel;
  root.setMaster('vx0', null);
  root.addAddress('vx0', '10.7.0.1/24');
  root.addVxlanFdb('vx0', 0x020000000099, ip('10.7.0.2'), 'static');
  root.setNeighbor('vx0', ip('10.7.0.2'), 0x020000000099);
  const echo = root.openIcmp({ onReply: () => {}, onError: () => {} });
  echo.sendEcho(ip('10.7.0.2'), { id: 1, seq: 1, size: 8 });
  t.is(kernel.drops.get('tunnel-loop'), 1);
});

test('a VXLAN station that moves leaves one row, in the log too, and no source of zero is learned', (t) => {
  const net = new Network();
  const [a, b, c] = [net.host('a'), net.host('b'), net.host('c')];
  for (const [i, host] of [a, b, c].entries()) {
    const local = `10.0.0.${i + 1}`;
    net.attach(host, 'lan', 'eth0', `${local}/24`);
    const { root } = host.kernel;
    root.addVxlan({
      name: 'vx0',
      // The station that moves.
      mac: host === a ? 0x020000000076 : 0x020000000077,
      mtu: 1400,
      vni: 1,
      local: ip(local),
      dstPort: 8472,
      learning: 'on',
    });
    root.setUp('vx0');
    root.addVxlanFdb('vx0', 0, ip('10.0.0.1'), 'static');
    root.addAddress('vx0', `10.5.0.${i + 1}/24`);
  }
  const learned = () =>
    a.kernel.root
      .fdb()
      .filter((row) => row.kind === 'learned')
      .map((row) => row.dst);
  b.kernel.root.device('vx0')?.neighbors.announce(ip('10.5.0.2'));
  net.advance(10);
  t.deepEqual(learned(), ['10.0.0.2']);
  c.kernel.root.device('vx0')?.neighbors.announce(ip('10.5.0.3'));
  net.advance(10);
  t.deepEqual(learned(), ['10.0.0.3']);
  const removed = a.rt.events.filter((event) => event.type === 'fdb.removed');
  t.like(removed, [{ dev: 'vx0', dst: '10.0.0.2' }]);
  const anonymous = new Uint8Array(60);
  writeEthernet(anonymous, BROADCAST_MAC, 0, 0x88b5);
  b.kernel.root.device('vx0')?.transmit(anonymous);
  net.advance(10);
  t.deepEqual(learned(), ['10.0.0.3']);
});
