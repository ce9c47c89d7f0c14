import type { UpdateContext } from '../../protocols/bgp/attribute-decode.ts';
import { AttributeTable, type PathAttributes } from '../../protocols/bgp/attributes.ts';
import { decodeMessage } from '../../protocols/bgp/message.ts';
import type { MpNlri } from '../../protocols/bgp/mp-nlri.ts';
import { updateContext } from '../../protocols/bgp/negotiate.ts';
import type { PrefixKey } from '../../protocols/bgp/nlri.ts';
import type { Open } from '../../protocols/bgp/open.ts';
import { type Update, UpdateDecoder } from '../../protocols/bgp/update.ts';
import type { BestPathFacts, BgpEvent, BgpSessionState } from '../events/bgp.ts';
import type { NodeEvent } from '../events/node.ts';
import { type BgpView, byPeer, compareText, inPrefixOrder, ribRows } from './bgp-view.ts';

type Rib = Map<PrefixKey, PathAttributes>;

interface PeerState {
  state: BgpSessionState;
  /** The OPENs last sent and received: what the session agreed on follows from them. */
  sentOpen: Open | null;
  receivedOpen: Open | null;
  context: UpdateContext | null;
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
        this.#peers.clear();
        this.#best.clear();
        this.#originated.clear();
        break;
      case 'bgp.session':
        this.#session(this.#peer(event.peer), event.from, event.to);
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
      adjRibIn: byPeer(peers.map(([peer, { ribIn }]) => [peer, ribRows(ribIn)])),
      locRib: inPrefixOrder(this.#best.values(), ({ prefix }) => prefix),
      adjRibOut: byPeer(peers.map(([peer, { ribOut }]) => [peer, ribRows(ribOut)])),
      originated: inPrefixOrder(this.#originated, (prefix) => prefix),
    };
  }

  #peer(name: string): PeerState {
    let peer = this.#peers.get(name);
    if (peer === undefined) {
      peer = {
        state: 'Idle',
        sentOpen: null,
        receivedOpen: null,
        context: null,
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
      peer.ribIn.clear();
      peer.ribOut.clear();
    }
    const { sentOpen, receivedOpen } = peer;
    const agreed = to === 'Established' && sentOpen !== null && receivedOpen !== null;
    peer.context = agreed ? updateContext(sentOpen, receivedOpen) : null;
  }

  #message(peer: PeerState, message: Uint8Array, direction: 'sent' | 'received'): void {
    const decoded = decodeMessage(message);
    if (decoded.type === 'open' && decoded.result.ok) {
      if (direction === 'sent') peer.sentOpen = decoded.result.open;
      else peer.receivedOpen = decoded.result.open;
    }
    if (decoded.type !== 'update' || peer.context === null) return;
    const result = this.#decoder.decode(decoded.body, peer.context);
    if (result.action === 'session-reset') return;
    applyUpdate(direction === 'sent' ? peer.ribOut : peer.ribIn, result.update);
  }
}

function applyUpdate(rib: Rib, update: Update): void {
  for (const key of update.withdrawn.keys) rib.delete(key);
  for (const nlri of update.mpWithdrawn) for (const key of ipv4Keys(nlri)) rib.delete(key);
  const { attributes, mpReach } = update;
  if (attributes !== null) for (const key of update.reach.keys) rib.set(key, attributes);
  if (mpReach !== null) for (const key of ipv4Keys(mpReach.reach.nlri)) rib.set(key, mpReach.attributes);
}

function ipv4Keys(nlri: MpNlri): readonly PrefixKey[] {
  return nlri.type === 'ipv4' ? nlri.list.keys : [];
}
