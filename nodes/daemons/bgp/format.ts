import type { Session } from '../../../protocols/bgp/session.ts';
import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import type { BgpConfig, BgpNeighbor } from '../../config.ts';

const DAY = 86_400_000;
/** BIRD's `timeformat protocol`: the time of day up to this age, the date beyond, ms. */
const SHORT_AGE = 20 * 3_600_000;

/** `10:20:30`, or `2025-01-02` for what is older than twenty hours. Times are ms since the Unix epoch, in UTC. */
export function since(at: number, now: number): string {
  if (now - at >= SHORT_AGE) return new Date(at).toISOString().slice(0, 10);
  return timeOfDay(at);
}

/** `2025-01-02 10:20:30` */
export function dateTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 10)} ${timeOfDay(at)}`;
}

function timeOfDay(at: number): string {
  const seconds = Math.floor((at % DAY) / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** Names of the protocol instances in BIRD's configuration, which Calico's template makes of the neighbours' addresses. */
export class ProtocolNames {
  readonly #byPeer = new Map<string, string>();

  constructor(config: BgpConfig) {
    for (const neighbor of config.neighbors) this.#byPeer.set(neighbor.name, protocolName(neighbor));
  }

  /** The protocol that speaks with a neighbour. */
  of(peer: string): string {
    return this.#byPeer.get(peer) ?? peer;
  }

  /** The session of a protocol; also by the neighbour's own name. */
  find(name: string, speaker: BgpSpeaker): Session | undefined {
    const byName = speaker.session(name);
    if (byName !== undefined) return byName;
    for (const [peer, protocol] of this.#byPeer) if (protocol === name) return speaker.session(peer);
    return undefined;
  }
}

function protocolName({ name, address, type }: BgpNeighbor): string {
  const suffix = address.replaceAll(/[^A-Za-z0-9]/g, '_');
  switch (type) {
    case 'node-to-node mesh':
      return `Mesh_${suffix}`;
    case 'global':
      return `Global_${suffix}`;
    case 'node specific':
      return `Node_${suffix}`;
    case 'external':
      return name.replaceAll(/[^A-Za-z0-9_]/g, '_');
  }
}

/** BIRD's state of a protocol: up once routes can flow. */
export function protocolState({ state, stopped }: Session): 'up' | 'start' | 'down' {
  if (state === 'Established') return 'up';
  return stopped ? 'down' : 'start';
}

/** BIRD's words for the state of a session, and for the error that ended the last. */
export function protocolInfo(session: Session): { readonly state: string; readonly error: string } {
  const { state, stopped, neighbor, lastError } = session;
  if (stopped) return { state: 'Down', error: '' };
  const passive = neighbor.passive && (state === 'Active' || state === 'Connect');
  return { state: passive ? 'Passive' : state, error: errorText(lastError) };
}

/** `Error: Cease/Administrative Shutdown` is `BGP Error: Administrative shutdown` in BIRD's writing. */
function errorText(error: string): string {
  const [kind, text] = split(error, ': ');
  if (kind === '' || kind === 'Socket') return error;
  const [, detail] = split(text, '/');
  const words = (detail === '' ? text : detail).split(' ');
  const sentence = words.map((word, i) => (i > 0 && /^[A-Z][a-z-]+$/.test(word) ? word.toLowerCase() : word));
  return `${kind === 'Error' ? 'BGP Error' : kind}: ${sentence.join(' ')}`;
}

function split(text: string, at: string): readonly [string, string] {
  const index = text.indexOf(at);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + at.length)];
}
