import type { DockerContainerFacts } from '../../events/docker.ts';
import type { DockerLedger } from './ledger.ts';
import type { Firewall } from './network/firewall.ts';
import { plainAddress } from './sandbox.ts';

type Rule = readonly [parent: string, child: string, exposed: readonly string[]];

/** What --link opens where icc=false: to the container that has the link, the ports that the other one exposes. */
export class LinkRules {
  readonly #ledger: DockerLedger;
  readonly #firewall: Firewall;
  readonly #bridge: string;
  /** By container that has the links. */
  readonly #rules = new Map<string, readonly Rule[]>();

  constructor(ledger: DockerLedger, firewall: Firewall, bridge: string) {
    this.#ledger = ledger;
    this.#firewall = firewall;
    this.#bridge = bridge;
  }

  started(container: DockerContainerFacts): void {
    const own = addressOf(container);
    const rules = container.links.flatMap((link): Rule[] => {
      const target = this.#ledger.containerById(link.split(':')[0] ?? '');
      const address = target === undefined ? '' : addressOf(target);
      return target === undefined || own === '' || address === '' ? [] : [[own, address, target.exposed]];
    });
    if (rules.length === 0) return;
    this.#rules.set(container.id, rules);
    for (const rule of rules) this.#firewall.link(this.#bridge, ...rule, 'add');
  }

  stopped({ id }: DockerContainerFacts): void {
    for (const rule of this.#rules.get(id) ?? []) this.#firewall.link(this.#bridge, ...rule, 'remove');
    this.#rules.delete(id);
  }
}

function addressOf({ endpoints }: DockerContainerFacts): string {
  return plainAddress(endpoints.find(({ network }) => network === 'bridge'));
}
