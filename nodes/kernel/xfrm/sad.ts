import { familyOf, formatIp, type IpAddress } from '../../../protocols/ip.ts';
import type { XfrmStateFacts } from '../../events/xfrm.ts';
import { stateKey } from '../../state/xfrm-fold.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import type { XfrmFlow } from './flow.ts';
import type { Expiry } from './lifetime.ts';
import { LifetimeTimers } from './lifetime-timers.ts';
import type { XfrmNotice } from './notice.ts';
import { isAny, type XfrmTemplate } from './policy.ts';
import { XfrmState, type XfrmStateOptions } from './state.ts';

/** The security association database of a namespace (RFC 4301 §4.4.2, net/xfrm/xfrm_state.c). */
export class Sad {
  readonly #ns: Netns;
  readonly #states = new Map<string, XfrmState>();
  readonly #timers: LifetimeTimers;
  readonly #tell: (notice: XfrmNotice) => void;
  readonly #changed: (states: Iterable<XfrmState>) => void;

  /** `changed` gets the associations whenever they are others. */
  constructor(ns: Netns, tell: (notice: XfrmNotice) => void, changed: (states: Iterable<XfrmState>) => void) {
    this.#ns = ns;
    this.#timers = new LifetimeTimers(ns.kernel.rt);
    this.#tell = tell;
    this.#changed = changed;
  }

  /** The newest first, as the kernel lists them. */
  list(): XfrmState[] {
    return [...this.#states.values()].reverse();
  }

  facts(): XfrmStateFacts[] {
    return [...this.#states.values()].map((state) => state.facts());
  }

  get(dst: IpAddress, spi: number): XfrmState | undefined {
    return this.#states.get(stateKey({ dst: formatIp(dst), spi }));
  }

  /** @throws NetlinkError where there is one of the same destination and SPI, or none to be updated. */
  set(options: XfrmStateOptions, how: 'add' | 'update'): void {
    const { rt } = this.#ns.kernel;
    const state = new XfrmState(options, rt.now);
    const facts = state.facts();
    const key = stateKey(facts);
    const old = this.#states.get(key);
    if (how === 'add' && old !== undefined) throw new NetlinkError('RTNETLINK answers: File exists');
    if (how === 'update' && old === undefined) throw new NetlinkError('RTNETLINK answers: No such process');
    if (old !== undefined) this.#timers.cancel(old.lifetime);
    this.#states.delete(key);
    this.#states.set(key, state);
    rt.emit({ type: 'xfrm.state.set', ns: this.#ns.name, state: facts });
    this.#arm(state);
    this.#changed(this.#states.values());
    this.#tell({ type: 'state', how: old === undefined ? 'new' : 'updated', state });
  }

  /** @throws NetlinkError */
  remove(dst: IpAddress, spi: number): void {
    const name = { dst: formatIp(dst), spi };
    const state = this.#states.get(stateKey(name));
    if (state === undefined) throw new NetlinkError('RTNETLINK answers: No such process');
    this.#forget(state);
    this.#ns.kernel.rt.emit({ type: 'xfrm.state.removed', ns: this.#ns.name, ...name });
    this.#tell({ type: 'state', how: 'deleted', state });
  }

  #forget(state: XfrmState): void {
    this.#states.delete(stateKey({ dst: formatIp(state.options.dst), spi: state.options.spi }));
    this.#timers.cancel(state.lifetime);
    this.#changed(this.#states.values());
  }

  /** `xfrm_state_find` */
  find(template: XfrmTemplate, flow: XfrmFlow): XfrmState | null {
    const tunnel = template.mode === 'tunnel';
    const from = tunnel && !isAny(template.src) ? template.src : flow.src;
    const to = tunnel ? template.dst : flow.dst;
    const family = familyOf(flow.src);
    for (const state of this.#states.values()) {
      const { options } = state;
      const fits =
        options.src === from &&
        options.dst === to &&
        options.mode === template.mode &&
        options.reqid === template.reqid &&
        (options.inner === 'any' || familyOf(options.src) === family) &&
        (template.spi === 0 || options.spi === template.spi);
      if (fits) return state;
    }
    return null;
  }

  /** `km_state_expired` */
  #expire(state: XfrmState, limit: Expiry): void {
    const { dst, spi } = state.options;
    if (limit === 'soft') state.lifetime.dying = true;
    else this.#forget(state);
    this.#ns.kernel.rt.emit({
      type: 'xfrm.state.expired',
      ns: this.#ns.name,
      dst: formatIp(dst),
      spi,
      limit,
    });
    this.#tell({ type: 'expired', limit, state });
  }

  /** Whether a packet may go through an association still. */
  lives(state: XfrmState): boolean {
    const { lifetime } = state;
    const first = lifetime.used === null;
    const expiry = lifetime.check(this.#ns.kernel.rt.now);
    if (expiry !== null) this.#expire(state, expiry);
    else if (first && (lifetime.limits.softUse !== 0 || lifetime.limits.hardUse !== 0)) this.#arm(state);
    return expiry !== 'hard';
  }

  #arm(state: XfrmState): void {
    this.#timers.wait(state.lifetime, (expiry) => {
      this.#expire(state, expiry);
      if (expiry === 'soft') this.#arm(state);
    });
  }
}
