import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { BfdConfigError, type BfdRequest, type BfdStatus } from '../../../nodes/daemons/bfd/request.ts';
import { Bfdd } from '../../../nodes/daemons/bfdd.ts';
import { gatewayRoute } from '../../../nodes/daemons/route-facts.ts';
import type { BfdMode } from '../../../nodes/events/bfd.ts';
import { PortInUseError } from '../../../nodes/kernel/udp.ts';
import { BfdFold } from '../../../nodes/state/bfd-fold.ts';
import {
  ControlPacket,
  FLAG_AUTHENTICATION,
  readControl,
  writeControl,
} from '../../../protocols/bfd/control.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { IPV4_HLEN, ipDst, ipProto, ipSrc, ipTtl, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { decodeUdp, UDP_HLEN } from '../../../protocols/udp.ts';
import { type Host, Network } from '../../support/network.ts';
import { complaints, testWithTshark, tshark } from '../../support/tshark.ts';

const ip = (text: string) => parseIp4(text)!;
const FAST = { mode: 'single-hop', minTx: 50, minRx: 50, multiplier: 3 } as const;
const HEADERS = ETH_HLEN + IPV4_HLEN + UDP_HLEN;

/** A node with a BFD daemon, and what a client of it was told. */
class Node {
  readonly host: Host;
  readonly bfdd: Bfdd;
  readonly told: BfdStatus[] = [];

  constructor(host: Host) {
    this.host = host;
    this.bfdd = new Bfdd(host.rt, host.kernel.root);
  }

  add(local: string, remote: string, options: Partial<BfdRequest> = {}) {
    const request = { ...FAST, local: ip(local), remote: ip(remote), ...options };
    return this.bfdd.add(request, (status) => this.told.push(status));
  }

  get events() {
    return this.host.rt.events.filter(({ type }) => type.startsWith('bfd.'));
  }

  get folded() {
    const fold = new BfdFold();
    for (const event of this.host.rt.events) {
      if (
        event.type === 'bfd.added' ||
        event.type === 'bfd.session' ||
        event.type === 'bfd.intervals' ||
        event.type === 'bfd.discarded' ||
        event.type === 'bfd.removed'
      )
        fold.apply(event);
    }
    return fold.view();
  }

  get drops() {
    return Object.fromEntries([...this.host.kernel.drops].filter(([reason]) => reason.startsWith('bfd-')));
  }
}

/** a and b on one segment, and c, which lies. */
function lan() {
  const net = new Network();
  const [a, b, c] = ['a', 'b', 'c'].map((name, i) => {
    const host = net.host(name);
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    return new Node(host);
  });
  return { net, a: a!, b: b!, c: c! };
}

function up() {
  const world = lan();
  const { net, a, b } = world;
  const client = a.add('10.0.0.1', '10.0.0.2');
  const other = b.add('10.0.0.2', '10.0.0.1');
  net.advance(5_000);
  return { ...world, client, other };
}

/** BFD packets among the frames. */
function packetsOf(net: Network) {
  return net.frames.flatMap(({ frame }) => {
    if (ipProto(frame, ETH_HLEN) !== PROTO_UDP || frame[12] !== 8 || frame[13] !== 0) return [];
    const src = ipSrc(frame, ETH_HLEN);
    const dst = ipDst(frame, ETH_HLEN);
    const length = frame.length - ETH_HLEN - IPV4_HLEN;
    const datagram = decodeUdp(frame, ETH_HLEN + IPV4_HLEN, length, src, dst);
    if (datagram === null || (datagram.dstPort !== 3784 && datagram.dstPort !== 4784)) return [];
    const packet = new ControlPacket();
    const fault = readControl(frame, HEADERS, frame.length - HEADERS, packet);
    const { srcPort, dstPort } = datagram;
    return [{ frame, packet, fault, srcPort, dstPort, src: formatIp4(src), ttl: ipTtl(frame, ETH_HLEN) }];
  });
}

/** Whoever has the host's socket says what it likes. */
function forge(
  from: Host,
  dst: string,
  fields: Partial<ControlPacket>,
  options: {
    readonly src?: string;
    readonly ttl?: number;
    readonly port?: number;
    readonly tail?: Uint8Array;
  } = {},
) {
  const { src = '0.0.0.0', ttl = 255, port = 3784, tail = new Uint8Array(0) } = options;
  const payload = new Uint8Array(24 + tail.length);
  const packet = Object.assign(new ControlPacket(), {
    myDiscriminator: 77,
    detectMult: 3,
    desiredMinTx: 50_000,
    requiredMinRx: 50_000,
    ...fields,
  });
  writeControl(payload, 0, packet, packet.flags);
  payload[3] = payload.length;
  payload.set(tail, 24);
  const socket = from.kernel.root.bindUdp({ addr: 0, port: 0 }, () => {});
  socket.sendTo(ip(dst), port, payload, { src: ip(src), ttl });
  socket.close();
}

test('two nodes bring a session up, and their clients are told', (t) => {
  const { a, b, client } = up();
  for (const { told } of [a, b]) {
    t.is(told.at(-1)?.state, 'Up');
    t.true(told.every(({ pathFailed }) => !pathFailed));
  }
  t.deepEqual(client.status, {
    state: 'Up',
    diag: 'No Diagnostic',
    remoteState: 'Up',
    remoteDiag: 'No Diagnostic',
    transmit: 50,
    detection: 150,
    pathFailed: false,
    remoteIndependent: false,
  });
});

test('packets leave with TTL 255, from a port of the session, to port 3784', (t) => {
  const { net, a } = up();
  const packets = packetsOf(net);
  t.true(packets.length > 150);
  for (const { fault, ttl, dstPort, srcPort } of packets) {
    t.is(fault, null);
    t.is(ttl, 255);
    t.is(dstPort, 3784);
    t.true(srcPort >= 49_152 && srcPort <= 65_535);
  }
  const ports = new Set(packets.filter(({ src }) => src === '10.0.0.1').map(({ srcPort }) => srcPort));
  t.is(ports.size, 1, 'RFC 5881 §4: the same for all packets of a session');
  t.throws(() => a.host.kernel.root.bindUdp({ addr: ip('10.0.0.1'), port: [...ports][0]! }, () => {}), {
    instanceOf: PortInUseError,
  });
});

test('a session that runs leaves no event and no drop behind', (t) => {
  const { net, a, b } = up();
  const before = [a.host.rt.records.length, b.host.rt.records.length];
  const frames = packetsOf(net).length;
  net.advance(20_000);
  t.true(packetsOf(net).length - frames > 800);
  // Neighbour entries are confirmed from time to time.
  const kinds = (node: Node, from: number) =>
    new Set(node.host.rt.events.slice(from).map(({ type }) => type));
  t.deepEqual(
    [...kinds(a, before[0]!)].filter((type) => type.startsWith('bfd.')),
    [],
  );
  t.deepEqual(
    [...kinds(b, before[1]!)].filter((type) => type.startsWith('bfd.')),
    [],
  );
  t.deepEqual([a.drops, b.drops], [{}, {}]);
});

test('a cut is told as a failed path within the Detection Time', (t) => {
  const { net, a, b } = up();
  a.told.length = 0;
  b.told.length = 0;
  net.passes = () => false;
  net.advance(149 + 50);
  for (const { told } of [a, b])
    t.like(told, [
      { state: 'Down', diag: 'Control Detection Time Expired', pathFailed: true, remoteState: 'Down' },
    ]);
  const event = a.events.at(-1);
  t.like(event, {
    type: 'bfd.session',
    local: '10.0.0.1',
    remote: '10.0.0.2',
    mode: 'single-hop',
    from: 'Up',
    to: 'Down',
    diag: 'Control Detection Time Expired',
    transmit: 1000,
    detection: 0,
  });
  net.passes = () => true;
  net.advance(5_000);
  t.is(a.told.at(-1)?.state, 'Up');
  t.deepEqual(a.folded, a.bfdd.snapshot());
});

test('a session that its last client gives up is no failure to the peer, and is gone a Detection Time later', (t) => {
  const { net, a, b, client } = up();
  b.told.length = 0;
  a.bfdd.remove(client);
  a.bfdd.remove(client);
  net.advance(100);
  t.deepEqual(
    b.told.map(({ state, diag, remoteState, remoteDiag, pathFailed }) => [
      state,
      diag,
      remoteState,
      remoteDiag,
      pathFailed,
    ]),
    [['Down', 'Neighbor Signaled Session Down', 'AdminDown', 'Administratively Down', false]],
  );
  t.like(a.bfdd.snapshot().sessions, [{ state: 'AdminDown', diag: 'Administratively Down' }]);
  t.deepEqual(a.folded, a.bfdd.snapshot());
  net.advance(4_000);
  t.deepEqual(a.bfdd.snapshot().sessions, []);
  t.deepEqual(a.folded, a.bfdd.snapshot());
  t.is(b.told.length, 1);
  // Wanted again, it comes up again; also before it has gone.
  const again = a.add('10.0.0.1', '10.0.0.2');
  net.advance(5_000);
  t.is(b.told.at(-1)?.state, 'Up');
  a.bfdd.remove(again);
  net.advance(10);
  a.add('10.0.0.1', '10.0.0.2');
  net.advance(5_000);
  t.is(a.bfdd.snapshot().sessions.length, 1);
  t.is(b.told.at(-1)?.state, 'Up');
});

test('a session that nobody ever answered goes at once', (t) => {
  const { net, a } = lan();
  a.bfdd.remove(a.add('10.0.0.1', '10.0.0.2'));
  t.deepEqual(a.bfdd.snapshot().sessions, []);
  net.advance(1);
  t.is(a.host.rt.timers.next() > 1_000, true, 'no packet is due');
});

test('clients share a session, which is as fast as the fastest wants', (t) => {
  const { net, a, b, client } = up();
  const second = a.add('10.0.0.1', '10.0.0.2', { minTx: 20, minRx: 100, multiplier: 5 });
  net.advance(3_000);
  t.is(a.bfdd.snapshot().sessions.length, 1);
  t.like(b.bfdd.snapshot().sessions[0], { state: 'Up', detection: 150, transmit: 50 });
  const told = a.told.length;
  a.bfdd.remove(client);
  net.advance(3_000);
  t.like(second.status, { state: 'Up', transmit: 50 });
  t.like(b.bfdd.snapshot().sessions[0], { detection: 250, transmit: 100 });
  t.is(a.told.length, told, 'other parameters are no other state');
  net.passes = () => false;
  net.advance(1_000);
  t.is(a.told.length, told + 1, 'who has left is told no more');
  t.deepEqual(a.folded, a.bfdd.snapshot());
  t.deepEqual(b.folded, b.bfdd.snapshot());
});

test('a client may give its session up when it is told of its end', (t) => {
  const { net, a } = lan();
  const seen: string[] = [];
  const client = a.bfdd.add({ ...FAST, local: ip('10.0.0.1'), remote: ip('10.0.0.2') }, ({ state }) => {
    seen.push(state);
    if (state === 'Up') a.bfdd.remove(client);
  });
  forge(net.hosts[1]!, '10.0.0.1', { state: 'Down' });
  net.advance(10);
  const { discriminator } = a.bfdd.snapshot().sessions[0]!;
  forge(net.hosts[1]!, '10.0.0.1', { state: 'Up', yourDiscriminator: discriminator });
  net.advance(10);
  t.deepEqual(seen, ['Init', 'Up']);
  t.is(a.bfdd.snapshot().sessions[0]?.state, 'AdminDown');
  net.advance(10_000);
  t.deepEqual(a.bfdd.snapshot().sessions, []);
});

test('what has been forwarded is no single-hop packet, and is told of once', (t) => {
  const { net, a, b, c } = up();
  const { discriminator } = a.bfdd.snapshot().sessions[0]!;
  for (let i = 0; i < 5; i++)
    forge(
      c.host,
      '10.0.0.1',
      { state: 'Down', yourDiscriminator: discriminator },
      { src: '10.0.0.2', ttl: 254 },
    );
  net.advance(10);
  t.deepEqual(a.drops, { 'bfd-ttl': 5 });
  t.is(a.told.at(-1)?.state, 'Up');
  t.deepEqual(
    a.events.filter(({ type }) => type === 'bfd.discarded'),
    [
      {
        type: 'bfd.discarded',
        local: '10.0.0.1',
        remote: '10.0.0.2',
        mode: 'single-hop',
        reason: 'ttl: 254, where 255 says that nobody has forwarded the packet',
      },
    ],
  );
  t.is(b.told.at(-1)?.state, 'Up');
});

test('once it is known, the discriminator alone names the session', (t) => {
  const { net, a, c } = up();
  const { discriminator } = a.bfdd.snapshot().sessions[0]!;
  // Another source address, the right discriminator: RFC 5880 §6.3.
  forge(c.host, '10.0.0.1', { state: 'Down', yourDiscriminator: discriminator });
  net.advance(1);
  t.like(a.told.at(-1), { state: 'Down', diag: 'Neighbor Signaled Session Down', pathFailed: true });
  forge(c.host, '10.0.0.1', { state: 'Up', yourDiscriminator: (discriminator % 0xffff_fffe) + 1 });
  forge(c.host, '10.0.0.1', { state: 'Down' });
  net.advance(1);
  t.deepEqual(a.drops, { 'bfd-no-session': 2 });
});

test('a session is found by the device of its first packets where one is named', (t) => {
  const { net, a, b } = lan();
  net.attach(a.host, 'other', 'eth1', '10.9.0.1/24');
  a.add('10.0.0.1', '10.0.0.2', { device: 'eth1', role: 'passive' });
  b.add('10.0.0.2', '10.0.0.1');
  net.advance(3_000);
  t.is(a.bfdd.snapshot().sessions[0]?.state, 'Down');
  t.true((a.drops['bfd-no-session'] ?? 0) >= 3);
});

test('authentication is refused in words that help', (t) => {
  const { net, a, b } = up();
  const { discriminator } = a.bfdd.snapshot().sessions[0]!;
  const tail = Uint8Array.from([4, 28, 7, 0, ...new Uint8Array(24)]);
  for (let i = 0; i < 3; i++)
    forge(
      b.host,
      '10.0.0.1',
      { state: 'Down', yourDiscriminator: discriminator, flags: FLAG_AUTHENTICATION },
      { tail },
    );
  net.advance(10);
  t.is(a.told.at(-1)?.state, 'Up');
  t.deepEqual(a.drops, { 'bfd-auth-unexpected': 3 });
  const discarded = a.events.filter(({ type }) => type === 'bfd.discarded');
  t.like(discarded, [
    {
      reason:
        'auth-unexpected: Keyed SHA1 authentication with key 7, which the session does not use; turn it off at the peer',
    },
  ]);
});

test('garbage is counted by its fault', (t) => {
  const { net, a, b } = up();
  const socket = b.host.kernel.root.bindUdp({ addr: 0, port: 0 }, () => {});
  for (const bytes of [[], [0x20, 0x40, 3], [0x40, 0x40, 3, 24], [0x20, 0x40, 3, 24, ...new Uint8Array(19)]])
    socket.sendTo(ip('10.0.0.1'), 3784, Uint8Array.from(bytes), { ttl: 255 });
  net.advance(10);
  t.deepEqual(a.drops, { 'bfd-truncated': 2, 'bfd-version': 1, 'bfd-length-overrun': 1 });
  t.is(a.told.at(-1)?.state, 'Up');
});

test('a peer that was started anew is taken up again with its new discriminator', (t) => {
  const { net, a, b } = up();
  const old = b.bfdd.snapshot().sessions[0]!.discriminator;
  a.told.length = 0;
  const told: string[] = [];
  // As in a crash, nobody hears a word.
  net.passes = () => false;
  b.bfdd.shutdown();
  net.passes = () => true;
  const fresh = new Bfdd(b.host.rt, b.host.kernel.root);
  fresh.add({ ...FAST, local: ip('10.0.0.2'), remote: ip('10.0.0.1') }, ({ state }) => told.push(state));
  net.advance(5_000);
  t.not(fresh.snapshot().sessions[0]?.discriminator, old);
  t.like(a.told[0], { state: 'Down', diag: 'Neighbor Signaled Session Down', pathFailed: true });
  t.is(told.at(-1), 'Up');
  t.is(a.told.at(-1)?.state, 'Up');
  t.deepEqual(a.folded, a.bfdd.snapshot());
});

/** a and b again, each of them a real daemon to the other: what they send is handed on, and no frame carries it. */
function real() {
  const { net, a, b, c } = lan();
  const bfdds: Bfdd[] = [];
  const told: BfdStatus[][] = [[], []];
  const cut = { now: false };
  [a, b].forEach(({ host }, i) => {
    const sendReal = (peer: string, payload: Uint8Array) => {
      const [name, copy] = [peer === 'a' ? 'b' : 'a', payload.slice()];
      if (!cut.now) host.rt.timers.set(host.rt.now, () => bfdds[1 - i]!.receiveReal(name, copy));
    };
    bfdds.push(new Bfdd(host.rt, host.kernel.root, { sendReal }));
  });
  const addresses = [ip('10.0.0.1'), ip('10.0.0.2')] as const;
  bfdds.forEach((bfdd, i) => {
    const request = { ...FAST, mode: 'multihop', local: addresses[i]!, remote: addresses[1 - i]! } as const;
    bfdd.add({ ...request, external: i === 0 ? 'b' : 'a' }, (status) => told[i]!.push(status));
  });
  net.advance(5_000);
  return {
    net,
    a,
    b,
    c,
    cut,
    bfdds,
    told,
    states: () => bfdds.map((each) => each.snapshot().sessions[0]?.state),
  };
}

test('with a real daemon packets go past the emulated network, and none of its own are taken for them', (t) => {
  const { net, a, c, bfdds, states, cut, told } = real();
  t.deepEqual(states(), ['Up', 'Up']);
  t.deepEqual(packetsOf(net), []);
  t.deepEqual(a.folded, bfdds[0]!.snapshot());
  // Somebody in the lab who knows the discriminator.
  const { discriminator } = bfdds[0]!.snapshot().sessions[0]!;
  bfdds[0]!.add({ ...FAST, mode: 'multihop', local: ip('10.0.0.1'), remote: ip('10.0.0.3') }, () => {});
  forge(c.host, '10.0.0.1', { yourDiscriminator: discriminator, state: 'Down' }, { port: 4784 });
  net.advance(100);
  t.deepEqual(states(), ['Up', 'Up']);
  t.is(a.drops['bfd-no-session'], 1);
  bfdds[0]!.receiveReal('nobody', new Uint8Array(24));
  t.is(a.drops['bfd-no-session'], 2);
  cut.now = true;
  net.advance(200);
  t.deepEqual(states(), ['Down', 'Down']);
  t.like(told[0]!.at(-1), { diag: 'Control Detection Time Expired', pathFailed: true });
});

test('a pulled cable cuts a real daemon off too', (t) => {
  const { net, a, states, bfdds } = real();
  a.host.kernel.setCarrier(0, 'down');
  net.advance(200);
  t.deepEqual(states(), ['Down', 'Down']);
  t.true((a.drops['bfd-unreachable'] ?? 0) > 0);
  a.host.kernel.setCarrier(0, 'up');
  net.advance(5_000);
  t.deepEqual(states(), ['Up', 'Up']);
  t.deepEqual(a.folded, bfdds[0]!.snapshot());
});

test('a daemon that shuts down tells its peers, and leaves no timer and no socket', (t) => {
  const { net, a, b } = up();
  b.told.length = 0;
  a.bfdd.shutdown();
  net.advance(10);
  t.like(b.told, [{ state: 'Down', remoteState: 'AdminDown', pathFailed: false }]);
  t.deepEqual(a.folded, { sessions: [] });
  a.host.kernel.root.bindUdp({ addr: 0, port: 3784 }, () => {}).close();
  net.frames.length = 0;
  net.advance(10_000);
  t.deepEqual(
    packetsOf(net).filter(({ src }) => src === '10.0.0.1'),
    [],
  );
});

/** a - r - b */
function path() {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r, 'left', 'eth0', '10.1.0.254/24');
  net.attach(r, 'right', 'eth1', '10.2.0.254/24');
  net.attach(b, 'right', 'eth0', '10.2.0.1/24');
  r.kernel.root.ipForward = true;
  for (const [host, via] of [
    [a, '10.1.0.254'],
    [b, '10.2.0.254'],
  ] as const)
    host.kernel.root.routes.set(gatewayRoute('0.0.0.0/0', via, 'eth0'));
  return { net, a: new Node(a), b: new Node(b) };
}

test('over several hops a session runs on port 4784, and a single-hop one never comes up', (t) => {
  const sessions = (mode: BfdMode) => {
    const { net, a, b } = path();
    const client = a.add('10.1.0.1', '10.2.0.1', { mode });
    b.add('10.2.0.1', '10.1.0.1', { mode });
    net.advance(5_000);
    return { net, a, client };
  };
  const far = sessions('multihop');
  t.like(far.client.status, { state: 'Up', transmit: 50, detection: 150 });
  t.true(packetsOf(far.net).every(({ dstPort, fault }) => dstPort === 4784 && fault === null));
  t.true(packetsOf(far.net).some(({ ttl }) => ttl === 254));

  const near = sessions('single-hop');
  t.deepEqual(near.a.told, []);
  t.true((near.a.drops['bfd-ttl'] ?? 0) >= 4);
});

test('single-hop and multihop sessions between the same addresses are two', (t) => {
  const { net, a, b } = up();
  a.add('10.0.0.1', '10.0.0.2', { mode: 'multihop', minTx: 300 });
  b.add('10.0.0.2', '10.0.0.1', { mode: 'multihop' });
  net.advance(5_000);
  const rows = a.bfdd.snapshot().sessions.map(({ mode, state, transmit }) => [mode, state, transmit]);
  t.deepEqual(rows, [
    ['multihop', 'Up', 300],
    ['single-hop', 'Up', 50],
  ]);
  // The discriminator of the one does not open the other, where the TTL is not looked at.
  const single = a.bfdd.snapshot().sessions[1]!;
  forge(
    b.host,
    '10.0.0.1',
    { state: 'Down', yourDiscriminator: single.discriminator },
    { port: 4784, ttl: 9 },
  );
  net.advance(10);
  t.deepEqual(a.drops, { 'bfd-no-session': 1 });
  t.is(a.bfdd.snapshot().sessions[1]?.state, 'Up');
});

test('sessions from two addresses to one are two', (t) => {
  const { net, a, b } = lan();
  a.host.kernel.root.addAddress('eth0', '10.0.0.11/24');
  for (const local of ['10.0.0.1', '10.0.0.11']) {
    a.add(local, '10.0.0.2');
    b.add('10.0.0.2', local);
  }
  net.advance(5_000);
  for (const { bfdd } of [a, b]) t.like(bfdd.snapshot().sessions, [{ state: 'Up' }, { state: 'Up' }]);
  t.is(new Set(packetsOf(net).map(({ srcPort }) => srcPort)).size, 4);
});

test('an address that is taken away takes the packets of its sessions along', (t) => {
  const { net, a } = up();
  a.host.kernel.root.removeAddress('eth0', '10.0.0.1/24');
  a.host.kernel.root.addAddress('eth0', '10.0.0.21/24');
  net.frames.length = 0;
  net.advance(3_000);
  t.deepEqual(
    packetsOf(net).filter(({ src }) => src !== '10.0.0.2'),
    [],
  );
  t.like(a.told.at(-1), { state: 'Down', pathFailed: true });
});

test('a session that was not up has nothing to lose', (t) => {
  const { net, a, b } = lan();
  a.add('10.0.0.1', '10.0.0.2');
  forge(b.host, '10.0.0.1', { state: 'Down' });
  net.advance(5_000);
  t.deepEqual(
    a.told.map(({ state, diag, pathFailed }) => [state, diag, pathFailed]),
    [
      ['Init', 'No Diagnostic', false],
      ['Down', 'Control Detection Time Expired', false],
    ],
  );
});

test('a session is passive as long as all its clients are', (t) => {
  const { net, a } = lan();
  const passive = a.add('10.0.0.1', '10.0.0.2', { role: 'passive' });
  net.advance(5_000);
  t.is(packetsOf(net).length, 0);
  const active = a.add('10.0.0.1', '10.0.0.2');
  net.advance(5_000);
  t.true(packetsOf(net).length >= 5);
  a.bfdd.remove(active);
  net.frames.length = 0;
  net.advance(5_000);
  t.is(packetsOf(net).length, 0);
  t.is(passive.status.state, 'Down');
});

test('what cannot be a session is refused by name', (t) => {
  const { a } = lan();
  const faults: readonly (readonly [Partial<BfdRequest>, RegExp])[] = [
    [{ multiplier: 0 }, /10\.0\.0\.2: a multiplier is a whole number from 1 to 255, and 0 is none/],
    [{ multiplier: 2.5 }, /multiplier/],
    [{ multiplier: 256 }, /multiplier/],
    [{ minTx: 0 }, /minTx is a time from 1 µs/],
    [{ minRx: Number.NaN }, /minRx is a time/],
    [{ minRx: 4_294_968 }, /minRx is a time/],
    [{ local: 0 }, /two addresses/],
  ];
  for (const [fields, message] of faults)
    t.throws(() => a.add('10.0.0.1', '10.0.0.2', fields), { instanceOf: BfdConfigError, message });
  t.deepEqual(a.bfdd.snapshot().sessions, []);
  a.host.kernel.root.bindUdp({ addr: 0, port: 4784 }, () => {});
  t.throws(() => a.add('10.0.0.1', '10.0.0.2', { mode: 'multihop' }), { instanceOf: PortInUseError });
});

test('show bfd sessions prints as BIRD does', (t) => {
  const { net, a } = up();
  a.add('10.0.0.1', '10.0.0.200', { mode: 'multihop' });
  net.advance(1);
  t.deepEqual(a.bfdd.show([]), {
    text: [
      'bfd1:',
      'IP address                Interface  State      Since       Interval  Timeout',
      '10.0.0.2                  eth0       Up         00:00:00      0.050    0.150',
      '10.0.0.200                ---        Down       00:00:05      1.000    0.000',
      '',
    ].join('\n'),
    code: 0,
  });
  const { text } = a.bfdd.show(['sessions', 'all']);
  t.regex(text, /Local timers: +transmit 50 ms, receive 50 ms, multiplier 3/);
  t.regex(text, /Remote: +state Up, No Diagnostic; transmit 50 ms, receive 50 ms, multiplier 3/);
  t.regex(text, /Mode: +multihop, 1 client/);
  t.regex(text, /Remote: +not heard/);
  t.is(a.bfdd.show(['peers']).code, 1);
  t.regex(a.bfdd.show(['sessions', 'all', 'x']).text, /unexpected x; use show bfd sessions \[all\]/);
});

testWithTshark('Wireshark dissects what is sent as it was meant, and finds no fault', async (t) => {
  const { net, a, client } = up();
  net.advance(100);
  a.bfdd.remove(client);
  net.advance(100);
  const packets = packetsOf(net);
  const dump = packets
    .map(
      ({ frame }) => `000000 ${Array.from(frame, (byte) => byte.toString(16).padStart(2, '0')).join(' ')}\n`,
    )
    .join('');
  const dir = await mkdtemp(join(tmpdir(), 'reroute-bfd-'));
  t.teardown(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'dump.txt'), dump);
  const file = join(dir, 'dump.pcap');
  await promisify(execFile)('text2pcap', ['-q', join(dir, 'dump.txt'), file]);
  t.deepEqual(await complaints(file), []);
  const names = [
    'ip.ttl',
    'ip.dsfield.dscp',
    'udp.dstport',
    'udp.checksum.status',
    'bfd.version',
    'bfd.diag',
    'bfd.sta',
    'bfd.flags.p',
    'bfd.flags.f',
    'bfd.detect_time_multiplier',
    'bfd.message_length',
    'bfd.my_discriminator',
    'bfd.your_discriminator',
    'bfd.desired_min_tx_interval',
    'bfd.required_min_rx_interval',
    'bfd.required_min_echo_interval',
  ];
  const fields = names.flatMap((name) => ['-e', name]);
  const checks = ['-o', 'udp.check_checksum:TRUE'];
  const lines = await tshark(file, ...checks, '-T', 'fields', '-E', 'separator=,', ...fields);
  const numbers = lines.map((line) =>
    line.split(',').map((text) => (text === 'True' ? 1 : text === 'False' ? 0 : Number(text))),
  );
  const codes = { AdminDown: 0, Down: 1, Init: 2, Up: 3 };
  t.deepEqual(
    numbers,
    packets.map(({ packet }) => [
      255,
      48,
      3784,
      1,
      1,
      packet.diag,
      codes[packet.state],
      (packet.flags >> 5) & 1,
      (packet.flags >> 4) & 1,
      3,
      24,
      packet.myDiscriminator,
      packet.yourDiscriminator,
      packet.desiredMinTx,
      packet.requiredMinRx,
      0,
    ]),
  );
  t.deepEqual(
    new Set(packets.map(({ packet }) => packet.state)),
    new Set(['Down', 'Init', 'Up', 'AdminDown']),
  );
  t.true(
    packets.some(({ packet }) => packet.flags === 0x20) &&
      packets.some(({ packet }) => packet.flags === 0x10),
  );
});
