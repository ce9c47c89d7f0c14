import type { UpdateContext } from '../../protocols/bgp/attribute-decode.ts';
import { AttributeTable } from '../../protocols/bgp/attribute-table.ts';
import type { PathAttributes } from '../../protocols/bgp/attributes.ts';
import { WellKnown } from '../../protocols/bgp/community.ts';
import { decodeMessage } from '../../protocols/bgp/message.ts';
import { nlriKeys } from '../../protocols/bgp/mp-nlri.ts';
import { updateContext } from '../../protocols/bgp/negotiate.ts';
import { familyOf, formatKey, type PrefixKey } from '../../protocols/bgp/nlri.ts';
import type { Open } from '../../protocols/bgp/open.ts';
import { type Update, UpdateDecoder } from '../../protocols/bgp/update.ts';
import type { BestPathFacts, BgpEvent, BgpSessionState } from '../events/bgp.ts';
import type { NodeEvent } from '../events/node.ts';
import { type BgpView, byPeer, compareText, inPrefixOrder, ribRows } from './bgp-view.ts';

interface Route {
  readonly key: PrefixKey;
  readonly pathId: number;
  readonly attributes: PathAttributes;
  stale: boolean;
}

/** Routes by prefix, and by path identifier where they have one. */
type Rib = Map<PrefixKey, Route>;

interface PeerState {
  state: BgpSessionState;
  /** The OPENs last sent and received: what the session agreed on follows from them. */
  sentOpen: Open | null;
  receivedOpen: Open | null;
  /** What the messages of either direction are read by; null while the session is not established. */
  contexts: { readonly received: UpdateContext; readonly sent: UpdateContext } | null;
  readonly ribIn: Rib;
  readonly ribOut: Rib;
}

/**
 * The BGP speaker's state from its events alone: Adj-RIBs from the messages themselves, Loc-RIB from the changes of
 * best paths. Shares the message codec with the speaker and nothing of its RIBs.
 */
export class BgpFold {
  readonly #decoder = new UpdateDecoder(new AttributeTable());
  readonly #peers = new Map<string, PeerState>();
  readonly #best = new Map<string, BestPathFacts>();
  readonly #originated = new Set<string>();

  apply(event: BgpEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
      case 'bgp.restarted':
        this.#peers.clear();
        this.#best.clear();
        this.#originated.clear();
        break;
      case 'bgp.session':
        this.#session(this.#peer(event.peer), event.from, event.to);
        break;
      case 'bgp.stale':
        applyStale(this.#peer(event.peer).ribIn, event.family, event.what);
        break;
      case 'bgp.vanished':
        this.#peers.delete(event.peer);
        break;
      case 'bgp.notice':
        break;
      case 'bgp.received':
        this.#message(this.#peer(event.peer), event.message, 'received');
        break;
      case 'bgp.sent':
        this.#message(this.#peer(event.peer), event.message, 'sent');
        break;
      case 'bgp.best':
        for (const change of event.changes) {
          if (change.op === 'del') {
            this.#best.delete(change.prefix);
          } else {
            const { op: _op, ...facts } = change;
            this.#best.set(change.prefix, facts);
          }
        }
        break;
      case 'bgp.originated':
        this.#originated.add(event.prefix);
        break;
      case 'bgp.unoriginated':
        this.#originated.delete(event.prefix);
        break;
    }
  }

  view(): BgpView {
    const peers = [...this.#peers].sort(([a], [b]) => compareText(a, b));
    return {
      sessions: peers.map(([peer, { state }]) => ({ peer, state })),
      adjRibIn: byPeer(peers.map(([peer, { ribIn }]) => [peer, ribRows(ribIn.values())])),
      locRib: inPrefixOrder(this.#best.values(), ({ prefix }) => prefix),
      adjRibOut: byPeer(peers.map(([peer, { ribOut }]) => [peer, ribRows(ribOut.values())])),
      originated: inPrefixOrder(this.#originated, (prefix) => prefix),
    };
  }

  /** What each peer has told, with the peer's BGP Identifier, 0 if it has sent no OPEN. */
  tables(): {
    readonly peer: string;
    readonly identifier: number;
    readonly routes: readonly {
      readonly key: PrefixKey;
      readonly pathId: number;
      readonly attributes: PathAttributes;
    }[];
  }[] {
    return Array.from(this.#peers, ([peer, { receivedOpen, ribIn }]) => ({
      peer,
      identifier: receivedOpen?.identifier ?? 0,
      routes: [...ribIn.values()],
    }));
  }

  #peer(name: string): PeerState {
    let peer = this.#peers.get(name);
    if (peer === undefined) {
      peer = {
        state: 'Idle',
        sentOpen: null,
        receivedOpen: null,
        contexts: null,
        ribIn: new Map(),
        ribOut: new Map(),
      };
      this.#peers.set(name, peer);
    }
    return peer;
  }

  #session(peer: PeerState, from: BgpSessionState, to: BgpSessionState): void {
    peer.state = to;
    if (from === 'Established') {
      for (const [id, { stale }] of peer.ribIn) if (!stale) peer.ribIn.delete(id);
      peer.ribOut.clear();
    }
    const { sentOpen, receivedOpen } = peer;
    const agreed = to === 'Established' && sentOpen !== null && receivedOpen !== null;
    peer.contexts = agreed
      ? { received: updateContext(sentOpen, receivedOpen), sent: updateContext(receivedOpen, sentOpen) }
      : null;
  }

  #message(peer: PeerState, message: Uint8Array, direction: 'sent' | 'received'): void {
    const decoded = decodeMessage(message);
    if (decoded.type === 'open' && decoded.result.ok) {
      if (direction === 'sent') peer.sentOpen = decoded.result.open;
      else peer.receivedOpen = decoded.result.open;
    }
    if (decoded.type !== 'update' || peer.contexts === null) return;
    const result = this.#decoder.decode(decoded.body, peer.contexts[direction]);
    if (result.action === 'session-reset') return;
    applyUpdate(direction === 'sent' ? peer.ribOut : peer.ribIn, result.update);
  }
}

type Prefixes = ReturnType<typeof nlriKeys>;

function applyUpdate(rib: Rib, update: Update): void {
  forget(rib, update.withdrawn);
  for (const nlri of update.mpWithdrawn) forget(rib, nlriKeys(nlri));
  const { attributes, mpReach } = update;
  if (attributes !== null) learn(rib, update.reach, attributes);
  if (mpReach !== null) learn(rib, nlriKeys(mpReach.reach.nlri), mpReach.attributes);
}

function forget(rib: Rib, { keys, pathIds }: Prefixes): void {
  for (const [i, key] of keys.entries()) rib.delete(routeId(key, pathIds?.[i] ?? 0));
}

function learn(rib: Rib, { keys, pathIds }: Prefixes, attributes: PathAttributes): void {
  for (const [i, key] of keys.entries()) {
    const pathId = pathIds?.[i] ?? 0;
    rib.set(routeId(key, pathId), { key, pathId, attributes, stale: false });
  }
}

function routeId(key: PrefixKey, pathId: number): PrefixKey {
  return pathId === 0 ? key : `${formatKey(key)} ${pathId}`;
}

function applyStale(rib: Rib, family: 'ipv4' | 'ipv6', what: 'retained' | 'long-lived' | 'swept'): void {
  for (const [id, route] of rib) {
    if (familyOf(route.key) !== family) continue;
    if (what === 'retained') route.stale = true;
    else if (!route.stale) continue;
    else if (what === 'swept' || route.attributes.communities.includes(WellKnown.noLlgr)) rib.delete(id);
  }
}
