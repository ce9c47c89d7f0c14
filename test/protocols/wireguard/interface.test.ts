import test from 'ava';
import fc from 'fast-check';
import { seededRandom } from '../../../nodes/random.ts';
import { blake2s } from '../../../protocols/wireguard/blake2s.ts';
import { hash, publicKeyOf } from '../../../protocols/wireguard/crypto.ts';
import { Interface } from '../../../protocols/wireguard/interface.ts';
import { RateLimiter } from '../../../protocols/wireguard/load.ts';
import { REKEY_AFTER_MESSAGES } from '../../../protocols/wireguard/session.ts';

/** An end with a queue of what it has sent; where a peer is, is a name. */
class End {
  readonly sent: Uint8Array[] = [];
  /** What went to others than the peer. */
  readonly elsewhere: Uint8Array[] = [];
  readonly delivered: string[] = [];
  readonly drops: string[] = [];
  readonly interface: Interface<string>;

  constructor(seed: number, key: Uint8Array) {
    const random = seededRandom(seed);
    this.interface = new Interface<string>({
      mtu: 1420,
      int: (from, to) => random.int(from, to),
      send: (endpoint, message) => (endpoint === 'z' ? this.elsewhere : this.sent).push(message),
      deliver: (_peer, packet) =>
        this.delivered.push(Buffer.from(packet).toString('utf8').replace(/\0+$/, '')),
      drop: (reason) => this.drops.push(reason),
      established: () => {},
      differs: (known, from) => known !== from,
      roamed: () => {},
      // 'a', or 'a:7' with another port than 0.
      bytes: (name) => {
        const [host = '', port = '0'] = name.split(':');
        return Uint8Array.of(10, 0, 0, host.charCodeAt(0), 0, Number(port));
      },
    });
    this.interface.setPrivateKey(key);
  }

  get peer() {
    return this.interface.peers[0]!;
  }
}

const keyA = new Uint8Array(32).fill(1);
const keyB = new Uint8Array(32).fill(2);

function pair(): [End, End] {
  const [a, b] = [new End(1, keyA), new End(2, keyB)];
  a.interface.setEndpoint(a.interface.addPeer(publicKeyOf(keyB))!, 'b');
  b.interface.setEndpoint(b.interface.addPeer(publicKeyOf(keyA))!, 'a');
  return [a, b];
}

/** Carries messages to and fro until there are none. */
function exchange(a: End, b: End, now: number): void {
  for (let left = 20; left > 0 && a.sent.length + b.sent.length > 0; left--) {
    const [fromA, fromB] = [a.sent.splice(0), b.sent.splice(0)];
    for (const message of fromA) b.interface.receive(message, 'a', now);
    for (const message of fromB) a.interface.receive(message, 'b', now);
  }
}

const packet = (text: string) => new TextEncoder().encode(text);

test('what waits for a handshake comes through in order, and answers do', (t) => {
  const [a, b] = pair();
  for (const text of ['one', 'two', 'three']) a.peer.transmit(packet(text), 0);
  exchange(a, b, 0);
  b.peer.transmit(packet('four'), 1);
  exchange(a, b, 1);
  t.deepEqual([b.delivered, a.delivered], [['one', 'two', 'three'], ['four']]);
});

test('more than 128 packets do not wait: the oldest go', (t) => {
  const [a, b] = pair();
  for (let i = 0; i < 130; i++) a.peer.transmit(packet(`${i}`), 0);
  exchange(a, b, 0);
  t.is(b.delivered.length, 128);
  t.is(b.delivered[0], '2');
  t.deepEqual(a.drops, ['wireguard-queue', 'wireguard-queue']);
});

test('both begin at once: neither handshake comes to anything, and the next does', (t) => {
  const [a, b] = pair();
  a.peer.transmit(packet('from a'), 0);
  b.peer.transmit(packet('from b'), 0);
  exchange(a, b, 0);
  t.deepEqual([a.delivered, b.delivered], [[], []]);
  for (let now = 1; now < 12_000; now++) {
    for (const end of [a, b]) if (end.peer.due <= now) end.peer.tick(now);
    exchange(a, b, now);
  }
  t.deepEqual([a.delivered, b.delivered], [['from b'], ['from a']]);
});

test('a session of 2^60 packets is renewed whatever its age', (t) => {
  const [a, b] = pair();
  a.peer.transmit(packet('x'), 0);
  exchange(a, b, 0);
  const session = a.peer.session!;
  session.counter = REKEY_AFTER_MESSAGES + 4096;
  a.peer.transmit(packet('y'), 6_000);
  t.deepEqual(
    a.sent.map((message) => message[0]),
    [4, 1],
  );
});

test('no bytes make an interface fail, those with a good first MAC neither', (t) => {
  const [a, b] = pair();
  a.peer.transmit(packet('x'), 0);
  const initiation = a.sent[0]!.slice();
  exchange(a, b, 0);
  a.peer.transmit(packet('y'), 0);
  const data = a.sent.splice(0)[0]!;
  const macKey = hash(packet('mac1----'), publicKeyOf(keyB));
  const before = b.delivered.length;
  fc.assert(
    fc.property(
      fc.constantFrom(initiation, data, initiation.slice(0, 92)),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 40 }),
      (template, changes) => {
        const message = template.slice();
        for (const [at, value] of changes) if (at < message.length && at >= 4) message[at] = value;
        if (template !== data) {
          message[0] = message.length === 92 ? 2 : 1;
          const end = message.length - 32;
          message.set(blake2s(macKey, message.subarray(0, end), 16), end);
        }
        b.interface.receive(message, 'nowhere', 10);
      },
    ),
  );
  t.true(b.delivered.length <= before + 1);
  // Points of small order, which no honest key is.
  const zeros = initiation.slice();
  zeros.fill(0, 8, 40);
  zeros.set(blake2s(macKey, zeros.subarray(0, 116), 16), 116);
  t.is(b.interface.receive(zeros, 'nowhere', 10), null);
  t.is(b.drops.at(-1), 'wireguard-forged');
});

/** So many initiations for an end that are good as far as their first MAC says. */
function flood(end: End, key: Uint8Array, count: number, from: string, now: number): void {
  const message = new Uint8Array(148);
  message[0] = 1;
  message.set(blake2s(hash(packet('mac1----'), publicKeyOf(key)), message.subarray(0, 116), 16), 116);
  for (let i = 0; i < count; i++) end.interface.receive(message, from, now);
}

test('under load an end answers with a cookie, and heeds who shows it', (t) => {
  const [a, b] = pair();
  flood(b, keyB, 511, 'z', 0);
  t.deepEqual([b.drops.at(-1), b.elsewhere.length], ['wireguard-forged', 0]);
  flood(b, keyB, 1, 'z', 0);
  t.deepEqual([b.drops.at(-1), b.elsewhere.length], ['wireguard-load', 1]);
  t.deepEqual([b.elsewhere[0]?.length, b.elsewhere[0]?.[0]], [64, 3]);
  b.drops.splice(0);
  a.peer.transmit(packet('x'), 10);
  const [first] = a.sent;
  exchange(a, b, 10);
  t.deepEqual(b.drops, ['wireguard-load']);
  t.deepEqual(a.drops, []);
  t.true(first!.subarray(132).every((byte) => byte === 0));
  t.deepEqual(b.delivered, []);
  // The next try has the cookie's MAC, and the end is still under load.
  flood(b, keyB, 600, 'z', 5_400);
  a.peer.tick(5_400);
  const [second] = a.sent;
  t.false(second!.subarray(132).every((byte) => byte === 0));
  // From another port it is worth nothing.
  const answers = b.sent.length;
  b.interface.receive(second!.slice(), 'a:7', 5_400);
  t.deepEqual([b.sent.length - answers, b.sent.at(-1)?.[0]], [1, 3]);
  b.sent.splice(0);
  exchange(a, b, 5_400);
  t.deepEqual(b.delivered, ['x']);
});

test('load is over after a second without it', (t) => {
  const [a, b] = pair();
  flood(b, keyB, 600, 'z', 0);
  b.drops.splice(0);
  a.peer.transmit(packet('x'), 1_001);
  exchange(a, b, 1_001);
  t.deepEqual([b.delivered, b.drops], [['x'], []]);
});

test('no more than 4096 handshakes wait', (t) => {
  const [, b] = pair();
  flood(b, keyB, 4_200, 'z', 0);
  t.is(b.elsewhere.length, 4_096 - 511);
});

test('a cookie that is not for what was sent last is dropped, and one is taken once', (t) => {
  const [a, b] = pair();
  flood(b, keyB, 600, 'z', 0);
  a.peer.transmit(packet('x'), 0);
  b.interface.receive(a.sent.splice(0)[0]!, 'a', 0);
  const cookie = b.sent.splice(0)[0]!;
  const forged = cookie.slice();
  forged[40]! ^= 1;
  t.is(a.interface.receive(forged, 'b', 1), null);
  t.is(a.interface.receive(cookie, 'b', 1), a.peer);
  t.is(a.interface.receive(cookie, 'b', 1), null);
  t.deepEqual(a.drops, ['wireguard-cookie', 'wireguard-cookie']);
});

test('under load one address has 5 handshakes at once and 20 a second', (t) => {
  const limiter = new RateLimiter();
  const allowed = (source: string, now: number) => {
    let count = 0;
    while (limiter.allows(source, now)) count++;
    return count;
  };
  t.deepEqual([allowed('a', 0), allowed('a', 0), allowed('b', 0)], [5, 0, 5]);
  t.deepEqual([allowed('a', 49), allowed('a', 100), allowed('a', 10_000)], [0, 2, 5]);
});
