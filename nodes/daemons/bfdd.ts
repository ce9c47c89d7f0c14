import { formatAuth, readAuth } from '../../protocols/bfd/auth.ts';
import { ControlPacket, readControl } from '../../protocols/bfd/control.ts';
import { SLOW_INTERVAL } from '../../protocols/bfd/session.ts';
import type { IpAddress } from '../../protocols/ip.ts';
import { isLinkLocalAddress } from '../../protocols/scoped-address.ts';
import type { Netns } from '../kernel/netns.ts';
import { PortInUseError } from '../kernel/udp.ts';
import type { Runtime } from '../runtime.ts';
import { type BfdView, bfdView } from '../state/bfd-view.ts';
import { BfdPeer } from './bfd/peer.ts';
import { type BfdClient, type BfdRequest, type BfdStatus, checkRequest } from './bfd/request.ts';
import { showBfd } from './bfd/show.ts';
import {
  BFD_TTL,
  type BfdSocket,
  bfdFamily,
  bindBfd,
  listenBfd,
  realBfd,
  type SendReal,
} from './bfd/transport.ts';
import type { ShellOutput } from './bgp/show.ts';

/** RFC 5881 §4: where the source ports of sessions lie, a port for each. */
const SOURCE_PORT_MIN = 49_152;
const SOURCE_PORT_MAX = 65_535;

export interface BfddOptions {
  /** Least interval of a session that is not up, ms: 1000 (RFC 5880 §6.8.3) unless the lab's time runs faster. */
  readonly slowInterval?: number;
  /** Absent where no neighbour is a real daemon. */
  readonly sendReal?: SendReal;
}

type SessionEnds = Pick<BfdRequest, 'remote' | 'local' | 'mode' | 'device' | 'external'>;

/** A packet as it has come: between which ends, and with which TTL; a real socket does not tell that, it is null. */
interface Arrival {
  readonly ends: SessionEnds;
  readonly ttl: number | null;
  readonly payload: Uint8Array;
}

/**
 * The BFD daemon (RFC 5880, 5881, 5883): sessions in asynchronous mode on the UDP sockets of a namespace, for clients
 * such as BGP. What it discards counts among the kernel's drops as `bfd-…`, and the first for a session is an event.
 */
export class Bfdd {
  readonly #rt: Runtime;
  readonly #netns: Netns;
  readonly #slowInterval: number;
  readonly #sendReal: SendReal;
  readonly #peers = new Map<number, BfdPeer>();
  /** By the peer's address, for packets that do not know our discriminator yet. */
  readonly #byRemote = new Map<IpAddress, BfdPeer[]>();
  readonly #peerOfClient = new Map<BfdClient, BfdPeer>();
  /** By mode and family. */
  readonly #listeners = new Map<string, { close(): void }>();
  readonly #packet = new ControlPacket();

  constructor(rt: Runtime, netns: Netns, options: BfddOptions = {}) {
    this.#rt = rt;
    this.#netns = netns;
    this.#slowInterval = options.slowInterval === undefined ? SLOW_INTERVAL : options.slowInterval * 1000;
    this.#sendReal = options.sendReal ?? (() => {});
  }

  /**
   * A session, shared with whoever asks for the same addresses and mode; the shortest intervals and the smallest multiplier
   * count then. `onState` is called at the end of each step that changes its state, and may call back.
   * @throws BfdConfigError if that is no session, PortInUseError if another process has BFD's port.
   */
  add(request: BfdRequest, onState: (status: BfdStatus) => void): BfdClient {
    checkRequest(request);
    if (request.external === undefined) this.#listen(request);
    return this.#aside(() => {
      const peer = this.#find(request) ?? this.#create(request);
      const client = peer.attach(request, onState);
      this.#peerOfClient.set(client, peer);
      return client;
    });
  }

  /** Does nothing if it is removed already. The session ends with its last client. */
  remove(client: BfdClient): void {
    const peer = this.#peerOfClient.get(client);
    if (peer === undefined) return;
    this.#peerOfClient.delete(client);
    this.#aside(() => peer.detach(client, () => this.#forget(peer)));
  }

  /** Every peer is told that its session is shut down, once. */
  shutdown(): void {
    for (const peer of [...this.#peers.values()]) {
      this.#aside(() => {
        peer.session.disable();
        this.#forget(peer);
      });
    }
    for (const socket of this.#listeners.values()) socket.close();
    this.#listeners.clear();
    this.#peerOfClient.clear();
  }

  /**
   * A real daemon's packet, by a real socket. Nobody tells the TTL that it has come with: that it has not been forwarded
   * (RFC 5881 §5) is not looked at.
   */
  receiveReal(external: string, payload: Uint8Array): void {
    const peer = [...this.#peers.values()].find(({ request }) => request.external === external);
    if (peer === undefined) this.#netns.kernel.drop('bfd-no-session');
    else if (!peer.reachable) this.#netns.kernel.drop('bfd-unreachable');
    else this.#receive({ ends: peer.request, ttl: null, payload });
  }

  snapshot(): BfdView {
    return bfdView(Array.from(this.#peers.values(), (peer) => peer.facts()));
  }

  /** Answers birdc's `show bfd sessions [all]`; `args` are the words after `bfd`. */
  show(args: readonly string[]): ShellOutput {
    return showBfd(args, { peers: [...this.#peers.values()], netns: this.#netns, now: this.#rt.now });
  }

  #listen(request: BfdRequest): void {
    const { mode } = request;
    const family = bfdFamily(request);
    const key = `${mode} ${family}`;
    if (this.#listeners.has(key)) return;
    const listener = listenBfd(
      this.#netns,
      family,
      mode,
      ({ src: remote, dst: local, device, ttl, payload }) =>
        this.#receive({ ends: { remote, local, mode, device: device.name }, ttl, payload }),
    );
    this.#listeners.set(key, listener);
  }

  #create(request: BfdRequest): BfdPeer {
    const { remote, external } = request;
    const peer = new BfdPeer(this.#rt, request, {
      discriminator: this.#discriminator(),
      socket:
        external === undefined
          ? this.#bindSource(request)
          : realBfd(this.#netns, request, external, this.#sendReal),
      slowInterval: this.#slowInterval,
    });
    this.#peers.set(peer.session.myDiscriminator, peer);
    const others = this.#byRemote.get(remote);
    if (others === undefined) this.#byRemote.set(remote, [peer]);
    else others.push(peer);
    return peer;
  }

  #forget(peer: BfdPeer): void {
    const { remote } = peer.request;
    this.#peers.delete(peer.session.myDiscriminator);
    const left = (this.#byRemote.get(remote) ?? []).filter((other) => other !== peer);
    if (left.length === 0) this.#byRemote.delete(remote);
    else this.#byRemote.set(remote, left);
    peer.close();
  }

  /** Random, so that nobody guesses it (RFC 5880 §6.8.1). */
  #discriminator(): number {
    for (;;) {
      const discriminator = this.#rt.random.int(1, 0xffffffff);
      if (!this.#peers.has(discriminator)) return discriminator;
    }
  }

  #bindSource(request: BfdRequest): BfdSocket {
    for (;;) {
      const port = this.#rt.random.int(SOURCE_PORT_MIN, SOURCE_PORT_MAX);
      try {
        return bindBfd(this.#netns, request, port, () => this.#netns.kernel.drop('bfd-no-session'));
      } catch (error) {
        if (!(error instanceof PortInUseError)) throw error;
      }
    }
  }

  #find({ remote, local, mode, device, external }: SessionEnds): BfdPeer | undefined {
    const peers = this.#byRemote.get(remote);
    if (peers === undefined) return undefined;
    // The same link-local address may be on several links.
    const onLink = isLinkLocalAddress(remote);
    for (const peer of peers) {
      const { request } = peer;
      if (request.local !== local || request.mode !== mode || request.external !== external) continue;
      if (!onLink || request.device === device) return peer;
    }
    return undefined;
  }

  /** In the order of RFC 5880 §6.8.6. */
  #receive(arrival: Arrival): void {
    const { payload, ends, ttl } = arrival;
    const packet = this.#packet;
    if (ends.mode === 'single-hop' && ttl !== null && ttl !== BFD_TTL) {
      this.#discard('ttl', arrival);
      return;
    }
    const fault = readControl(payload, 0, payload.length, packet);
    if (fault !== null) {
      this.#discard(fault, arrival);
      return;
    }
    const peer = this.#peerOf(packet, ends);
    if (peer === undefined) {
      this.#discard('no-session', arrival);
      return;
    }
    const refusal = peer.receive(packet);
    if (refusal !== null) this.#discard(refusal, arrival);
  }

  #peerOf(packet: ControlPacket, ends: SessionEnds): BfdPeer | undefined {
    if (packet.yourDiscriminator !== 0) {
      // Nothing but the discriminator counts then (RFC 5880 §6.3), and that the TTL has been looked at where it must.
      const peer = this.#peers.get(packet.yourDiscriminator);
      return peer?.request.mode === ends.mode && peer.request.external === ends.external ? peer : undefined;
    }
    const peer = this.#find(ends);
    const device = peer?.request.device;
    return device === undefined || device === ends.device ? peer : undefined;
  }

  #discard(reason: string, { ends, ttl, payload }: Arrival): void {
    this.#netns.kernel.drop(`bfd-${reason}`);
    const packet = this.#packet;
    this.#find(ends)?.reportDiscard(reason, () => {
      if (reason === 'ttl') return `ttl: ${ttl}, where 255 says that nobody has forwarded the packet`;
      if (reason === 'no-session')
        return `${reason}: no session of this node has the discriminator ${packet.yourDiscriminator}`;
      if (reason !== 'auth-unexpected') return reason;
      const section = readAuth(payload, 0, packet.length);
      return `${reason}: ${formatAuth(section)}, which the session does not use; turn it off at the peer`;
    });
  }

  /** Runs something that emits events without letting them become the cause of what follows. */
  #aside<T>(run: () => T): T {
    const { cause } = this.#rt;
    const result = run();
    this.#rt.cause = cause;
    return result;
  }
}
