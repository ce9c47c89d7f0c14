import test from 'ava';
import fc from 'fast-check';
import { seededRandom } from '../../../nodes/random.ts';
import { blake2s } from '../../../protocols/wireguard/blake2s.ts';
import { hash, publicKeyOf } from '../../../protocols/wireguard/crypto.ts';
import { Interface } from '../../../protocols/wireguard/interface.ts';
import { REKEY_AFTER_MESSAGES } from '../../../protocols/wireguard/session.ts';

/** An end with a queue of what it has sent; where a peer is, is a name. */
class End {
  readonly sent: Uint8Array[] = [];
  readonly delivered: string[] = [];
  readonly drops: string[] = [];
  readonly interface: Interface<string>;

  constructor(seed: number, key: Uint8Array) {
    const random = seededRandom(seed);
    this.interface = new Interface<string>({
      mtu: 1420,
      int: (from, to) => random.int(from, to),
      send: (_endpoint, message) => this.sent.push(message),
      deliver: (_peer, packet) =>
        this.delivered.push(Buffer.from(packet).toString('utf8').replace(/\0+$/, '')),
      drop: (reason) => this.drops.push(reason),
      established: () => {},
      differs: (known, from) => known !== from,
      roamed: () => {},
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
