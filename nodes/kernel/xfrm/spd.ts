import { familyOf } from '../../../protocols/ip.ts';
import type { XfrmDirection, XfrmPolicyFacts } from '../../events/xfrm.ts';
import { policyKey } from '../../state/xfrm-fold.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import type { XfrmFlow } from './flow.ts';
import { Lifetime } from './lifetime.ts';
import { LifetimeTimers } from './lifetime-timers.ts';
import type { XfrmNotice } from './notice.ts';
import {
  DIRECTION_NUMBER,
  policyFacts,
  selectorFacts,
  selects,
  type XfrmPolicy,
  type XfrmPolicyEntry,
  type XfrmSelector,
} from './policy.ts';

/** The security policy database of a namespace (RFC 4301 §4.4.1, net/xfrm/xfrm_policy.c). */
export class Spd {
  readonly #ns: Netns;
  readonly #policies = new Map<string, XfrmPolicyEntry>();
  readonly #timers: LifetimeTimers;
  readonly #tell: (notice: XfrmNotice) => void;
  /** By direction, in the order in which they are asked. */
  #ordered: Record<XfrmDirection, XfrmPolicyEntry[]> = { in: [], out: [], fwd: [] };
  #index = 0;

  constructor(ns: Netns, tell: (notice: XfrmNotice) => void) {
    this.#ns = ns;
    this.#timers = new LifetimeTimers(ns.kernel.rt);
    this.#tell = tell;
  }

  get size(): number {
    return this.#policies.size;
  }

  /** The newest first, as the kernel lists them. */
  list(): XfrmPolicyEntry[] {
    return [...this.#policies.values()].reverse();
  }

  facts(): XfrmPolicyFacts[] {
    return [...this.#policies.values()].map(({ policy }) => policyFacts(policy));
  }

  /** @throws NetlinkError where there is one of the same direction and selector, or its template makes no sense. */
  set(policy: XfrmPolicy, how: 'add' | 'update'): void {
    const { rt } = this.#ns.kernel;
    validateTemplate(policy);
    const facts = policyFacts(policy);
    const key = policyKey(facts);
    const old = this.#policies.get(key);
    if (how === 'add' && old !== undefined) throw new NetlinkError('RTNETLINK answers: File exists');
    const index = old?.index ?? this.#nextIndex(policy.dir);
    const entry = { policy, index, lifetime: new Lifetime(policy.limits, rt.now) };
    if (old !== undefined) this.#timers.cancel(old.lifetime);
    this.#policies.delete(key);
    this.#policies.set(key, entry);
    this.#order();
    rt.emit({ type: 'xfrm.policy.set', ns: this.#ns.name, policy: facts });
    this.#arm(entry);
    this.#tell({ type: 'policy', how: how === 'update' ? 'updated' : 'new', policy: entry });
  }

  /** `xfrm_gen_index` */
  #nextIndex(dir: XfrmDirection): number {
    const index = this.#index | DIRECTION_NUMBER[dir];
    this.#index += 8;
    return index === 0 ? this.#nextIndex(dir) : index;
  }

  /** @throws NetlinkError */
  remove(named: XfrmSelector & Pick<XfrmPolicy, 'dir'>): void {
    const policy = this.#drop(named);
    if (policy === null) throw new NetlinkError('RTNETLINK answers: No such file or directory');
    this.#tell({ type: 'policy', how: 'deleted', policy });
  }

  #drop(named: XfrmSelector & Pick<XfrmPolicy, 'dir'>): XfrmPolicyEntry | null {
    const name = { dir: named.dir, ...selectorFacts(named) };
    const key = policyKey(name);
    const policy = this.#policies.get(key);
    if (policy === undefined) return null;
    this.#timers.cancel(policy.lifetime);
    this.#policies.delete(key);
    this.#order();
    this.#ns.kernel.rt.emit({ type: 'xfrm.policy.removed', ns: this.#ns.name, ...name });
    return policy;
  }

  /** Whether there is any for a direction. */
  has(dir: XfrmDirection): boolean {
    return this.#ordered[dir].length > 0;
  }

  /** The first that a flow is for (`xfrm_policy_lookup`). */
  find(dir: XfrmDirection, flow: XfrmFlow): XfrmPolicyEntry | undefined {
    return this.#ordered[dir].find(({ policy }) => selects(policy, flow));
  }

  /** The same for a packet, with which the policy is in use. */
  use(dir: XfrmDirection, flow: XfrmFlow): XfrmPolicyEntry | undefined {
    const found = this.find(dir, flow);
    if (found !== undefined && found.lifetime.used === null) {
      found.lifetime.used = this.#ns.kernel.rt.now;
      this.#arm(found);
    }
    return found;
  }

  #order(): void {
    const of = (dir: XfrmDirection) =>
      [...this.#policies.values()]
        .filter(({ policy }) => policy.dir === dir)
        .sort((a, b) => a.policy.priority - b.policy.priority);
    this.#ordered = { in: of('in'), out: of('out'), fwd: of('fwd') };
  }

  /** `xfrm_policy_timer` */
  #arm(entry: XfrmPolicyEntry): void {
    this.#timers.wait(entry.lifetime, (limit) => {
      if (limit === 'hard') this.#drop(entry.policy);
      else {
        entry.lifetime.dying = true;
        this.#arm(entry);
      }
      this.#tell({ type: 'policy-expired', limit, policy: entry });
    });
  }
}

/** `validate_tmpl`. @throws NetlinkError */
function validateTemplate({ dir, src, template }: XfrmPolicy): void {
  if (template === null) return;
  if (template.mode === 'tunnel') {
    if (template.level === 'use' && dir === 'out')
      throw new NetlinkError('Error: Mode in optional template not allowed in outbound policy.');
  } else if (familyOf(template.src) !== familyOf(src.addr))
    throw new NetlinkError("Error: Mode in template doesn't support a family change.");
}
