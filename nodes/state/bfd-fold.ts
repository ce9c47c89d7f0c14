import type { BfdEvent, BfdSessionKey } from '../events/bfd.ts';
import type { NodeEvent } from '../events/node.ts';
import { type BfdSessionFacts, type BfdView, bfdSessionName, bfdView } from './bfd-view.ts';

/** The BFD daemon's state from its events alone. */
export class BfdFold {
  readonly #sessions = new Map<string, BfdSessionFacts>();

  apply(event: BfdEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#sessions.clear();
        break;
      case 'bfd.added': {
        const { local, remote, mode, discriminator, transmit } = event;
        this.#sessions.set(bfdSessionName(event), {
          local,
          remote,
          mode,
          discriminator,
          state: 'Down',
          diag: 'No Diagnostic',
          transmit,
          detection: 0,
        });
        break;
      }
      case 'bfd.session': {
        const { to: state, diag, transmit, detection } = event;
        this.#update(event, { state, diag, transmit, detection });
        break;
      }
      case 'bfd.intervals': {
        const { transmit, detection } = event;
        this.#update(event, { transmit, detection });
        break;
      }
      case 'bfd.discarded':
        break;
      case 'bfd.removed':
        this.#sessions.delete(bfdSessionName(event));
        break;
    }
  }

  view(): BfdView {
    return bfdView(this.#sessions.values());
  }

  #update(key: BfdSessionKey, facts: Partial<BfdSessionFacts>): void {
    const name = bfdSessionName(key);
    const session = this.#sessions.get(name);
    if (session !== undefined) this.#sessions.set(name, { ...session, ...facts });
  }
}
