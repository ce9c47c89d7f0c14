import test from 'ava';
import { NodeMachine } from '../../nodes/machine.ts';
import type { NodeInput } from '../../nodes/machine-io.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';

const LAB = `
name: pair
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65001 } }
    r2: { kind: router, bgp: { as: 65002 } }
  links:
    - endpoints: [r1:eth1, r2:eth1]
`;

/** Two machines on one wire that takes a millisecond, and what the second does. */
class Pair {
  readonly machines: NodeMachine[];
  readonly did: string[] = [];
  readonly #wire: { readonly at: number; readonly to: number; readonly input: NodeInput }[] = [];
  now = 0;

  constructor() {
    this.machines = compileLab(LAB, 'pair.yaml').nodes.map((config, i) => {
      const boot = { number: 1, nextSeq: 1, disk: null, carrierDown: [], impaired: {}, cause: 0 };
      return new NodeMachine(config, boot, {
        transmit: (port, frame, cause) => {
          if (i === 1) this.did.push('frame');
          const input = { type: 'frame', port, frame: frame.slice(), cause } as const;
          this.#wire.push({ at: this.now + 1, to: 1 - i, input });
        },
        record: () => {},
        store: () => {},
        reply: () => this.did.push('reply'),
        external: () => {},
        end: (how) => this.did.push(how),
      });
    });
    for (const machine of this.machines) machine.step({ type: 'boot' }, 0);
  }

  established(): boolean {
    return this.machines.every((machine) =>
      machine.report().sessions.every(({ established }) => established),
    );
  }

  /** One event of the wire or of a clock. */
  next(): void {
    const deadlines = this.machines.map((machine) => machine.nextDeadline());
    const frame = this.#wire[0];
    this.now = Math.min(frame?.at ?? Number.POSITIVE_INFINITY, ...deadlines);
    if (frame !== undefined && frame.at === this.now) {
      this.#wire.shift();
      this.machines[frame.to]?.step(frame.input, this.now);
    } else this.machines[deadlines.indexOf(this.now)]?.step({ type: 'time' }, this.now);
  }
}

for (const [command, end] of [
  [{ type: 'crash', how: 'reset' }, 'halt'],
  [{ type: 'stop', reason: 'test' }, 'exit'],
] as const) {
  test(`what a node says as it ends (${command.type}) is sent before it answers: its process may be killed then`, (t) => {
    const pair = new Pair();
    while (!pair.established()) pair.next();
    pair.did.length = 0;
    pair.machines[1]?.step({ type: 'command', id: 'c', command, cause: 0 }, pair.now);
    t.deepEqual([...new Set(pair.did)], ['frame', 'reply', end]);
    t.true(pair.did.lastIndexOf('frame') < pair.did.indexOf('reply'));
  });
}
