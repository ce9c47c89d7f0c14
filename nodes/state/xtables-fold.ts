import type { RecentFacts, XtablesChainFacts, XtablesChange, XtablesEvent } from '../events/xtables.ts';

interface FoldedChain {
  policy: XtablesChainFacts['policy'];
  readonly rules: string[];
}

interface FoldedTable {
  readonly named: Pick<XtablesChainFacts, 'family' | 'table'>;
  readonly chains: Map<string, FoldedChain>;
}

/** Folds what iptables and ip6tables did to the tables of one namespace. */
export class XtablesSlice {
  /** By family and table, in the order of their first use; then by chain. */
  readonly #tables = new Map<string, FoldedTable>();
  readonly #recent = new Map<string, RecentFacts>();

  apply(event: XtablesEvent): void {
    switch (event.type) {
      case 'xtables.changed': {
        const { family, table: name } = event;
        const key = `${family ?? ''} ${name}`;
        const named = family === undefined ? { table: name } : { family, table: name };
        const table = this.#tables.get(key) ?? { named, chains: new Map() };
        this.#tables.set(key, table);
        for (const change of event.changes) applyChange(table.chains, change);
        return;
      }
      case 'recent.added':
        this.#recent.set(`${event.list} ${event.address}`, { list: event.list, address: event.address });
        return;
      case 'recent.removed':
        this.#recent.delete(`${event.list} ${event.address}`);
        return;
      case 'packet.logged':
      case 'packet.nflog':
      case 'packet.trace':
    }
  }

  chains(): XtablesChainFacts[] {
    return [...this.#tables.values()].flatMap(({ named, chains }) =>
      [...chains].map(([chain, { policy, rules }]) => ({ ...named, chain, policy, rules: [...rules] })),
    );
  }

  recent(): RecentFacts[] {
    return [...this.#recent.values()];
  }
}

function applyChange(chains: Map<string, FoldedChain>, change: XtablesChange): void {
  switch (change.op) {
    case 'chain': {
      const known = chains.get(change.chain);
      const policy = change.policy ?? '';
      if (known === undefined) chains.set(change.chain, { policy, rules: [] });
      else known.policy = policy;
      return;
    }
    case 'gone':
      chains.delete(change.chain);
      return;
    case 'rename': {
      const chain = chains.get(change.chain);
      if (chain === undefined) return;
      chains.delete(change.chain);
      chains.set(change.to, chain);
      for (const { rules } of chains.values()) {
        for (const [i, text] of rules.entries()) {
          for (const option of ['-j', '-g']) {
            const old = `${option} ${change.chain}`;
            if (text === old || text.endsWith(` ${old}`))
              rules[i] = `${text.slice(0, text.length - old.length)}${option} ${change.to}`;
          }
        }
      }
      return;
    }
    case 'splice':
      chains.get(change.chain)?.rules.splice(change.at, change.remove, ...change.rules);
  }
}
