import {
  type BfdState,
  CONTROL_LENGTH,
  type ControlPacket,
  formatDiagnostic,
  writeControl,
} from '../../../protocols/bfd/control.ts';
import type { BfdSessionHost } from '../../../protocols/bfd/host.ts';
import { BfdSession, type SessionDiscard } from '../../../protocols/bfd/session.ts';
import type { BfdSessionKey } from '../../events/bfd.ts';
import type { Runtime, TimerHandle } from '../../runtime.ts';
import type { BfdSessionFacts } from '../../state/bfd-view.ts';
import { type BfdClient, type BfdRequest, type BfdStatus, endsText, mergeRequests } from './request.ts';
import type { BfdSocket } from './transport.ts';

interface Binding {
  readonly request: BfdRequest;
  readonly onState: (status: BfdStatus) => void;
}

export interface PeerOptions {
  readonly discriminator: number;
  readonly socket: BfdSocket;
  /** µs */
  readonly slowInterval: number;
}

/** One session of the daemon's: the protocol machine, its socket, and the clients that share it. */
export class BfdPeer implements BfdSessionHost {
  readonly request: BfdRequest;
  readonly session: BfdSession;
  /** Time of the last change of state, ms. */
  since: number;
  readonly #rt: Runtime;
  readonly #key: BfdSessionKey;
  readonly #socket: BfdSocket;
  readonly #clients = new Map<BfdClient, Binding>();
  /** What has been reported as discarded since the state changed. */
  readonly #discarded = new Set<string>();
  #retiring: TimerHandle | null = null;

  constructor(rt: Runtime, request: BfdRequest, options: PeerOptions) {
    const { discriminator, socket, slowInterval } = options;
    this.#rt = rt;
    this.request = request;
    this.since = rt.now;
    this.#key = { ...endsText(request), mode: request.mode };
    this.#socket = socket;
    this.session = new BfdSession(this, { discriminator, slowInterval, ...mergeRequests([request]) });
    rt.emit({ type: 'bfd.added', ...this.#key, discriminator, transmit: this.session.transmitInterval });
    this.session.start();
  }

  // ---- clients

  get clients(): number {
    return this.#clients.size;
  }

  attach(request: BfdRequest, onState: (status: BfdStatus) => void): BfdClient {
    const status = () => this.#status(this.session.state);
    const client: BfdClient = {
      get status() {
        return status();
      },
    };
    this.#clients.set(client, { request, onState });
    if (this.#retiring !== null) this.#rt.timers.cancel(this.#retiring);
    this.#retiring = null;
    this.#configure();
    this.session.enable();
    return client;
  }

  /** Without clients the session is shut down, and its peer told so for a Detection Time (RFC 5880 §6.8.16). */
  detach(client: BfdClient, forget: () => void): void {
    if (!this.#clients.delete(client)) return;
    if (this.#clients.size > 0) {
      this.#configure();
      return;
    }
    if (this.session.yourDiscriminator === 0) {
      forget();
      return;
    }
    this.session.disable();
    const detection = this.session.detectMult * this.session.transmitInterval;
    this.#retiring = this.#rt.timers.set(this.#rt.now + detection, forget);
  }

  #configure(): void {
    const { parameters, role } = mergeRequests(Array.from(this.#clients.values(), ({ request }) => request));
    this.session.configure(parameters, role);
  }

  /** Ends the session. */
  close(): void {
    if (this.#retiring !== null) this.#rt.timers.cancel(this.#retiring);
    this.session.stop();
    this.#socket.close();
    this.#clients.clear();
    this.#rt.emit({ type: 'bfd.removed', ...this.#key });
  }

  // ---- packets

  /** Whether the peer's packets have a way here. */
  get reachable(): boolean {
    return this.#socket.reachable;
  }

  receive(packet: ControlPacket): SessionDiscard | null {
    return this.session.receive(packet);
  }

  /** Tells once of each reason, until the state changes. */
  reportDiscard(reason: string, text: () => string): void {
    if (this.#discarded.has(reason)) return;
    this.#discarded.add(reason);
    this.#aside(() => this.#rt.emit({ type: 'bfd.discarded', ...this.#key, reason: text() }));
  }

  transmit(flags: number): void {
    const { room } = this.#socket;
    const packet = new Uint8Array(room + CONTROL_LENGTH);
    writeControl(packet, room, this.session, flags);
    this.#socket.send(packet);
  }

  // ---- the session's host

  get now(): number {
    return this.#rt.now;
  }

  get random(): Runtime['random'] {
    return this.#rt.random;
  }

  get timers(): Runtime['timers'] {
    return this.#rt.timers;
  }

  stateChanged(from: BfdState, to: BfdState): void {
    this.since = this.#rt.now;
    this.#discarded.clear();
    const status = this.#status(from);
    const { diag, remoteState, remoteDiag, transmit, detection } = status;
    this.#rt.emit({
      type: 'bfd.session',
      ...this.#key,
      from,
      to,
      diag,
      remoteState,
      remoteDiag,
      transmit,
      detection,
    });
    if (this.#clients.size === 0) return;
    // At the end of the step, when the session's own work is done: a client may ask for anything then.
    this.#rt.timers.set(this.#rt.now, () => {
      for (const client of [...this.#clients.keys()])
        this.#aside(() => this.#clients.get(client)?.onState(status));
    });
  }

  intervalsChanged(): void {
    const { transmitInterval: transmit, detectionTime: detection } = this.session;
    this.#rt.emit({ type: 'bfd.intervals', ...this.#key, transmit, detection });
  }

  // ---- looking

  facts(): BfdSessionFacts {
    const { myDiscriminator, state, diag, transmitInterval, detectionTime } = this.session;
    return {
      ...this.#key,
      discriminator: myDiscriminator,
      state,
      diag: formatDiagnostic(diag),
      transmit: transmitInterval,
      detection: detectionTime,
    };
  }

  #status(from: BfdState): BfdStatus {
    const { session } = this;
    return {
      state: session.state,
      diag: formatDiagnostic(session.diag),
      remoteState: session.remoteState,
      remoteDiag: formatDiagnostic(session.remoteDiag),
      transmit: session.transmitInterval,
      detection: session.detectionTime,
      pathFailed: from === 'Up' && session.state === 'Down' && session.remoteState !== 'AdminDown',
      remoteIndependent: session.remoteIndependent,
    };
  }

  /** What is done in here is no cause of what follows. */
  #aside(run: () => void): void {
    const { cause } = this.#rt;
    run();
    this.#rt.cause = cause;
  }
}
