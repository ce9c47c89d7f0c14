import { espCapacity, openEsp, peekEsp } from '../../../protocols/esp.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_IPIP } from '../../../protocols/gre.ts';
import { familyOf, formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { readIp6Cached } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDf, ipDst, ipId, ipSrc, ipTos, ipTtl } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6HopLimit, ip6TrafficClass } from '../../../protocols/ipv6.ts';
import type { XfrmDirection, XfrmPolicyFacts, XfrmStateFacts } from '../../events/xfrm.ts';
import type { TimerHandle } from '../../runtime.ts';
import { policyKey, stateKey } from '../../state/xfrm-fold.ts';
import type { Device } from '../device.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import { EncapPorts } from './encap.ts';
import { flowOf, versionOf, type XfrmFlow } from './flow.ts';
import { type Expiry, Lifetime } from './lifetime.ts';
import {
  DIRECTION_NUMBER,
  isAny,
  policyFacts,
  selectorFacts,
  selects,
  type XfrmPolicy,
  type XfrmPolicyEntry,
  type XfrmSelector,
  type XfrmTemplate,
} from './policy.ts';
import { lengthInFront, PROTO_IPV6, sealPacket, writeHeader } from './seal.ts';
import { XfrmState, type XfrmStateOptions } from './state.ts';

/** What `ip xfrm monitor` is told. */
export type XfrmNotice =
  | { readonly type: 'state'; readonly how: 'new' | 'updated' | 'deleted'; readonly state: XfrmState }
  | { readonly type: 'expired'; readonly limit: Expiry; readonly state: XfrmState }
  | { readonly type: 'policy'; readonly how: 'new' | 'updated' | 'deleted'; readonly policy: XfrmPolicyEntry }
  | { readonly type: 'policy-expired'; readonly limit: Expiry; readonly policy: XfrmPolicyEntry }
  /** A policy wants an association that there is not. */
  | { readonly type: 'acquire'; readonly flow: XfrmFlow; readonly policy: XfrmPolicyEntry }
  | { readonly type: 'flushed'; readonly what: 'state' | 'policy' };

/** A packet of ESP that has come, and what the headers in front of it say. */
interface Arrived {
  readonly device: Device;
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly ttl: number;
  readonly tos: number;
  readonly id: number;
  readonly df: boolean;
  /** Whether it came in UDP. */
  readonly encap: boolean;
  readonly buffer: Uint8Array;
  readonly at: number;
  readonly length: number;
}

/** IPsec of a namespace (net/xfrm): security associations, policies, and what they do to packets of both families. ESP alone. */
export class Xfrm {
  readonly #ns: Netns;
  readonly #states = new Map<string, XfrmState>();
  readonly #policies = new Map<string, XfrmPolicyEntry>();
  readonly #timers = new Map<Lifetime, TimerHandle>();
  readonly #ports: EncapPorts;
  readonly #watchers = new Set<(notice: XfrmNotice) => void>();
  /** By direction, in the order in which they are asked. */
  #ordered: Record<XfrmDirection, XfrmPolicyEntry[]> = { in: [], out: [], fwd: [] };
  /** Through which the packet came that is on its way up (`skb_sec_path`). */
  #path: XfrmState | null = null;
  #id = 0;
  #index = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
    this.#ports = new EncapPorts(ns, (datagram) =>
      this.#receive({
        ...datagram,
        id: 0,
        df: false,
        encap: true,
        buffer: datagram.payload,
        at: 0,
        length: datagram.payload.length,
      }),
    );
  }

  /** Whether there is anything that a packet has to be held against. */
  get active(): boolean {
    return this.#policies.size > 0 || this.#path !== null;
  }

  /** The association that the packet on its way up came through (`skb_sec_path`). */
  get behind(): XfrmState | null {
    return this.#path;
  }

  /** Whether the packet on its way up came sealed, until a policy has been asked about it (`secpath_exists`). */
  get unsealing(): boolean {
    return this.#path !== null;
  }

  // ---- the databases

  /** The newest first, as the kernel lists them. */
  states(): XfrmState[] {
    return [...this.#states.values()].reverse();
  }

  policies(): XfrmPolicyEntry[] {
    return [...this.#policies.values()].reverse();
  }

  stateFacts(): XfrmStateFacts[] {
    return [...this.#states.values()].map((state) => state.facts());
  }

  policyFacts(): XfrmPolicyFacts[] {
    return [...this.#policies.values()].map(({ policy }) => policyFacts(policy));
  }

  /** Tells of what changes, until the function that it returns is called. */
  watch(onNotice: (notice: XfrmNotice) => void): () => void {
    this.#watchers.add(onNotice);
    return () => this.#watchers.delete(onNotice);
  }

  #tell(notice: XfrmNotice): void {
    for (const watcher of this.#watchers) watcher(notice);
  }

  /** @throws NetlinkError where there is one of the same destination and SPI, or none to be updated. */
  setState(options: XfrmStateOptions, how: 'add' | 'update'): void {
    const { rt } = this.#ns.kernel;
    const state = new XfrmState(options, rt.now);
    const facts = state.facts();
    const key = stateKey(facts);
    const old = this.#states.get(key);
    if (how === 'add' && old !== undefined) throw new NetlinkError('RTNETLINK answers: File exists');
    if (how === 'update' && old === undefined) throw new NetlinkError('RTNETLINK answers: No such process');
    if (old !== undefined) this.#disarm(old.lifetime);
    this.#states.delete(key);
    this.#states.set(key, state);
    rt.emit({ type: 'xfrm.state.set', ns: this.#ns.name, state: facts });
    this.#arm(state);
    this.#ports.sync(this.#states.values());
    this.#tell({ type: 'state', how: old === undefined ? 'new' : 'updated', state });
  }

  /** @throws NetlinkError */
  removeState(dst: IpAddress, spi: number): void {
    const name = { dst: formatIp(dst), spi };
    const state = this.#states.get(stateKey(name));
    if (state === undefined) throw new NetlinkError('RTNETLINK answers: No such process');
    this.#forget(state);
    this.#ns.kernel.rt.emit({ type: 'xfrm.state.removed', ns: this.#ns.name, ...name });
    this.#tell({ type: 'state', how: 'deleted', state });
  }

  #forget(state: XfrmState): void {
    this.#states.delete(stateKey({ dst: formatIp(state.options.dst), spi: state.options.spi }));
    this.#disarm(state.lifetime);
    this.#ports.sync(this.#states.values());
  }

  /** @throws NetlinkError where there is one of the same direction and selector, or its template makes no sense. */
  setPolicy(policy: XfrmPolicy, how: 'add' | 'update'): void {
    const { rt } = this.#ns.kernel;
    validateTemplate(policy);
    const facts = policyFacts(policy);
    const key = policyKey(facts);
    const old = this.#policies.get(key);
    if (how === 'add' && old !== undefined) throw new NetlinkError('RTNETLINK answers: File exists');
    const index = old?.index ?? this.#nextIndex(policy.dir);
    const entry = { policy, index, lifetime: new Lifetime(policy.limits, rt.now) };
    if (old !== undefined) this.#disarm(old.lifetime);
    this.#policies.delete(key);
    this.#policies.set(key, entry);
    this.#order();
    rt.emit({ type: 'xfrm.policy.set', ns: this.#ns.name, policy: facts });
    this.#armPolicy(entry);
    this.#tell({ type: 'policy', how: how === 'update' ? 'updated' : 'new', policy: entry });
  }

  /** `xfrm_gen_index` */
  #nextIndex(dir: XfrmDirection): number {
    const index = this.#index | DIRECTION_NUMBER[dir];
    this.#index += 8;
    return index === 0 ? this.#nextIndex(dir) : index;
  }

  /** @throws NetlinkError */
  removePolicy(named: XfrmSelector & Pick<XfrmPolicy, 'dir'>): void {
    const policy = this.#dropPolicy(named);
    if (policy === null) throw new NetlinkError('RTNETLINK answers: No such file or directory');
    this.#tell({ type: 'policy', how: 'deleted', policy });
  }

  #dropPolicy(named: XfrmSelector & Pick<XfrmPolicy, 'dir'>): XfrmPolicyEntry | null {
    const name = { dir: named.dir, ...selectorFacts(named) };
    const key = policyKey(name);
    const policy = this.#policies.get(key);
    if (policy === undefined) return null;
    this.#disarm(policy.lifetime);
    this.#policies.delete(key);
    this.#order();
    this.#ns.kernel.rt.emit({ type: 'xfrm.policy.removed', ns: this.#ns.name, ...name });
    return policy;
  }

  /** All of them at once. */
  flush(what: 'state' | 'policy'): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    if (what === 'policy') for (const { policy } of this.policies()) this.removePolicy(policy);
    else for (const { options } of this.states()) this.removeState(options.dst, options.spi);
    for (const watcher of watchers) this.#watchers.add(watcher);
    this.#tell({ type: 'flushed', what });
  }

  #order(): void {
    const of = (dir: XfrmDirection) =>
      [...this.#policies.values()]
        .filter(({ policy }) => policy.dir === dir)
        .sort((a, b) => a.policy.priority - b.policy.priority);
    this.#ordered = { in: of('in'), out: of('out'), fwd: of('fwd') };
  }

  #policyFor(dir: XfrmDirection, flow: XfrmFlow): XfrmPolicyEntry | undefined {
    const found = this.#ordered[dir].find(({ policy }) => selects(policy, flow));
    if (found !== undefined && found.lifetime.used === null) {
      found.lifetime.used = this.#ns.kernel.rt.now;
      this.#armPolicy(found);
    }
    return found;
  }

  // ---- lifetimes

  #arm(state: XfrmState): void {
    this.#wait(state.lifetime, (expiry) => {
      this.#expire(state, expiry);
      if (expiry === 'soft') this.#arm(state);
    });
  }

  /** `xfrm_policy_timer` */
  #armPolicy(entry: XfrmPolicyEntry): void {
    this.#wait(entry.lifetime, (limit) => {
      if (limit === 'hard') this.#dropPolicy(entry.policy);
      else {
        entry.lifetime.dying = true;
        this.#armPolicy(entry);
      }
      this.#tell({ type: 'policy-expired', limit, policy: entry });
    });
  }

  #wait(lifetime: Lifetime, expired: (expiry: Expiry) => void): void {
    this.#disarm(lifetime);
    const next = lifetime.next();
    if (next === null) return;
    const { rt } = this.#ns.kernel;
    const { cause } = rt;
    // What a timer does is not the packet's that happened to set it.
    rt.cause = Math.abs(cause);
    this.#timers.set(
      lifetime,
      rt.timers.set(next.at, () => expired(next.expiry)),
    );
    rt.cause = cause;
  }

  #disarm(lifetime: Lifetime): void {
    const timer = this.#timers.get(lifetime);
    if (timer !== undefined) this.#ns.kernel.rt.timers.cancel(timer);
    this.#timers.delete(lifetime);
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
  #lives(state: XfrmState): boolean {
    const { lifetime } = state;
    const first = lifetime.used === null;
    const expiry = lifetime.check(this.#ns.kernel.rt.now);
    if (expiry !== null) this.#expire(state, expiry);
    else if (first && (lifetime.limits.softUse !== 0 || lifetime.limits.hardUse !== 0)) this.#arm(state);
    return expiry !== 'hard';
  }

  // ---- out

  /** What a packet that is about to go out is to become (`xfrm_lookup`). */
  #wanted(flow: XfrmFlow): XfrmState | 'plain' | 'drop' {
    const entry = this.#policyFor('out', flow);
    if (entry === undefined) return 'plain';
    if (entry.policy.action === 'block') return 'drop';
    const { template } = entry.policy;
    if (template === null) return 'plain';
    const state = this.#stateFor(template, flow);
    if (state !== null) return state;
    if (template.level === 'use') return 'plain';
    this.#tell({ type: 'acquire', flow, policy: entry });
    return 'drop';
  }

  /** `xfrm_state_find` */
  #stateFor(template: XfrmTemplate, flow: XfrmFlow): XfrmState | null {
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

  /** The association that a packet is to go through as it leaves by a device, which nobody is told of (`dst->xfrm`). */
  ahead(frame: Uint8Array, device: Device): XfrmState | null {
    if (this.#ordered.out.length === 0 || device.conf.disable_xfrm !== 0) return null;
    const flow = flowOf(frame);
    const policy = this.#ordered.out.find((entry) => selects(entry.policy, flow))?.policy;
    const template = policy?.action === 'allow' ? policy.template : null;
    return template === null ? null : this.#stateFor(template, flow);
  }

  /** The most that a packet may have that would find `mtu` bytes on its way were it not transformed. */
  mtu(flow: XfrmFlow, mtu: number): number {
    if (this.#ordered.out.length === 0) return mtu;
    const state = this.#wanted(flow);
    if (typeof state === 'string') return mtu;
    const { suite, mode, dst } = state.options;
    const front = lengthInFront(state);
    if (mode === 'transport') {
      const header = typeof dst === 'number' ? IPV4_HLEN : IPV6_HLEN;
      return espCapacity(suite, mtu - front) + header;
    }
    return espCapacity(suite, this.#outerMtu(dst, mtu) - front);
  }

  #outerMtu(dst: IpAddress, mtu: number): number {
    const ns = this.#ns;
    if (typeof dst === 'number') {
      const path = ns.lookup(dst, 0);
      return path === null ? mtu : ns.pathMtus.of(dst, path);
    }
    const path = ns.ipv6.layer.lookup(dst, 0, null);
    return path === null ? mtu : ns.ipv6.layer.mtuOf(dst, path);
  }

  /** What is to be done with a packet that goes out by a device: the association that seals it. */
  outward(frame: Uint8Array, device: Device): XfrmState | 'plain' | 'drop' {
    if (this.#ordered.out.length === 0 || device.conf.disable_xfrm !== 0) return 'plain';
    const wanted = this.#wanted(flowOf(frame));
    if (wanted === 'drop') this.#ns.kernel.drop('xfrm-out-policy');
    return wanted;
  }

  /** A packet as an association sends it, of its family; null where it sends nothing (`xfrm_output`). */
  seal(frame: Uint8Array, state: XfrmState, device: Device): Uint8Array | null {
    const { kernel, sysctls, ipv6 } = this.#ns;
    if (!this.#lives(state)) {
      kernel.drop('xfrm-expired');
      return null;
    }
    const sequence = state.next();
    if (sequence === null) {
      kernel.drop('xfrm-sequence');
      return null;
    }
    const { spi, mode, dst, encap } = state.options;
    if (kernel.rt.cause < 0) {
      const how = `ESP ${mode} spi ${spiText(spi)}${encap === null ? '' : ' in UDP'} to ${formatIp(dst)}`;
      kernel.tracer.step(this.#ns, { at: 'encapsulate', dev: device.name, how }, frame);
    }
    this.#id = (this.#id + 1) & 0xffff;
    const ttl = typeof dst === 'number' ? sysctls.ipv4.ip_default_ttl : ipv6.sysctls.all.hop_limit;
    return sealPacket(frame, state, sequence, { ttl, id: this.#id }, kernel.rt.random);
  }

  // ---- in

  /** An ESP packet for this host, of either family (`xfrm_input`). */
  receive(device: Device, frame: Uint8Array, at: number): void {
    const length = frame.length - at;
    if (versionOf(frame) === 4)
      this.#receive({
        device,
        src: ipSrc(frame, ETH_HLEN),
        dst: ipDst(frame, ETH_HLEN),
        ttl: ipTtl(frame, ETH_HLEN),
        tos: ipTos(frame, ETH_HLEN),
        id: ipId(frame, ETH_HLEN),
        df: ipDf(frame, ETH_HLEN),
        encap: false,
        buffer: frame,
        at,
        length,
      });
    else
      this.#receive({
        device,
        src: readIp6Cached(frame, ETH_HLEN + IP6_SRC),
        dst: readIp6Cached(frame, ETH_HLEN + IP6_DST),
        ttl: ip6HopLimit(frame, ETH_HLEN),
        tos: ip6TrafficClass(frame, ETH_HLEN),
        id: 0,
        df: false,
        encap: false,
        buffer: frame,
        at,
        length,
      });
  }

  #receive(arrived: Arrived): void {
    const { kernel } = this.#ns;
    const { buffer, at, length, src, dst, device } = arrived;
    const head = peekEsp(buffer, at, length);
    if (head === null) {
      kernel.drop('xfrm-malformed');
      return;
    }
    const state = this.#states.get(stateKey({ dst: formatIp(dst), spi: head.spi }));
    if (state === undefined) {
      kernel.drop('xfrm-no-state');
      return;
    }
    const { suite, mode, spi, encap } = state.options;
    if ((encap !== null) !== arrived.encap) {
      kernel.drop('xfrm-mismatch');
      return;
    }
    const sequence = state.received(head.sequence);
    if (!state.window.mayTake(sequence)) {
      state.replayed++;
      kernel.drop('xfrm-replayed');
      return;
    }
    if (!this.#lives(state)) {
      kernel.drop('xfrm-expired');
      return;
    }
    const opened = openEsp(buffer, at, length, suite, state.high(sequence));
    if (typeof opened === 'string') {
      if (opened === 'forged') state.failed++;
      kernel.drop(`xfrm-${opened}`);
      return;
    }
    state.window.take(sequence);
    const { payload, nextHeader } = opened;
    state.lifetime.count(payload.length);
    const tunnelled = nextHeader === PROTO_IPIP ? 'inet' : nextHeader === PROTO_IPV6 ? 'inet6' : null;
    const inner = mode === 'tunnel' ? tunnelled : familyOf(src);
    if (inner === null || (state.options.inner === 'own' && inner !== familyOf(src))) {
      kernel.drop('xfrm-mode');
      return;
    }
    if (kernel.rt.cause < 0) {
      const how = `ESP ${mode} spi ${spiText(spi)} from ${formatIp(src)}`;
      kernel.tracer.step(this.#ns, { at: 'decapsulate', dev: device.name, how }, null);
    }
    const header = mode === 'tunnel' ? 0 : inner === 'inet' ? IPV4_HLEN : IPV6_HLEN;
    const frame = frameBuffer(ETH_HLEN + header + payload.length);
    writeEthernet(frame, 0, 0, inner === 'inet' ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    frame.set(payload, frame.length - payload.length);
    if (mode === 'transport') writeHeader(frame, nextHeader, arrived);
    this.#path = state;
    if (inner === 'inet') this.#ns.ip.input(device, frame);
    else this.#ns.ipv6.layer.input(device, frame);
    this.#path = null;
  }

  /**
   * Whether a packet may go up or on: as a policy wants it to have come, or, where there is none, not through a tunnel
   * (`__xfrm_policy_check`). To be asked once.
   */
  check(dir: 'in' | 'fwd', frame: Uint8Array, device: Device): boolean {
    const state = this.#path;
    this.#path = null;
    if (device.conf.disable_policy !== 0) return true;
    const policy = this.#policyFor(dir, flowOf(frame))?.policy;
    if (policy === undefined || policy.template === null)
      return policy?.action !== 'block' && state?.options.mode !== 'tunnel';
    if (policy.action === 'block') return false;
    const { template } = policy;
    if (state === null) return template.level === 'use';
    const { options } = state;
    return (
      options.mode === template.mode &&
      (template.reqid === 0 || options.reqid === template.reqid) &&
      (template.spi === 0 || options.spi === template.spi) &&
      (template.mode === 'transport' ||
        ((isAny(template.src) || options.src === template.src) &&
          (isAny(template.dst) || options.dst === template.dst)))
    );
  }
}

/** As `ip xfrm` prints it. */
function spiText(spi: number): string {
  return `0x${spi.toString(16).padStart(8, '0')}`;
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
