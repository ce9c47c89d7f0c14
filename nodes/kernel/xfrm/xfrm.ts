import { espCapacity, espLength, openEsp, PROTO_ESP, peekEsp, sealEsp } from '../../../protocols/esp.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_IPIP } from '../../../protocols/gre.ts';
import { formatIp4, formatPrefix, type Prefix, prefixContains } from '../../../protocols/ip4.ts';
import {
  IPV4_HLEN,
  ipDf,
  ipDst,
  ipHeaderLength,
  ipId,
  ipProto,
  ipSrc,
  ipTos,
  ipTtl,
  writeIpv4Header,
} from '../../../protocols/ipv4.ts';
import type { XfrmDirection, XfrmMode, XfrmPolicyFacts, XfrmStateFacts } from '../../events/xfrm.ts';
import { policyKey, stateKey } from '../../state/xfrm-fold.ts';
import type { Device } from '../device.ts';
import { NetlinkError } from '../netlink.ts';
import type { Netns } from '../netns.ts';
import { XfrmState, type XfrmStateOptions } from './state.ts';

export interface XfrmTemplate {
  /** 0: any; the packet's own in transport mode. */
  readonly src: number;
  readonly dst: number;
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  readonly level: 'required' | 'use';
}

export interface XfrmPolicy {
  readonly dir: XfrmDirection;
  readonly src: Prefix;
  readonly dst: Prefix;
  /** 0: any. */
  readonly proto: number;
  readonly action: 'allow' | 'block';
  readonly priority: number;
  /** One at most. */
  readonly template: XfrmTemplate | null;
}

/** What a policy wants of a packet that is about to go out. */
type Wanted = { readonly template: XfrmTemplate; readonly state: XfrmState } | 'plain' | 'drop';

function policyFacts(policy: XfrmPolicy): XfrmPolicyFacts {
  const { dir, src, dst, proto, action, priority, template } = policy;
  const templates =
    template === null ? [] : [{ ...template, src: formatIp4(template.src), dst: formatIp4(template.dst) }];
  return { dir, src: formatPrefix(src), dst: formatPrefix(dst), proto, action, priority, templates };
}

/** IPsec of a namespace (net/xfrm): security associations, policies, and what they do to packets. ESP of IPv4. */
export class Xfrm {
  readonly #ns: Netns;
  readonly #states = new Map<string, XfrmState>();
  readonly #policies = new Map<string, XfrmPolicy>();
  /** By direction, in the order in which they are asked. */
  #ordered: Record<XfrmDirection, XfrmPolicy[]> = { in: [], out: [], fwd: [] };
  /** Through which the packet came that is on its way up (`skb_sec_path`). */
  #path: XfrmState | null = null;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Whether there is anything that a packet has to be held against. */
  get active(): boolean {
    return this.#policies.size > 0 || this.#path !== null;
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

  policies(): XfrmPolicy[] {
    return [...this.#policies.values()].reverse();
  }

  stateFacts(): XfrmStateFacts[] {
    return [...this.#states.values()].map((state) => state.facts());
  }

  policyFacts(): XfrmPolicyFacts[] {
    return [...this.#policies.values()].map(policyFacts);
  }

  /** @throws NetlinkError where there is one of the same destination and SPI, or none to be updated. */
  setState(options: XfrmStateOptions, how: 'add' | 'update'): void {
    const state = new XfrmState(options);
    const facts = state.facts();
    const key = stateKey(facts);
    if (how === 'add' && this.#states.has(key)) throw new NetlinkError('RTNETLINK answers: File exists');
    if (how === 'update' && !this.#states.has(key))
      throw new NetlinkError('RTNETLINK answers: No such process');
    this.#states.delete(key);
    this.#states.set(key, state);
    this.#ns.kernel.rt.emit({ type: 'xfrm.state.set', ns: this.#ns.name, state: facts });
  }

  /** @throws NetlinkError */
  removeState(dst: number, spi: number): void {
    const name = { dst: formatIp4(dst), spi };
    if (!this.#states.delete(stateKey(name))) throw new NetlinkError('RTNETLINK answers: No such process');
    this.#ns.kernel.rt.emit({ type: 'xfrm.state.removed', ns: this.#ns.name, ...name });
  }

  /** @throws NetlinkError where there is one of the same direction and selector. */
  setPolicy(policy: XfrmPolicy, how: 'add' | 'update'): void {
    const facts = policyFacts(policy);
    const key = policyKey(facts);
    if (how === 'add' && this.#policies.has(key)) throw new NetlinkError('RTNETLINK answers: File exists');
    this.#policies.delete(key);
    this.#policies.set(key, policy);
    this.#order();
    this.#ns.kernel.rt.emit({ type: 'xfrm.policy.set', ns: this.#ns.name, policy: facts });
  }

  /** @throws NetlinkError */
  removePolicy(policy: Pick<XfrmPolicy, 'dir' | 'src' | 'dst' | 'proto'>): void {
    const { dir, proto } = policy;
    const name = { dir, src: formatPrefix(policy.src), dst: formatPrefix(policy.dst), proto };
    if (!this.#policies.delete(policyKey(name)))
      throw new NetlinkError('RTNETLINK answers: No such file or directory');
    this.#order();
    this.#ns.kernel.rt.emit({ type: 'xfrm.policy.removed', ns: this.#ns.name, ...name });
  }

  #order(): void {
    const of = (dir: XfrmDirection) =>
      [...this.#policies.values()]
        .filter((policy) => policy.dir === dir)
        .sort((a, b) => a.priority - b.priority);
    this.#ordered = { in: of('in'), out: of('out'), fwd: of('fwd') };
  }

  #policyFor(dir: XfrmDirection, src: number, dst: number, proto: number): XfrmPolicy | undefined {
    return this.#ordered[dir].find(
      (policy) =>
        (policy.proto === 0 || policy.proto === proto) &&
        prefixContains(policy.src, src) &&
        prefixContains(policy.dst, dst),
    );
  }

  // ---- out

  /** `xfrm_lookup`, `xfrm_state_find` */
  #wanted(src: number, dst: number, proto: number): Wanted {
    const policy = this.#policyFor('out', src, dst, proto);
    if (policy === undefined) return 'plain';
    if (policy.action === 'block') return 'drop';
    const { template } = policy;
    if (template === null) return 'plain';
    const [from, to] = template.mode === 'tunnel' ? [template.src, template.dst] : [src, dst];
    for (const state of this.#states.values()) {
      const { options } = state;
      const fits =
        options.dst === to &&
        (from === 0 || options.src === from) &&
        options.mode === template.mode &&
        options.reqid === template.reqid &&
        (template.spi === 0 || options.spi === template.spi);
      if (fits) return { template, state };
    }
    return template.level === 'use' ? 'plain' : 'drop';
  }

  /** The most that a packet may have that would find `mtu` bytes on its way were it not transformed. */
  mtu(src: number, dst: number, proto: number, mtu: number): number {
    if (this.#ordered.out.length === 0) return mtu;
    const wanted = this.#wanted(src, dst, proto);
    if (typeof wanted === 'string') return mtu;
    const { suite, mode, dst: end } = wanted.state.options;
    if (mode === 'transport') return espCapacity(suite, mtu - IPV4_HLEN) + IPV4_HLEN;
    const path = this.#ns.lookup(end, 0);
    const outer = path === null ? mtu : this.#ns.pathMtus.of(end, path);
    return espCapacity(suite, outer - IPV4_HLEN);
  }

  /**
   * What is to be sent in place of a packet: itself where no policy wants it transformed, another, or nothing
   * (`xfrm_output`).
   */
  output(frame: Uint8Array, device: Device): Uint8Array | null {
    if (this.#ordered.out.length === 0 || device.conf.disable_xfrm !== 0) return frame;
    const wanted = this.#wanted(ipSrc(frame, ETH_HLEN), ipDst(frame, ETH_HLEN), ipProto(frame, ETH_HLEN));
    if (wanted === 'plain') return frame;
    const { kernel } = this.#ns;
    if (wanted === 'drop') {
      kernel.drop('xfrm-out-policy');
      return null;
    }
    const { state } = wanted;
    const sequence = state.next();
    if (sequence === null) {
      kernel.drop('xfrm-sequence');
      return null;
    }
    const { suite, spi, mode, src, dst } = state.options;
    if (kernel.rt.cause < 0) {
      const how = `ESP ${mode} spi 0x${spi.toString(16)} to ${formatIp4(dst)}`;
      kernel.tracer.step(this.#ns, { at: 'encapsulate', dev: device.name, how }, frame);
    }
    const tunnel = mode === 'tunnel';
    const from = tunnel ? ETH_HLEN : ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    const payload = frame.subarray(from);
    const outer = frameBuffer(ETH_HLEN + IPV4_HLEN + espLength(suite, payload.length));
    sealEsp(outer, ETH_HLEN + IPV4_HLEN, suite, {
      spi,
      sequence,
      iv: state.iv(sequence, kernel.rt.random),
      payload,
      nextHeader: tunnel ? PROTO_IPIP : ipProto(frame, ETH_HLEN),
    });
    this.#id = (this.#id + 1) & 0xffff;
    writeIpv4Header(outer, ETH_HLEN, {
      src: tunnel ? src : ipSrc(frame, ETH_HLEN),
      dst: tunnel ? dst : ipDst(frame, ETH_HLEN),
      proto: PROTO_ESP,
      ttl: tunnel ? this.#ns.sysctls.ipv4.ip_default_ttl : ipTtl(frame, ETH_HLEN),
      totalLength: outer.length - ETH_HLEN,
      id: tunnel ? this.#id : ipId(frame, ETH_HLEN),
      tos: ipTos(frame, ETH_HLEN),
      df: ipDf(frame, ETH_HLEN),
    });
    return outer;
  }

  // ---- in

  /** An ESP packet for this host; false where there is no association for it (`xfrm_input`). */
  receive(device: Device, frame: Uint8Array, at: number): void {
    const { kernel } = this.#ns;
    const length = frame.length - at;
    const head = peekEsp(frame, at, length);
    if (head === null) {
      kernel.drop('xfrm-malformed');
      return;
    }
    const state = this.#states.get(stateKey({ dst: formatIp4(ipDst(frame, ETH_HLEN)), spi: head.spi }));
    if (state === undefined) {
      kernel.drop('xfrm-no-state');
      return;
    }
    if (!state.window.mayTake(head.sequence)) {
      kernel.drop('xfrm-replayed');
      return;
    }
    const { suite, mode, spi } = state.options;
    const opened = openEsp(frame, at, length, suite);
    if (typeof opened === 'string') {
      kernel.drop(`xfrm-${opened}`);
      return;
    }
    state.window.take(head.sequence);
    const { payload, nextHeader } = opened;
    if ((mode === 'tunnel') !== (nextHeader === PROTO_IPIP)) {
      kernel.drop('xfrm-mode');
      return;
    }
    if (kernel.rt.cause < 0) {
      const how = `ESP ${mode} spi 0x${spi.toString(16)} from ${formatIp4(ipSrc(frame, ETH_HLEN))}`;
      kernel.tracer.step(this.#ns, { at: 'decapsulate', dev: device.name, how }, null);
    }
    const inner = frameBuffer(ETH_HLEN + (mode === 'tunnel' ? 0 : IPV4_HLEN) + payload.length);
    writeEthernet(inner, 0, 0, ETHERTYPE_IPV4);
    inner.set(payload, inner.length - payload.length);
    if (mode === 'transport')
      writeIpv4Header(inner, ETH_HLEN, {
        src: ipSrc(frame, ETH_HLEN),
        dst: ipDst(frame, ETH_HLEN),
        proto: nextHeader,
        ttl: ipTtl(frame, ETH_HLEN),
        totalLength: inner.length - ETH_HLEN,
        id: ipId(frame, ETH_HLEN),
        tos: ipTos(frame, ETH_HLEN),
        df: ipDf(frame, ETH_HLEN),
      });
    this.#path = state;
    this.#ns.ip.input(device, inner);
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
    const src = ipSrc(frame, ETH_HLEN);
    const policy = this.#policyFor(dir, src, ipDst(frame, ETH_HLEN), ipProto(frame, ETH_HLEN));
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
        ((template.src === 0 || options.src === template.src) &&
          (template.dst === 0 || options.dst === template.dst)))
    );
  }
}
