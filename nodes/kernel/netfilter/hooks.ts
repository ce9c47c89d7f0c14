import type { Skb } from './skb.ts';

/** The five hooks of the IP layer (`NF_INET_*`), in the order in which a packet can meet them. */
export const NF_PRE_ROUTING = 0;
export const NF_LOCAL_IN = 1;
export const NF_FORWARD = 2;
export const NF_LOCAL_OUT = 3;
export const NF_POST_ROUTING = 4;

export type Hook = 0 | 1 | 2 | 3 | 4;

export const HOOK_NAMES = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const;

/** Who comes first at a hook: the lowest (`enum nf_ip_hook_priorities`). */
export const NF_PRI = {
  conntrackDefrag: -400,
  raw: -300,
  conntrack: -200,
  mangle: -150,
  natDst: -100,
  filter: 0,
  security: 50,
  natSrc: 100,
  conntrackHelper: 300,
  conntrackConfirm: 0x7fffffff,
} as const;

/** 'stolen': whoever said it has the packet now, and sees to it itself. */
export type Verdict = 'accept' | 'drop' | 'stolen';

export type HookFunction = (skb: Skb, hook: Hook) => Verdict;

interface Registered {
  readonly priority: number;
  readonly run: HookFunction;
}

/**
 * What a namespace has registered at its hooks (`nf_register_net_hooks`). Where nothing is, the IP layer passes by without
 * making an `Skb`.
 */
export class NetfilterHooks {
  readonly #hooks: [Registered[], Registered[], Registered[], Registered[], Registered[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  /** Whether anything is registered anywhere. */
  active = false;

  /** Functions of equal priority run in the order they came. */
  register(hook: Hook, priority: number, run: HookFunction): void {
    const list = this.#hooks[hook];
    const at = list.findIndex((other) => other.priority > priority);
    // A packet may be on its way through the list: it goes on through the old one.
    this.#hooks[hook] = list.toSpliced(at < 0 ? list.length : at, 0, { priority, run });
    this.active = true;
  }

  unregister(hook: Hook, run: HookFunction): void {
    this.#hooks[hook] = this.#hooks[hook].filter((other) => other.run !== run);
    this.active = this.#hooks.some((list) => list.length > 0);
  }

  /** Takes a packet through a hook. Whoever says 'drop' has counted it. */
  run(hook: Hook, skb: Skb): Verdict {
    for (const { run } of this.#hooks[hook]) {
      const verdict = run(skb, hook);
      if (verdict !== 'accept') return verdict;
    }
    return 'accept';
  }
}
