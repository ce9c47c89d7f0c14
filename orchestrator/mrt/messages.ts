import type { BgpConfig } from '../../nodes/config.ts';
import type { BgpEvent } from '../../nodes/events/bgp.ts';
import type { UpdateContext } from '../../protocols/bgp/attribute-decode.ts';
import { HEADER_LENGTH, MessageType } from '../../protocols/bgp/constants.ts';
import { messageType } from '../../protocols/bgp/header.ts';
import { updateContext } from '../../protocols/bgp/negotiate.ts';
import { decodeOpen, type Open } from '../../protocols/bgp/open.ts';
import { u16 } from '../../protocols/bytes.ts';
import { ANY_IP6 } from '../../protocols/ip6.ts';
import { encodeMessage, encodeStateChange, type MrtSession } from '../../protocols/mrt/bgp4mp.ts';
import { parseScoped } from '../../protocols/scoped-address.ts';

type Direction = 'sent' | 'received';

interface PeerOpens {
  sent: Open | null;
  received: Open | null;
}

const MP_REACH = 14;
const MP_UNREACH = 15;
const EXTENDED_LENGTH = 0x10;
const AFI_IPV6 = 2;

/**
 * A node's sessions as BGP4MP_ET records, in the order of its log. How a message is to be read, size of AS numbers and path
 * identifiers (RFC 8050), follows from the OPENs before it.
 */
export class MessageRecords {
  readonly #config: BgpConfig;
  readonly #sessions = new Map<string, MrtSession>();
  readonly #opens = new Map<string, PeerOpens>();

  constructor(config: BgpConfig) {
    this.#config = config;
    for (const { name, address, localAddress, remoteAs } of config.neighbors)
      this.#add(name, address, localAddress, remoteAs);
  }

  /** The record of an event at a time in ms; null for an event that is none of a session. */
  encode(at: number, event: BgpEvent): Uint8Array | null {
    switch (event.type) {
      case 'bgp.session': {
        const { peer, from, to } = event;
        if (to === 'Idle' || to === 'Connect' || to === 'Active') this.#opens.delete(peer);
        const states = { oldState: from, newState: to };
        return encodeStateChange(at, 'microseconds', { session: this.#session(peer), ...states });
      }
      case 'bgp.sent':
        return this.#message(at, event.peer, 'sent', event.message);
      case 'bgp.received':
        return this.#message(at, event.peer, 'received', event.message);
      default:
        return null;
    }
  }

  #message(at: number, peer: string, direction: Direction, message: Uint8Array): Uint8Array {
    const opens = this.#opens.get(peer) ?? { sent: null, received: null };
    this.#opens.set(peer, opens);
    const type = messageType(message);
    if (type === MessageType.open) {
      const decoded = decodeOpen(message.subarray(HEADER_LENGTH));
      opens[direction] = decoded.ok ? decoded.open : null;
    }
    const context = contextOf(opens, direction);
    const known = this.#session(peer, opens.received?.asn);
    const session = { ...known, asSize: context?.asSize ?? known.asSize };
    const isUpdate = type === MessageType.update && context !== null;
    const pathIds = isUpdate ? context.pathIds[updateFamily(message)] : 'none';
    return encodeMessage(at, 'microseconds', { session, direction, pathIds, message });
  }

  /** Of a peer that is not configured by name, a dynamic one, the name is the address. */
  #session(peer: string, asn = 0): MrtSession {
    return this.#sessions.get(peer) ?? this.#add(peer, peer, '', asn);
  }

  #add(name: string, address: string, localAddress: string, peerAs: number): MrtSession {
    const peerAddress = parseScoped(address)?.addr ?? 0;
    const unknown = typeof peerAddress === 'number' ? 0 : ANY_IP6;
    const session = {
      asSize: 4,
      peerAs,
      localAs: this.#config.asn,
      interfaceIndex: 0,
      peerAddress,
      localAddress: parseScoped(localAddress)?.addr ?? unknown,
    } as const;
    if (peerAs !== 0) this.#sessions.set(name, session);
    return session;
  }
}

function contextOf({ sent, received }: PeerOpens, direction: Direction): UpdateContext | null {
  if (sent === null || received === null) return null;
  return direction === 'sent' ? updateContext(received, sent) : updateContext(sent, received);
}

/** The family of an UPDATE's routes: that of its MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 4760), IPv4 without. */
function updateFamily(message: Uint8Array): 'ipv4' | 'ipv6' {
  let at = HEADER_LENGTH;
  if (message.length < at + 2) return 'ipv4';
  at += 2 + u16(message, at);
  if (message.length < at + 2) return 'ipv4';
  const end = Math.min(at + 2 + u16(message, at), message.length);
  at += 2;
  while (at + 4 <= end) {
    const isLong = (message[at]! & EXTENDED_LENGTH) !== 0;
    const type = message[at + 1];
    const value = at + (isLong ? 4 : 3);
    const length = isLong ? u16(message, at + 2) : message[at + 2]!;
    if ((type === MP_REACH || type === MP_UNREACH) && value + 2 <= end) {
      return u16(message, value) === AFI_IPV6 ? 'ipv6' : 'ipv4';
    }
    at = value + length;
  }
  return 'ipv4';
}
