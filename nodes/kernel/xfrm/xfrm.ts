import { espCapacity, openEsp, peekEsp } from '../../../protocols/esp.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../protocols/frame-buffer.ts';
import { PROTO_IPIP } from '../../../protocols/gre.ts';
import { familyOf, formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { readIp6Cached } from '../../../protocols/ip6.ts';
import { IPV4_HLEN, ipDf, ipDst, ipId, ipSrc, ipTos, ipTtl } from '../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, ip6HopLimit, ip6TrafficClass } from '../../../protocols/ipv6.ts';
import type { Device } from '../device.ts';
import type { Netns } from '../netns.ts';
import { EncapPorts } from './encap.ts';
import { flowOf, versionOf, type XfrmFlow } from './flow.ts';
import type { XfrmNotice } from './notice.ts';
import { isAny } from './policy.ts';
import { Sad } from './sad.ts';
import { lengthInFront, PROTO_IPV6, sealPacket, writeHeader } from './seal.ts';
import { Spd } from './spd.ts';
import type { XfrmState } from './state.ts';

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
  readonly sad: Sad;
  readonly spd: Spd;
  readonly #ns: Netns;
  readonly #watchers = new Set<(notice: XfrmNotice) => void>();
  /** Through which the packet came that is on its way up (`skb_sec_path`). */
  #path: XfrmState | null = null;
  #id = 0;

  constructor(ns: Netns) {
    this.#ns = ns;
    const ports = new EncapPorts(ns, (datagram) =>
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
    const tell = (notice: XfrmNotice) => this.#tell(notice);
    this.sad = new Sad(ns, tell, (states) => ports.sync(states));
    this.spd = new Spd(ns, tell);
  }

  /** Whether there is anything that a packet has to be held against. */
  get active(): boolean {
    return this.spd.size > 0 || this.#path !== null;
  }

  /** The association that the packet on its way up came through (`skb_sec_path`). */
  get behind(): XfrmState | null {
    return this.#path;
  }

  /** Whether the packet on its way up came sealed, until a policy has been asked about it (`secpath_exists`). */
  get unsealing(): boolean {
    return this.#path !== null;
  }

  /** Tells of what changes, until the function that it returns is called. */
  watch(onNotice: (notice: XfrmNotice) => void): () => void {
    this.#watchers.add(onNotice);
    return () => this.#watchers.delete(onNotice);
  }

  #tell(notice: XfrmNotice): void {
    for (const watcher of this.#watchers) watcher(notice);
  }

  /** All of them at once. */
  flush(what: 'state' | 'policy'): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    if (what === 'policy') for (const { policy } of this.spd.list()) this.spd.remove(policy);
    else for (const { options } of this.sad.list()) this.sad.remove(options.dst, options.spi);
    for (const watcher of watchers) this.#watchers.add(watcher);
    this.#tell({ type: 'flushed', what });
  }

  // ---- out

  /** What a packet that is about to go out is to become (`xfrm_lookup`). */
  #wanted(flow: XfrmFlow): XfrmState | 'plain' | 'drop' {
    const entry = this.spd.use('out', flow);
    if (entry === undefined) return 'plain';
    if (entry.policy.action === 'block') return 'drop';
    const { template } = entry.policy;
    if (template === null) return 'plain';
    const state = this.sad.find(template, flow);
    if (state !== null) return state;
    if (template.level === 'use') return 'plain';
    this.#tell({ type: 'acquire', flow, policy: entry });
    return 'drop';
  }

  /** The association that a packet is to go through as it leaves by a device, which nobody is told of (`dst->xfrm`). */
  ahead(frame: Uint8Array, device: Device): XfrmState | null {
    if (!this.spd.has('out') || device.conf.disable_xfrm !== 0) return null;
    const flow = flowOf(frame);
    const policy = this.spd.find('out', flow)?.policy;
    const template = policy?.action === 'allow' ? policy.template : null;
    return template === null ? null : this.sad.find(template, flow);
  }

  /** The most that a packet may have that would find `mtu` bytes on its way were it not transformed. */
  mtu(flow: XfrmFlow, mtu: number): number {
    if (!this.spd.has('out')) return mtu;
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
    if (!this.spd.has('out') || device.conf.disable_xfrm !== 0) return 'plain';
    const wanted = this.#wanted(flowOf(frame));
    if (wanted === 'drop') this.#ns.kernel.drop('xfrm-out-policy');
    return wanted;
  }

  /** A packet as an association sends it, of its family; null where it sends nothing (`xfrm_output`). */
  seal(frame: Uint8Array, state: XfrmState, device: Device): Uint8Array | null {
    const { kernel, sysctls, ipv6 } = this.#ns;
    if (!this.sad.lives(state)) {
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
    const state = this.sad.get(dst, head.spi);
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
    if (!this.sad.lives(state)) {
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
    const policy = this.spd.use(dir, flowOf(frame))?.policy;
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
