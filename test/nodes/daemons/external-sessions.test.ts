import test from 'ava';
import { RealSockets } from '../../../nodes/daemons/bgp/external-sessions.ts';
import { Bgpd, type BgpdOptions } from '../../../nodes/daemons/bgpd.ts';
import type { SocketEvent, SocketRequest } from '../../../nodes/machine-io.ts';
import { encodeKeepalive } from '../../../protocols/bgp/header.ts';
import {
  CeaseError,
  ErrorCode,
  encodeNotification,
  notification,
} from '../../../protocols/bgp/notification.ts';
import { encodeOpen } from '../../../protocols/bgp/open.ts';
import { type Host, Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

const WINDOW = 262_144;

interface Fixture {
  readonly net: Network;
  readonly host: Host;
  bgpd: Bgpd;
  readonly requests: SocketRequest[];
  tell(socket: number, event: SocketEvent): void;
  /** The daemon crashes and is started again. */
  restart(): void;
  /** Requests of a type since the last look, oldest first. */
  take<T extends SocketRequest['type']>(type: T): Extract<SocketRequest, { type: T }>[];
  sent(): number;
  state(): string;
}

/** n1 at 10.0.0.1, whose neighbour `far` at 10.0.0.2 is a real daemon. */
function fixture(networks: readonly string[] = []): Fixture {
  const net = new Network();
  const host = net.host('n1');
  net.attach(host, 'lan', 'eth0', '10.0.0.1/24');
  const requests: SocketRequest[] = [];
  const neighbor = {
    name: 'far',
    address: '10.0.0.2',
    localAddress: '10.0.0.1',
    remoteAs: 65002,
    type: 'external',
    routeReflectorClient: false,
    nextHopSelf: false,
    passive: false,
    ttl: 1,
    external: {
      remote: { address: '127.64.0.2', port: 1790 },
      local: '127.64.0.3',
      listen: 1790,
      patience: { opening: 1_000, message: 100 },
    },
  } as const;
  const config = { asn: 65001, routerId: '10.0.0.1', networks, maximumPaths: 1, neighbors: [neighbor] };
  const sockets = new RealSockets((request) => requests.push(request));
  const start = (how: BgpdOptions['start']) => {
    const bgpd = new Bgpd(host.rt, {
      netns: host.kernel.root,
      config,
      timings: timings.bgp,
      sockets,
      start: how,
    });
    host.kernel.onFibChange = () => bgpd.fibChanged();
    host.kernel.onLinkChange = (device) => bgpd.onLinkChange(device);
    bgpd.start();
    return bgpd;
  };
  const made: Fixture = {
    net,
    host,
    bgpd: start('boot'),
    requests,
    tell: (socket, event) => made.bgpd.external(socket, event),
    restart: () => {
      made.bgpd.die();
      made.bgpd = start('forwarding-lost');
    },
    take: (type) => {
      const found = requests.filter((request) => request.type === type);
      requests.splice(0, requests.length, ...requests.filter((request) => request.type !== type));
      return found as Extract<SocketRequest, { type: typeof type }>[];
    },
    sent: () => requests.reduce((sum, each) => sum + (each.type === 'send' ? each.bytes.length : 0), 0),
    state: () => made.bgpd.snapshot().sessions[0]?.state ?? '',
  };
  return made;
}

const OPEN = encodeOpen({
  version: 4,
  asn: 65002,
  holdTime: 90,
  identifier: 0x0a000002,
  capabilities: [{ type: 'multiprotocol', family: { afi: 1, safi: 1 } }],
});

/** Brings the session up on a socket that is connected. */
function establish({ tell }: Fixture, socket: number): void {
  tell(socket, { type: 'data', bytes: OPEN });
  tell(socket, { type: 'data', bytes: encodeKeepalive() });
}

test('the session runs over the shell’s sockets, between the emulated addresses', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  const [connect] = far.take('connect');
  t.deepEqual(connect, { type: 'connect', socket: 1, peer: 'far' });
  far.tell(1, { type: 'connected', localPort: 40_000, remotePort: 1790 });
  establish(far, 1);
  t.is(far.state(), 'Established');
  const [session] = far.bgpd.report().sessions;
  t.is(session?.farEnd, 'external');
  t.is(session?.key, 'a000001:40000-a000002:1790');
  t.is(
    far.take('taken').reduce((sum, { bytes }) => sum + bytes, 0),
    OPEN.length + encodeKeepalive().length,
    'what is worked off is told, for the shell to read on',
  );
});

test('a connection that the daemon opens is taken as one from its emulated address', (t) => {
  const far = fixture();
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  establish(far, -1);
  t.is(far.state(), 'Established');
  t.is(far.bgpd.report().sessions[0]?.key, 'a000001:1790-a000002:50000');
});

test('no more than a window is sent ahead of what the shell has written', (t) => {
  const networks = Array.from(
    { length: 90_000 },
    (_, i) => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`,
  );
  const far = fixture(networks);
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  establish(far, -1);
  const before = far.sent();
  t.is(before, WINDOW);
  t.true(far.bgpd.report().pendingWork > 0, 'what waits is work');
  far.tell(-1, { type: 'written', bytes: 65_536 });
  t.is(far.sent(), before + 65_536);
  let written = 65_536;
  while (far.sent() > written) {
    const more = far.sent() - written;
    written += more;
    far.tell(-1, { type: 'written', bytes: more });
  }
  t.is(far.bgpd.snapshot().adjRibOut.far?.length, networks.length);
  // 4 bytes a prefix, and some for the messages around them.
  t.true(written > networks.length * 4 && written < networks.length * 4.2);
});

test('a pulled cable cuts the real connection, and lets none through', (t) => {
  const far = fixture();
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  establish(far, -1);
  far.requests.length = 0;
  far.host.kernel.setCarrier(0, 'down');
  t.not(far.state(), 'Established');
  t.deepEqual(far.take('close'), [{ type: 'close', socket: -1, how: 'rst' }]);
  far.net.advance(60_000);
  t.deepEqual(far.take('connect'), []);
  far.tell(-2, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_001 });
  t.deepEqual(far.take('close'), [{ type: 'close', socket: -2, how: 'rst' }]);
  far.host.kernel.setCarrier(0, 'up');
  far.net.advance(60_000);
  t.true(far.take('connect').length > 0);
});

test('a daemon that has just spoken is not done; one that has been silent is', (t) => {
  const far = fixture();
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  establish(far, -1);
  t.is(far.bgpd.report().pendingWork, 1);
  far.net.advance(600);
  t.is(far.bgpd.report().pendingWork, 1, 'it has not told its routes yet');
  far.net.advance(600);
  t.is(far.bgpd.report().pendingWork, 0);
});

test('what comes of a socket that is closed is nobody’s', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(1, { type: 'closed', reason: 'Connection refused' });
  far.tell(1, { type: 'data', bytes: OPEN });
  far.tell(7, { type: 'written', bytes: 5 });
  t.not(far.state(), 'Established');
  t.regex(far.bgpd.show(['show', 'protocols', 'all']).text, /Socket: Connection refused/);
});

test('a daemon that crashes loses its real connections; what they still bring is not the next one’s', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(1, { type: 'connected', localPort: 40_000, remotePort: 1790 });
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  far.requests.length = 0;
  far.restart();
  t.deepEqual(
    far.take('close').toSorted((a, b) => a.socket - b.socket),
    [-1, 1].map((socket) => ({ type: 'close', socket, how: 'rst' })),
  );
  far.net.advance(1_000);
  t.deepEqual(far.take('connect'), [{ type: 'connect', socket: 2, peer: 'far' }]);
  far.tell(1, { type: 'closed', reason: 'Connection reset by peer' });
  establish(far, -1);
  t.not(far.state(), 'Established');
  far.tell(2, { type: 'connected', localPort: 40_001, remotePort: 1790 });
  establish(far, 2);
  t.is(far.state(), 'Established');
});

const settled = ({ bgpd }: Fixture) => bgpd.report().sessions[0]?.settled;

/** The next connect, when it is due: the daemon takes the connection and closes it without a word. */
function turnAway({ net, take, tell }: Fixture): void {
  let [connect] = take('connect');
  while (connect === undefined) {
    net.advance(100);
    [connect] = take('connect');
  }
  tell(connect.socket, { type: 'connected', localPort: 40_000, remotePort: 1790 });
  tell(connect.socket, { type: 'closed', reason: 'Connection closed' });
}

test('where nobody listens, one attempt is enough to know it', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(1, { type: 'closed', reason: 'Connection refused' });
  t.true(settled(far));
});

test('a daemon that takes connections and closes them may be in its idle hold time: it is waited for', (t) => {
  const far = fixture();
  turnAway(far);
  t.like(far.bgpd.report().sessions[0], { settled: false, turnedAway: 'yes' });
  turnAway(far);
  t.false(settled(far));
  far.net.advance(5_000);
  const [connect] = far.take('connect');
  far.tell(connect!.socket, { type: 'connected', localPort: 40_001, remotePort: 1790 });
  establish(far, connect!.socket);
  t.is(far.state(), 'Established');
  t.like(far.bgpd.report().sessions[0], { settled: true, turnedAway: 'no' });
});

test('a daemon that has closed connections for longer than that wants none', (t) => {
  const far = fixture();
  turnAway(far);
  const { now } = far.host.rt;
  while (!settled(far)) turnAway(far);
  const waited = far.host.rt.now - now;
  t.true(waited >= timings.bgp.idleHoldMax && waited < timings.bgp.idleHoldMax + 6_000, `${waited}`);
  t.is(far.bgpd.report().sessions[0]?.turnedAway, 'no');
});

test('a daemon that is started anew, and not ready yet, is waited for though it was tried in vain before', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(1, { type: 'closed', reason: 'Connection refused' });
  far.net.advance(100_000);
  for (const { socket } of far.take('connect')) {
    far.tell(socket, { type: 'closed', reason: 'Connection refused' });
  }
  far.net.advance(5_000);
  t.true(settled(far));
  turnAway(far);
  t.false(settled(far));
});

test('a connection that gives way to the other one has not failed', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(1, { type: 'connected', localPort: 40_000, remotePort: 1790 });
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  const { cease } = ErrorCode;
  const bytes = encodeNotification(notification(cease, CeaseError.connectionCollision));
  far.tell(1, { type: 'data', bytes });
  t.false(settled(far), 'the other connection goes on');
  establish(far, -1);
  t.is(far.state(), 'Established');
});

test('when the other one fails as well, the session has been tried in vain', (t) => {
  const far = fixture();
  far.net.advance(1_000);
  far.tell(-1, { type: 'accepted', peer: 'far', localPort: 1790, remotePort: 50_000 });
  const { cease } = ErrorCode;
  const bytes = encodeNotification(notification(cease, CeaseError.connectionRejected));
  far.tell(1, { type: 'closed', reason: 'Connection refused' });
  t.false(settled(far));
  far.tell(-1, { type: 'data', bytes });
  t.true(settled(far));
});
