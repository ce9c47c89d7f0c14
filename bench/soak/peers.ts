import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../nodes/runtime.ts';
import { type Endpoint, Session, SessionError } from '../bgp/session.ts';
import { KEEPALIVE, openMessage, prefixKey, updateMessage, withdrawMessage } from '../bgp/wire.ts';

/** Where a peer is, and what it is to the target. */
export interface PeerPlace {
  readonly name: string;
  readonly localAddress: string;
  readonly asn: number;
  /** Its next hop in the lab. */
  readonly nextHop: number;
  readonly target: Endpoint;
}

/** One kind of trouble; goes on until the signal. It counts what it has done. */
export interface Trouble {
  readonly name: string;
  readonly what: string;
  readonly peers: number;
  run(place: PeerPlace, random: Random, count: () => void, signal: AbortSignal): Promise<void>;
}

const RETRY = 200;
/** UPDATEs of one burst, and how many are written before the socket is waited for. */
const FLOOD = 20_000;
const FLOOD_CHUNK = 500;
const FLOOD_EVERY = 15_000;

export const TROUBLES: readonly Trouble[] = [
  {
    name: 'churn',
    what: 'announces, changes and withdraws routes, 200 times a second',
    peers: 3,
    run: churn,
  },
  { name: 'flap', what: 'sessions with 200 routes, cut off after 0.5 to 3 s', peers: 4, run: flap },
  {
    name: 'flood',
    what: `bursts of ${FLOOD} UPDATEs, each with attributes of its own`,
    peers: 1,
    run: flood,
  },
  { name: 'deaf', what: 'sessions that never read', peers: 1, run: deaf },
  { name: 'mute', what: 'connections that never send', peers: 1, run: mute },
  { name: 'garbage', what: 'sessions that end in random bytes', peers: 1, run: garbage },
];

function session({ localAddress, asn, nextHop, target }: PeerPlace): Promise<Session> {
  return Session.establish({ localAddress, asn, identifier: nextHop, target });
}

function announcement({ asn, nextHop }: PeerPlace, random: Random, prefixes: readonly number[]): Uint8Array {
  const asPath = [asn, ...Array.from({ length: random.int(1, 5) }, () => random.int(1, 60_000))];
  const communities = Array.from({ length: random.int(0, 4) }, () => random.int(1, 0xfffffffe));
  return updateMessage({ origin: 0, asPath, nextHop, med: random.int(0, 0xffffffff), communities }, prefixes);
}

/** Prefixes of a peer's own and some that all have. */
function prefixes({ asn }: PeerPlace, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const own = i % 2 === 0 ? (asn & 0xff) << 16 : 0;
    return prefixKey((0x14000000 + own + (i << 8)) >>> 0, 24);
  });
}

async function churn(place: PeerPlace, random: Random, count: () => void, signal: AbortSignal) {
  while (!signal.aborted) {
    const up = await session(place);
    const all = prefixes(place, 2_000);
    for (let at = 0; at < all.length; at += 200)
      up.write(announcement(place, random, all.slice(at, at + 200)));
    while (up.error === null && !signal.aborted) {
      await pause(200);
      const some = Array.from({ length: 20 }, () => all[random.int(0, all.length - 1)]!);
      for (const prefix of some) {
        up.write(random.unit() < 0.3 ? withdrawMessage([prefix]) : announcement(place, random, [prefix]));
        count();
      }
      const [first] = some;
      if (first !== undefined) up.write(announcement(place, random, some));
    }
    up.close();
  }
}

async function flap(place: PeerPlace, random: Random, count: () => void, signal: AbortSignal) {
  while (!signal.aborted) {
    const up = await session(place);
    up.write(announcement(place, random, prefixes(place, 200)));
    await pause(random.int(500, 3_000));
    up.close();
    count();
  }
}

async function flood(place: PeerPlace, random: Random, count: () => void, signal: AbortSignal) {
  const all = prefixes(place, 1_000);
  while (!signal.aborted) {
    const up = await session(place);
    while (up.error === null && !signal.aborted) {
      for (let sent = 0; sent < FLOOD && up.error === null; sent += FLOOD_CHUNK) {
        const chunk = Array.from({ length: FLOOD_CHUNK }, (_, i) =>
          announcement(place, random, [all[(sent + i) % all.length]!]),
        );
        up.write(Buffer.concat(chunk));
        // The bench's own memory is not what is measured, and is not to be without bound either.
        await pause(20);
      }
      count();
      await pause(FLOOD_EVERY);
    }
    up.close();
  }
}

/** A bare connection. @throws SessionError if there is none to be had. */
async function socketOf({ localAddress, target }: PeerPlace): Promise<Socket> {
  const socket = connect({ host: target.address, port: target.port, localAddress });
  socket.on('error', () => {});
  const up = new Promise((resolve) => socket.once('connect', () => resolve('up')));
  if ((await Promise.race([up, closed(socket)])) !== 'up') throw new SessionError('no connection');
  return socket;
}

function closed(socket: Socket): Promise<'closed'> {
  return new Promise((resolve) => socket.once('close', () => resolve('closed')));
}

async function deaf(place: PeerPlace, _random: Random, count: () => void, signal: AbortSignal) {
  while (!signal.aborted) {
    const socket = await socketOf(place);
    const gone = closed(socket);
    socket.pause();
    socket.write(openMessage(place.asn, place.nextHop, 240));
    do socket.write(KEEPALIVE);
    while ((await Promise.race([gone, pause(1_000)])) !== 'closed' && !signal.aborted);
    socket.destroy();
    count();
  }
}

async function mute(place: PeerPlace, _random: Random, count: () => void, signal: AbortSignal) {
  const stopped = once(signal, 'abort');
  while (!signal.aborted) {
    const socket = await socketOf(place);
    socket.resume();
    await Promise.race([closed(socket), stopped]);
    socket.destroy();
    count();
    await pause(RETRY);
  }
}

async function garbage(place: PeerPlace, random: Random, count: () => void, signal: AbortSignal) {
  while (!signal.aborted) {
    const up = await session(place);
    const good = announcement(place, random, prefixes(place, 50));
    const bad = good.slice();
    // In the header it ends the session, in the attributes it may be treated as a withdrawal.
    for (let i = 0; i < 4; i++) bad[random.int(0, bad.length - 1)] = random.int(0, 255);
    up.write(good);
    up.write(bad);
    up.write(Uint8Array.from({ length: random.int(1, 4_000) }, () => random.int(0, 255)));
    const deadline = performance.now() + 5_000;
    while (up.error === null && performance.now() < deadline) await pause(20);
    up.close();
    count();
  }
}

/** Runs it again when the target has refused, until the signal. */
export async function persist(
  trouble: Trouble,
  place: PeerPlace,
  random: Random,
  count: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await trouble.run(place, random, count, signal);
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      await pause(RETRY);
    }
  }
}
