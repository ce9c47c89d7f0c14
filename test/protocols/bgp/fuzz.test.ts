import test from 'ava';
import { encodeAttributes } from '../../../protocols/bgp/attribute-encode.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { type AttributeFields, NO_ATTRIBUTES } from '../../../protocols/bgp/attributes.ts';
import type { Capability } from '../../../protocols/bgp/capability.ts';
import type { NeighborConfig, NeighborOptions } from '../../../protocols/bgp/config.ts';
import { FAMILIES } from '../../../protocols/bgp/constants.ts';
import { encodeKeepalive, messageType } from '../../../protocols/bgp/header.ts';
import type { ConnectionId, SpeakerHost, TimerHandle } from '../../../protocols/bgp/host.ts';
import { parseKey } from '../../../protocols/bgp/nlri.ts';
import { encodeNotification, notification } from '../../../protocols/bgp/notification.ts';
import { encodeOpen } from '../../../protocols/bgp/open.ts';
import { encodeRouteRefresh } from '../../../protocols/bgp/route-refresh.ts';
import { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import { encodeEndOfRib, UpdatePacker } from '../../../protocols/bgp/update.ts';
import { BinaryHeap } from '../../../protocols/heap.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { FAST } from './lab.ts';

/**
 * Random, mutated and truncated messages into established sessions of several kinds. `npm run fuzz` is the
 * long run, of a million; `FUZZ_SEED` gives it other dice.
 */
const CASES = Number(process.env.FUZZ_CASES ?? 30_000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** A small fast generator (mulberry32), as a million cases are to take seconds. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Kind {
  readonly name: string;
  readonly asn: number;
  readonly options: Partial<NeighborOptions>;
}

const KINDS: readonly Kind[] = [
  { name: 'external', asn: 65001, options: {} },
  {
    name: 'dual stack with ADD-PATH',
    asn: 65002,
    options: {
      families: ['ipv4', 'ipv6'],
      addPath: 'both',
      gracefulRestart: { restartTime: 5_000, longLivedTime: 5_000 },
    },
  },
  { name: 'client', asn: 65000, options: { routeReflectorClient: true, families: ['ipv4', 'ipv6'] } },
  {
    name: 'limited',
    asn: 65003,
    options: { maximumPrefixes: { limit: 50, restartAfter: 1_000 }, extendedMessages: 'off' },
  },
];

/** A host that keeps nothing but what the invariants need. */
class Host implements SpeakerHost {
  now = 0;
  cause = 0;
  readonly random: { unit(): number };
  readonly closed = new Set<ConnectionId>();
  /** Types of the messages sent since it was last looked at. */
  sentTypes: number[] = [];
  readonly #timers = new BinaryHeap<{ at: number; fire: (() => void) | null }>((a, b) => a.at - b.at);

  constructor(unit: () => number) {
    this.random = { unit };
  }

  readonly timers = {
    set: (at: number, fire: () => void): TimerHandle => {
      const entry = { at, fire };
      this.#timers.push(entry);
      return entry;
    },
    cancel: (timer: TimerHandle): void => {
      (timer as { readonly at: number; fire: (() => void) | null }).fire = null;
    },
  };

  advance(ms: number): void {
    const until = this.now + ms;
    for (let next = this.#timers.peek(); next !== undefined && next.at <= until; next = this.#timers.peek()) {
      this.#timers.pop();
      this.now = Math.max(this.now, next.at);
      next.fire?.();
    }
    this.now = until;
  }

  connect(): void {}
  send(_id: ConnectionId, bytes: Uint8Array): number {
    return bytes.length;
  }
  close(id: ConnectionId): void {
    this.closed.add(id);
  }
  linkTo(): null {
    return null;
  }

  resolveNexthop(): { readonly metric: number } {
    return { metric: 0 };
  }
  installRoutes(): void {}
  sessionChanged(): void {}
  received(): void {}
  sent(_peer: string, message: Uint8Array): void {
    this.sentTypes.push(messageType(message));
  }
  bestChanged(): void {}
  originated(): void {}
  unoriginated(): void {}
  stale(): void {}
  vanished(): void {}
  notice(): void {}
}

class Fuzz {
  readonly host: Host;
  readonly speaker: BgpSpeaker;
  readonly #unit: () => number;
  readonly #ids = new Map<number, ConnectionId>();
  readonly #corpus: readonly Uint8Array[];
  /** Connections on which a message had another length than it said: what follows is cut at other places. */
  readonly #misaligned = new Set<ConnectionId>();

  constructor(seed: number) {
    this.#unit = generator(seed);
    this.host = new Host(generator(seed + 1));
    const neighbors = KINDS.map(
      ({ asn, options }, i): NeighborConfig => ({
        name: `p${i}`,
        address: formatIp4((10 << 24) + i + 1),
        localAddress: '10.0.0.254',
        remoteAs: asn,
        routeReflectorClient: false,
        nextHopSelf: false,
        passive: true,
        ttl: 1,
        ...options,
      }),
    );
    const damping = { halfLife: 10_000, suppress: 3_000, maxSuppress: 40_000 };
    const config = {
      asn: 65000,
      routerId: '10.0.0.254',
      clusterId: '9.9.9.9',
      networks: ['10.99.0.0/16', '2001:db8:99::/48'],
      maximumPaths: 4,
      neighbors,
      damping,
    };
    this.speaker = new BgpSpeaker(config, FAST, this.host);
    this.speaker.start();
    this.#corpus = corpus();
  }

  #int(below: number): number {
    return Math.floor(this.#unit() * below);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#int(list.length)]!;
  }

  /** Brings a session up, whatever it takes. */
  #establish(peer: number): ConnectionId {
    const session = this.speaker.session(`p${peer}`)!;
    const known = this.#ids.get(peer);
    if (known !== undefined && session.state === 'Established' && !this.host.closed.has(known)) return known;
    for (let tries = 0; tries < 20; tries++) {
      this.speaker.startPeer(`p${peer}`);
      this.host.advance(FAST.idleHoldMax + 2_000);
      const address = (10 << 24) + peer + 1;
      const id = this.speaker.admit(address);
      if (id === null) continue;
      this.#ids.set(peer, id);
      this.speaker.tcpAccepted(
        id,
        { addr: parseIp4('10.0.0.254')!, port: 179 },
        { addr: address, port: 40_000 },
      );
      const { asn, options } = KINDS[peer]!;
      const families = (options.families ?? ['ipv4']).map((name) => FAMILIES[name]);
      const capabilities: Capability[] = [
        ...families.map((family): Capability => ({ type: 'multiprotocol', family })),
        { type: 'route-refresh' },
        { type: 'enhanced-route-refresh' },
        { type: 'four-octet-as', asn },
        { type: 'extended-message' },
        {
          type: 'graceful-restart',
          restarting: false,
          notification: true,
          time: 5,
          families: families.map((family) => ({ family, forwardingPreserved: true })),
        },
        { type: 'add-path', families: families.map((family) => ({ family, mode: 'both' })) },
      ];
      this.speaker.tcpData(
        id,
        encodeOpen({ version: 4, asn, holdTime: 0, identifier: address, capabilities }),
      );
      this.speaker.tcpData(id, encodeKeepalive());
      if (session.state === 'Established') return id;
    }
    throw new Error(`p${peer} does not come up: ${session.state}, ${session.lastError}`);
  }

  /** One case; what was wrong, or null. */
  step(): string | null {
    const peer = this.#int(KINDS.length);
    const id = this.#establish(peer);
    const session = this.speaker.session(`p${peer}`)!;
    this.host.sentTypes = [];
    const message = this.#mutate(this.#pick(this.#corpus));
    const cut = this.#unit() < 0.2 ? this.#int(message.length) : 0;
    if (cut > 0) this.speaker.tcpData(id, message.subarray(0, cut));
    if (!this.host.closed.has(id)) this.speaker.tcpData(id, message.subarray(cut));
    if ((((message[16] ?? 0) << 8) | (message[17] ?? 0)) !== message.length) this.#misaligned.add(id);
    const said = this.host.sentTypes.includes(3) || isNotification(message) || this.#misaligned.has(id);
    if (session.state !== 'Established' && !said) {
      return `the session ended without a NOTIFICATION on ${Buffer.from(message).toString('hex')}`;
    }
    if (session.ribIn.size > 60_000) return `${session.ribIn.size} paths of one peer`;
    if (this.#unit() < 0.01) this.host.advance(this.#int(8_000));
    // A stream that waits for the rest of a message would swallow what follows.
    if (this.#unit() < 0.02 && session.state === 'Established') {
      this.host.closed.add(id);
      this.speaker.tcpClosed(id, 'Connection reset by peer');
    }
    return null;
  }

  #mutate(original: Uint8Array): Uint8Array {
    const bytes = original.slice();
    switch (this.#int(8)) {
      case 0:
        return bytes;
      case 1:
        for (let n = 1 + this.#int(4); n > 0; n--)
          bytes[19 + this.#int(Math.max(1, bytes.length - 19))] = this.#int(256);
        return bytes;
      case 2:
        bytes[this.#int(bytes.length)] = this.#pick([0, 1, 2, 3, 4, 14, 15, 17, 32, 64, 127, 128, 192, 255]);
        return bytes;
      case 3:
        return relength(bytes.subarray(0, 19 + this.#int(Math.max(1, bytes.length - 18))));
      case 4: {
        const other = this.#pick(this.#corpus);
        const from = 19 + this.#int(Math.max(1, other.length - 19));
        return relength(
          Buffer.concat([bytes.subarray(0, 19 + this.#int(bytes.length - 18)), other.subarray(from)]),
        );
      }
      case 5: {
        const junk = Uint8Array.from({ length: this.#int(60) }, () => this.#int(256));
        return relength(Buffer.concat([bytes, junk]));
      }
      case 6: {
        const body = Uint8Array.from({ length: this.#int(200) }, () => this.#int(256));
        const head = bytes.slice(0, 19);
        head[18] = 1 + this.#int(6);
        return relength(Buffer.concat([head, body]));
      }
      default: {
        // Attributes with other flags, types and lengths.
        const at = 23 + this.#int(Math.max(1, bytes.length - 23));
        bytes[at] = this.#pick([0x00, 0x40, 0x80, 0xc0, 0xe0, 0x50, 0x90, 0xd0, 0xff]);
        if (at + 1 < bytes.length) bytes[at + 1] = this.#int(40);
        if (at + 2 < bytes.length && this.#unit() < 0.5) bytes[at + 2] = this.#int(256);
        return bytes;
      }
    }
  }
}

function isNotification(message: Uint8Array): boolean {
  return message[18] === 3;
}

function relength(bytes: Uint8Array): Uint8Array {
  const whole =
    bytes.length < 19 ? Buffer.concat([bytes, new Uint8Array(19 - bytes.length)]) : Uint8Array.from(bytes);
  new DataView(whole.buffer, whole.byteOffset).setUint16(16, whole.length);
  return whole;
}

/** A message of every kind, and UPDATEs with every attribute. */
function corpus(): Uint8Array[] {
  const table = new AttributeTable();
  const packer = new UpdatePacker();
  const messages: Uint8Array[] = [];
  const sequence = (...asns: number[]): AttributeFields['asPath'] => [{ type: 'sequence', asns }];
  const sets: readonly Partial<AttributeFields>[] = [
    { asPath: sequence(65001) },
    { asPath: sequence(65001, 4_200_000_000), med: 5, communities: [0xffffff01, 65000 * 65536 + 1] },
    {
      asPath: [...sequence(65002, 7), { type: 'set', asns: [8, 9] }],
      aggregator: { asn: 9, address: 1 },
      atomicAggregate: true,
    },
    { asPath: [], localPref: 200, originatorId: 77, clusterList: [1, 2, 3] },
    { asPath: sequence(65003), largeCommunities: [[1, 2, 3]], extendedCommunities: [[0x00020001, 2]] },
    { asPath: sequence(65000, 65001), unknown: [{ flags: 0xe0, type: 99, value: new Uint8Array(300) }] },
  ];
  const prefixes = [
    '10.1.0.0/16',
    '10.2.3.0/24',
    '0.0.0.0/0',
    '192.0.2.1/32',
    '2001:db8::/32',
    '::/0',
    '2001:db8:1:2::/127',
  ].map((text) => parseKey(text)!);
  for (const pathIds of ['none', 'present'] as const) {
    const context = { asSize: 4, pathIds: { ipv4: pathIds, ipv6: pathIds }, maxMessage: 4096 } as const;
    for (const fields of sets) {
      for (const family of ['ipv4', 'ipv6'] as const) {
        const hops =
          family === 'ipv4'
            ? { nextHop: 0x0a000001, nextHop6: null }
            : { nextHop: null, nextHop6: '\x20'.repeat(16) };
        packer.begin(table.intern({ ...NO_ATTRIBUTES, ...fields, ...hops }), context);
        for (const [i, key] of prefixes.entries()) packer.add(key, i);
        if (family === 'ipv6') {
          packer.begin(table.intern({ ...NO_ATTRIBUTES, ...fields, ...hops }), context);
          for (const key of prefixes) if (typeof key === 'string') packer.add(key, 3);
        }
        messages.push(packer.finish());
      }
    }
    packer.begin(null, context);
    for (const key of prefixes) if (typeof key === 'number') packer.add(key, 2);
    messages.push(packer.finish());
    packer.begin(null, context);
    for (const key of prefixes) if (typeof key === 'string') packer.add(key, 2);
    messages.push(packer.finish());
  }
  const long = encodeAttributes(
    { ...NO_ATTRIBUTES, nextHop: 1, asPath: sequence(...Array.from({ length: 200 }, (_, i) => i + 1)) },
    2,
  );
  messages.push(
    relength(
      Buffer.concat([
        encodeEndOfRib('ipv4').subarray(0, 21),
        Uint8Array.of(long.length >> 8, long.length & 255),
        long,
        Uint8Array.of(8, 10),
      ]),
    ),
    encodeEndOfRib('ipv4'),
    encodeEndOfRib('ipv6'),
    encodeKeepalive(),
    encodeNotification(notification(6, 2, Uint8Array.of(3, 65, 66, 67))),
    encodeOpen({ version: 4, asn: 65001, holdTime: 90, identifier: 5, capabilities: [] }),
  );
  for (const family of [FAMILIES.ipv4, FAMILIES.ipv6, { afi: 25, safi: 70 }]) {
    for (const subtype of [0, 1, 2, 3]) messages.push(encodeRouteRefresh({ family, subtype }));
  }
  return messages;
}

test(`${CASES} random, mutated and truncated messages: no error escapes, every end of a session is said, memory is bounded`, (t) => {
  const fuzz = new Fuzz(SEED);
  for (let i = 0; i < CASES; i++) {
    const wrong = fuzz.step();
    if (wrong !== null) return t.fail(`case ${i} of seed ${SEED}: ${wrong}`);
  }
  const { stats } = fuzz.speaker;
  // The cases are of use only if most of them get through to the tables.
  t.true(stats.updatesReceived > CASES / 4, `${stats.updatesReceived} UPDATEs`);
  t.true(stats.decisions > CASES / 100, `${stats.decisions} decisions`);
  t.true(process.memoryUsage().heapUsed < 600_000_000);
});
