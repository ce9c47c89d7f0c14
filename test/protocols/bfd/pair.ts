import {
  type BfdState,
  CONTROL_LENGTH,
  ControlPacket,
  readControl,
  writeControl,
} from '../../../protocols/bfd/control.ts';
import type { BfdParameters, BfdRole } from '../../../protocols/bfd/host.ts';
import { BfdSession, SLOW_INTERVAL } from '../../../protocols/bfd/session.ts';
import { type FakeRuntime, FakeWorld } from '../../support/runtime.ts';

export const MS = 1000;
/** 50 ms × 3 */
export const FAST: BfdParameters = { desiredMinTx: 50 * MS, requiredMinRx: 50 * MS, detectMult: 3 };

export interface Sent {
  readonly at: number;
  readonly packet: ControlPacket;
}

/** One end: a session, and what it did. */
export class End {
  readonly session: BfdSession;
  readonly world: FakeWorld;
  readonly rt: FakeRuntime;
  readonly sent: Sent[] = [];
  readonly received: Sent[] = [];
  readonly changes: { readonly at: number; readonly to: BfdState; readonly diag: number }[] = [];
  intervalChanges = 0;
  /** Where its packets go. */
  wire: (packet: ControlPacket) => void = () => {};

  constructor(world: FakeWorld, discriminator: number, parameters: BfdParameters, role: BfdRole = 'active') {
    const rt = world.runtime(discriminator, discriminator);
    this.rt = rt;
    this.world = world;
    this.session = new BfdSession(
      {
        get now() {
          return rt.now;
        },
        random: rt.random,
        timers: rt.timers,
        stateChanged: (_from, to) => {
          this.changes.push({ at: rt.now, to, diag: this.session.diag });
        },
        intervalsChanged: () => {
          this.intervalChanges++;
        },
        transmit: (flags) => {
          const bytes = new Uint8Array(CONTROL_LENGTH);
          writeControl(bytes, 0, this.session, flags);
          const packet = new ControlPacket();
          if (readControl(bytes, 0, bytes.length, packet) !== null)
            throw new Error('sends what is discarded');
          this.sent.push({ at: rt.now, packet });
          this.wire(packet);
        },
      },
      { discriminator, parameters, role, slowInterval: SLOW_INTERVAL },
    );
  }

  take(packet: ControlPacket): void {
    this.received.push({ at: this.rt.now, packet });
    this.session.receive(packet);
  }

  /** A packet made by hand. */
  hear(fields: Partial<ControlPacket>): void {
    this.take(
      Object.assign(new ControlPacket(), {
        state: 'Down',
        detectMult: 3,
        length: CONTROL_LENGTH,
        myDiscriminator: 99,
        yourDiscriminator: this.session.myDiscriminator,
        desiredMinTx: 1_000_000,
        requiredMinRx: 50 * MS,
        ...fields,
      }),
    );
  }

  sentSince(at: number): Sent[] {
    return this.sent.filter((sent) => sent.at >= at);
  }
}

/** Two sessions and the path between them, under one virtual clock. */
export class Pair {
  readonly world = new FakeWorld();
  readonly a: End;
  readonly b: End;
  /** One way, ms. */
  latency = 1;
  /** Whether a packet arrives. */
  passes: (from: End) => boolean = () => true;

  constructor(
    a: BfdParameters = FAST,
    b: BfdParameters = FAST,
    roles: readonly [BfdRole, BfdRole] = ['active', 'active'],
  ) {
    this.a = new End(this.world, 1, a, roles[0]);
    this.b = new End(this.world, 2, b, roles[1]);
    this.#connect(this.a, this.b);
    this.#connect(this.b, this.a);
  }

  #connect(from: End, to: End): void {
    from.wire = (packet) => {
      if (!this.passes(from)) return;
      // As the daemon does: without a discriminator by the addresses, else by the discriminator alone.
      if (packet.yourDiscriminator !== 0 && packet.yourDiscriminator !== to.session.myDiscriminator) return;
      this.world.after(this.latency, () => to.take(packet));
    };
  }

  start(): void {
    this.a.session.start();
    this.b.session.start();
  }

  advance(ms: number): void {
    this.world.advance(ms);
  }

  get states(): readonly [BfdState, BfdState] {
    return [this.a.session.state, this.b.session.state];
  }

  /** Both up, the intervals agreed on, and a while of quiet. */
  static up(a?: BfdParameters, b?: BfdParameters): Pair {
    const pair = new Pair(a, b);
    pair.start();
    pair.advance(5_000);
    return pair;
  }
}
