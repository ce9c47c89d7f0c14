import test from 'ava';
import type { CommandReply } from '../../../nodes/commands.ts';
import { type CaptureBatch, Capturer } from '../../../nodes/daemons/capturer.ts';
import type { Device } from '../../../nodes/kernel/device.ts';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { type CapturedFrame, PacketSocket, RING_BYTES } from '../../../nodes/kernel/packet.ts';
import { startTool } from '../../../nodes/tools/start.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ipTtl } from '../../../protocols/ipv4.ts';
import { type Host, mac, Network } from '../../support/network.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

/** A router between a pod (veth) and another host (wire). */
function routed() {
  const network = new Network();
  const [node, far] = [network.host('node'), network.host('far')];
  network.attach(node, 'lan', 'eth0', '10.0.0.1/24');
  network.attach(far, 'lan', 'eth0', '10.0.0.2/24');
  const pod = node.kernel.addNetns('pod');
  const { root } = node.kernel;
  root.addVeth({
    name: 'veth0',
    mac: mac('02:00:00:00:00:01'),
    mtu: 1500,
    peer: { ns: pod, name: 'eth0', mac: mac('02:00:00:00:00:02') },
  });
  for (const [ns, name, address] of [
    [root, 'veth0', '10.1.0.1/24'],
    [pod, 'eth0', '10.1.0.2/24'],
  ] as const) {
    ns.setUp(name);
    ns.addAddress(name, address);
  }
  root.ipForward = true;
  addRoute(pod, '0.0.0.0/0', '10.1.0.1');
  addRoute(far.kernel.root, '10.1.0.0/24', '10.0.0.1');
  return { network, node, pod, root };
}

function addRoute(ns: Host['kernel']['root'], dst: string, via: string): void {
  ns.routes.set({
    dst,
    type: 'unicast',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [{ via, dev: '', onlink: false, weight: 1 }],
  });
}

function ping(network: Network, host: Host, ns: Host['kernel']['root'], to: string): void {
  startTool(
    ['ping', '-c', '1', to],
    { rt: host.rt, kernel: host.kernel, ns },
    { stdout: () => {}, stderr: () => {}, exit: () => {} },
  );
  network.advance(50);
}

let order = 0;
function listen(device: Device, options: Partial<ConstructorParameters<typeof PacketSocket>[1]> = {}) {
  return new PacketSocket(device, {
    snapLength: 65_536,
    filter: () => true,
    nextOrder: () => ++order,
    onReadable: () => {},
    ...options,
  });
}

function isEcho({ data }: CapturedFrame): boolean {
  return data[12] === 8 && data[13] === 0 && data[ETH_HLEN + 9] === 1;
}

function echoes(socket: PacketSocket): string[] {
  return socket
    .read(Number.POSITIVE_INFINITY)
    .filter(isEcho)
    .map(({ direction, data }) => `${direction} ttl ${ipTtl(data, ETH_HLEN)}`);
}

test('each device shows what it received and sent, as it was then', (t) => {
  const { network, node, pod, root } = routed();
  const inPod = listen(pod.device('eth0')!);
  const veth = listen(root.device('veth0')!);
  const wire = listen(root.device('eth0')!);
  ping(network, node, pod, '10.0.0.2');
  t.deepEqual(echoes(inPod), ['out ttl 64', 'in ttl 63']);
  t.deepEqual(echoes(veth), ['in ttl 64', 'out ttl 63']);
  t.deepEqual(echoes(wire), ['out ttl 63', 'in ttl 64']);
});

test('frames of several devices have an order even at one moment', (t) => {
  const { network, node, pod, root } = routed();
  const sockets = { pod: listen(pod.device('eth0')!), veth: listen(root.device('veth0')!) };
  ping(network, node, pod, '10.0.0.2');
  const seen = Object.entries(sockets)
    .flatMap(([name, socket]) =>
      socket
        .read(1e9)
        .filter(isEcho)
        .map((frame) => ({ name, ...frame })),
    )
    .sort((a, b) => a.order - b.order);
  t.deepEqual(
    seen.map(({ name, direction }) => `${name} ${direction}`),
    ['pod out', 'veth in', 'veth out', 'pod in'],
  );
});

test('lo shows each frame once, a bridge all that passes it, a device without link layer packets', (t) => {
  const network = new Network();
  const node = network.host('node');
  const { root } = node.kernel;
  const lo = listen(root.lo);
  ping(network, node, root, '127.0.0.1');
  t.deepEqual(echoes(lo), ['in ttl 64', 'in ttl 64']);
  t.is(lo.linkType, 'ethernet');

  root.addBridge({ name: 'br0', mac: mac('02:00:00:00:01:00'), mtu: 1500 });
  root.setUp('br0');
  root.addAddress('br0', '10.3.0.1/24');
  for (const [i, address] of ['10.3.0.2/24', '10.3.0.3/24'].entries()) {
    const pod = node.kernel.addNetns(`pod${i}`);
    const peer = { ns: pod, name: 'eth0', mac: 0x020000000200 + i };
    root.addVeth({ name: `veth${i}`, mac: 0x020000000300 + i, mtu: 1500, peer });
    root.setMaster(`veth${i}`, 'br0');
    root.setUp(`veth${i}`);
    pod.setUp('eth0');
    pod.addAddress('eth0', address);
  }
  const bridge = listen(root.device('br0')!);
  ping(network, node, node.kernel.netns('pod0')!, '10.3.0.3');
  t.deepEqual(echoes(bridge), ['in ttl 64', 'in ttl 64']);
  ping(network, node, root, '10.3.0.2');
  t.deepEqual(echoes(bridge), ['out ttl 64', 'in ttl 64']);

  root.addTun({ name: 'tun0', mtu: 1400 }, () => {});
  root.setUp('tun0');
  root.addAddress('tun0', '10.4.0.1/24');
  const tun = listen(root.device('tun0')!);
  ping(network, node, root, '10.4.0.2');
  t.is(tun.linkType, 'raw');
  const [packet] = tun.read(1e9);
  t.is(packet?.data[0], 0x45);
  t.is(packet?.length, 84);
});

test('a device that is down shows nothing, nor does one that nobody listens to any more', (t) => {
  const { network, node, pod, root } = routed();
  const inPod = listen(pod.device('eth0')!);
  const veth = listen(root.device('veth0')!);
  root.setDown('veth0');
  ping(network, node, pod, '10.1.0.1');
  t.deepEqual([inPod.received, veth.received], [0, 0]);
  root.setUp('veth0');
  const second = listen(root.device('veth0')!);
  veth.close();
  ping(network, node, pod, '10.1.0.1');
  // Until the pod asks again for the address that it has asked for in vain.
  network.advance(1_000);
  t.is(veth.received, 0);
  t.true(second.received > 0);
  t.is(second.received, inPod.received);
});

test('what the filter does not want and what the ring has no room for is counted, the oldest is kept', (t) => {
  const kernel = new Kernel(new FakeWorld().runtime(), { timings, transmit: () => {} });
  const device = kernel.root.addPort({ name: 'eth0', mac: 1, mtu: 60_000, port: 0 });
  kernel.root.setUp('eth0');
  const socket = listen(device, { filter: (frame) => frame[20] !== 7, snapLength: 50_000 });
  const frame = new Uint8Array(60_000);
  const fits = Math.floor(RING_BYTES / 50_064);
  for (let i = 0; i < fits + 5; i++) {
    frame[30] = i;
    device.transmit(frame);
  }
  frame[20] = 7;
  device.transmit(frame);
  const { received, accepted, dropped } = socket;
  t.deepEqual({ received, accepted, dropped }, { received: fits + 6, accepted: fits + 5, dropped: 5 });
  const read = socket.read(120_000);
  t.deepEqual(
    read.map(({ data, length }) => [data[30], data.length, length]),
    [
      [0, 50_000, 60_000],
      [1, 50_000, 60_000],
    ],
  );
  t.is(socket.read(1).length, 1);
  t.is(socket.read(1e9).length, fits - 3);
  t.deepEqual(socket.read(1e9), []);
  device.transmit(frame.fill(0));
  t.is(socket.read(1e9).length, 1);
});

function captured(device = 'veth0', filter = '') {
  const routing = routed();
  const { node, root, network } = routing;
  const capturer = new Capturer(node.rt);
  const start = { type: 'capture.start', capture: 'c', pod: '', device, snapLength: 100, filter } as const;
  let started: CommandReply | null = null;
  capturer.command(start, root, (reply) => {
    started = reply;
  });
  const answers: { readonly at: number; readonly reply: CommandReply }[] = [];
  const send = (type: 'capture.read' | 'capture.stop') =>
    capturer.command({ type, capture: 'c' }, undefined, (reply) =>
      answers.push({ at: network.world.now, reply }),
    );
  const batch = (index: number): CaptureBatch => {
    const reply = answers[index]?.reply;
    if (reply?.type !== 'value') throw new Error(`no batch: ${JSON.stringify(reply)}`);
    return reply.value as CaptureBatch;
  };
  return { ...routing, capturer, started: started as CommandReply | null, answers, send, batch };
}

test('a read waits for frames, gathers for a moment and answers with all', (t) => {
  const { started, network, node, pod, answers, send, batch } = captured();
  t.deepEqual(started, {
    type: 'value',
    value: { linkType: 'ethernet', kind: 'veth', mac: mac('02:00:00:00:00:01') },
  });
  send('capture.read');
  network.advance(100);
  t.is(answers.length, 0);
  ping(network, node, pod, '10.0.0.2');
  t.is(answers.length, 1);
  t.is(answers[0]?.at, 110);
  t.is(batch(0).state, 'open');
  t.is(batch(0).frames.length, batch(0).received);
  t.true(batch(0).received >= 4);
  t.is(batch(0).frames[0]?.at, 100);
});

test('a read without frames answers after a second, one of what waits at once, two at a time are refused', (t) => {
  const { network, node, pod, answers, send, batch } = captured();
  send('capture.read');
  send('capture.read');
  t.deepEqual(answers[0]?.reply, { type: 'error', message: 'the capture is being read already' });
  network.advance(1_000);
  t.deepEqual(batch(1).frames, []);
  ping(network, node, pod, '10.0.0.2');
  send('capture.read');
  t.true(batch(2).frames.length >= 4);
});

test('a capture that is stopped gives what it has and is forgotten', (t) => {
  const { network, node, pod, answers, send, batch } = captured();
  ping(network, node, pod, '10.0.0.2');
  send('capture.stop');
  ping(network, node, pod, '10.0.0.2');
  send('capture.read');
  t.is(batch(1).state, 'ended');
  t.is(batch(1).frames.filter(isEcho).length, 2);
  send('capture.read');
  t.deepEqual(answers[2]?.reply, { type: 'error', message: 'there is no capture c' });
});

test('a stop answers the read that waits', (t) => {
  const { send, batch } = captured();
  send('capture.read');
  send('capture.stop');
  t.deepEqual(batch(0), { frames: [], received: 0, accepted: 0, dropped: 0, state: 'ended' });
});

test('a capture that nobody reads ends by itself, and costs the device nothing more', (t) => {
  const { network, answers, send } = captured();
  send('capture.read');
  network.advance(1_000);
  network.advance(14_000);
  send('capture.read');
  network.advance(1_000);
  t.is(answers[1]?.reply.type, 'value');
  network.advance(15_000);
  send('capture.read');
  t.deepEqual(answers[2]?.reply, { type: 'error', message: 'there is no capture c' });
});

test('a capture ends with its device', (t) => {
  const { network, node, root, pod, send, batch } = captured();
  ping(network, node, pod, '10.0.0.2');
  root.removeDevice('veth0');
  send('capture.read');
  t.is(batch(0).state, 'ended');
  t.true(batch(0).frames.length >= 4);
});

test('what cannot be captured is refused by name, and captures leave no event', (t) => {
  t.deepEqual(captured('veth9').started, {
    type: 'error',
    message: 'there is no device veth9; there are lo, eth0, veth0',
  });
  t.regex(JSON.stringify(captured('veth0', 'tcp port x').started), /column 10: 'x' is no port number/);
  const { capturer, node, send, network } = captured();
  const before = node.rt.events.length;
  const start = {
    type: 'capture.start',
    capture: 'd',
    pod: 'default/x',
    device: 'eth0',
    snapLength: 1,
    filter: '',
  } as const;
  let refused: CommandReply | null = null;
  capturer.command(start, undefined, (reply) => {
    refused = reply;
  });
  t.deepEqual(refused as CommandReply | null, { type: 'error', message: 'no pod default/x runs here' });
  send('capture.read');
  network.advance(5_000);
  t.is(node.rt.events.length, before);
});
