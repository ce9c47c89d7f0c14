import { setU16, setU32, u32 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../protocols/ethernet.ts';
import { ICMP_PARAMETER_PROBLEM } from '../../../protocols/icmp.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { IPV4_HLEN, ipDst, ipHeaderLength, ipSrc } from '../../../protocols/ipv4.ts';
import {
  IPOPT_END,
  IPOPT_LSRR,
  IPOPT_NOP,
  IPOPT_RA,
  IPOPT_RR,
  IPOPT_SSRR,
  IPOPT_TIMESTAMP,
  TS_AND_ADDRESS,
  TS_ONLY,
  TS_PRESPECIFIED,
} from '../../../protocols/ipv4-options.ts';
import { addressType } from '../address-type.ts';
import type { Device } from '../device.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Netns } from '../netns.ts';
import {
  type AnswerOptions,
  answerOptions,
  type KnownOptions,
  noOptions,
  timeOfDay,
} from './answer-options.ts';
import { isGroupFrame } from './icmp-error.ts';
import { flowHash, type Path, pathError, receivedFlow } from './path.ts';
import { type InputRefusal, routeInput } from './route-input.ts';

const INFO = 6;
/** Where the destination stands in the header. */
const DESTINATION_AT = 16;

/**
 * IPv4 options (net/ipv4/ip_options.c). What a packet has is compiled once it is routed; from then on it is known by its frame, to
 * those who send it on or answer it.
 */
export class IpOptions {
  readonly #ns: Netns;
  readonly #known = new WeakMap<Uint8Array, KnownOptions>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /**
   * Reads the options of a packet that came in, and writes into them (`ip_rcv_options`). The way that it goes then, by its source
   * route where it has one that leads through here; null: it is dropped, its sender told where that is due.
   */
  receive(
    device: Device,
    frame: Uint8Array,
    way: Path | InputRefusal,
    skb: Skb | null,
  ): Path | InputRefusal | null {
    const ns = this.#ns;
    const known = noOptions();
    this.#known.set(frame, known);
    const problem = this.#compile(device, frame, way, known);
    if (problem !== 0) {
      ns.ip.icmpError(ICMP_PARAMETER_PROBLEM, 0, (problem << 24) >>> 0, frame, skb);
      ns.kernel.drop('ip-options');
      return null;
    }
    if (known.srr === 0) return way;
    const { conf } = device;
    const { all } = ns.sysctls;
    if ((conf.accept_source_route & all.accept_source_route) === 0) {
      if ((conf.log_martians | all.log_martians) !== 0 && ns.kernel.ratelimit()) {
        const [from, to] = [formatIp4(ipSrc(frame, ETH_HLEN)), formatIp4(ipDst(frame, ETH_HLEN))];
        ns.log(INFO, `IPv4: source route option ${from} -> ${to}`);
      }
      ns.kernel.drop('ip-source-route');
      return null;
    }
    const next = this.#sourceRoute(device, frame, way, known, skb);
    if (next === null) ns.kernel.drop('ip-source-route');
    return next;
  }

  /** Knows the options of a packet that was put together from others, the first of which has been read. */
  adopt(frame: Uint8Array): void {
    const known = noOptions();
    const end = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
    for (let at = ETH_HLEN + IPV4_HLEN; at < end && frame[at] !== IPOPT_END; ) {
      const kind = frame[at]!;
      if (kind === IPOPT_RR) {
        known.rr = at - ETH_HLEN;
        known.rrNeedsAddress = true;
      } else if (kind === IPOPT_TIMESTAMP) {
        const flag = frame[at + 3]! & 0x0f;
        known.ts = at - ETH_HLEN;
        known.tsNeedsAddress = flag === TS_AND_ADDRESS;
        known.tsNeedsTime = known.tsNeedsAddress || flag === TS_ONLY || flag === TS_PRESPECIFIED;
      } else if (kind === IPOPT_LSRR || kind === IPOPT_SSRR) known.srr = at - ETH_HLEN;
      at += kind === IPOPT_NOP ? 1 : Math.max(1, frame[at + 1]!);
    }
    this.#known.set(frame, known);
  }

  /** Whether a packet's route leads only by neighbours, or by anybody at all. */
  isStrict(frame: Uint8Array): boolean {
    return this.#known.get(frame)?.isStrict === true;
  }

  hasSourceRoute(frame: Uint8Array): boolean {
    return (this.#known.get(frame)?.srr ?? 0) !== 0;
  }

  /** Where a packet goes on that is sent by its source route; else its destination. */
  destination(frame: Uint8Array): number {
    return this.#known.get(frame)?.nexthop ?? ipDst(frame, ETH_HLEN);
  }

  /** `ip_options_compile`: 0, or the place of what is wrong. */
  #compile(device: Device, frame: Uint8Array, way: Path | InputRefusal, known: KnownOptions): number {
    const ns = this.#ns;
    const end = ipHeaderLength(frame, ETH_HLEN);
    const byte = (at: number) => frame[ETH_HLEN + at]!;
    const isRouted = typeof way !== 'string' && way.type === 'local';
    let own: number | null = null;
    const writeOwn = (at: number) => {
      own ??= isRouted ? ipDst(frame, ETH_HLEN) : this.#specificDestination(device, frame);
      setU32(frame, ETH_HLEN + at, own);
    };
    const now = timeOfDay(ns);
    for (let at = IPV4_HLEN; at < end; ) {
      const kind = byte(at);
      if (kind === IPOPT_END) {
        frame.fill(IPOPT_END, ETH_HLEN + at, ETH_HLEN + end);
        return 0;
      }
      if (kind === IPOPT_NOP) {
        at++;
        continue;
      }
      if (at + 2 > end) return at;
      const length = byte(at + 1);
      if (length < 2 || at + length > end) return at;
      const pointer = length > 2 ? byte(at + 2) : 0;
      switch (kind) {
        case IPOPT_SSRR:
        case IPOPT_LSRR:
          if (length < 3) return at + 1;
          if (pointer < 4) return at + 2;
          if (known.srr !== 0) return at;
          known.isStrict = kind === IPOPT_SSRR;
          known.srr = at;
          break;
        case IPOPT_RR:
          if (known.rr !== 0) return at;
          if (length < 3) return at + 1;
          if (pointer < 4) return at + 2;
          if (pointer <= length) {
            if (pointer + 3 > length) return at + 2;
            writeOwn(at + pointer - 1);
            frame[ETH_HLEN + at + 2] = pointer + 4;
            known.rrNeedsAddress = true;
          }
          known.rr = at;
          break;
        case IPOPT_TIMESTAMP: {
          if (known.ts !== 0) return at;
          if (length < 4) return at + 1;
          if (pointer < 5) return at + 2;
          const flag = byte(at + 3) & 0x0f;
          const slot = at + pointer - 1;
          if (pointer <= length) {
            if (pointer + 3 > length) return at + 2;
            const paired = flag === TS_AND_ADDRESS || flag === TS_PRESPECIFIED;
            if (paired && pointer + 7 > length) return at + 2;
            if (flag === TS_ONLY) {
              setU32(frame, ETH_HLEN + slot, now);
              known.tsNeedsTime = true;
              frame[ETH_HLEN + at + 2] = pointer + 4;
            } else if (flag === TS_AND_ADDRESS) {
              writeOwn(slot);
              setU32(frame, ETH_HLEN + slot + 4, now);
              known.tsNeedsAddress = true;
              known.tsNeedsTime = true;
              frame[ETH_HLEN + at + 2] = pointer + 8;
            } else if (
              flag === TS_PRESPECIFIED &&
              addressType(ns, u32(frame, ETH_HLEN + slot)) !== 'UNICAST'
            ) {
              setU32(frame, ETH_HLEN + slot + 4, now);
              known.tsNeedsTime = true;
              frame[ETH_HLEN + at + 2] = pointer + 8;
            }
          } else if (flag !== TS_PRESPECIFIED) {
            const overflow = byte(at + 3) >>> 4;
            if (overflow === 15) return at + 3;
            frame[ETH_HLEN + at + 3] = flag | ((overflow + 1) << 4);
          }
          known.ts = at;
          break;
        }
        case IPOPT_RA:
          if (length < 4) return at + 1;
          break;
        default:
      }
      at += length;
    }
    return 0;
  }

  /** `fib_compute_spec_dst`: the address that the sender would be answered from. */
  #specificDestination(device: Device, frame: Uint8Array): number {
    const ns = this.#ns;
    const src = ipSrc(frame, ETH_HLEN);
    const path = src === 0 ? null : ns.lookup(src, 0);
    if (path === null || pathError(path) !== null) return ns.sourceFor(device, src);
    return sourceBy(ns, path);
  }

  /** `ip_options_rcv_srr`: null where the packet is dropped. */
  #sourceRoute(
    device: Device,
    frame: Uint8Array,
    way: Path | InputRefusal,
    known: KnownOptions,
    skb: Skb | null,
  ): Path | InputRefusal | null {
    const ns = this.#ns;
    if (isGroupFrame(frame) || typeof way === 'string') return null;
    if (way.type === 'unicast') {
      if (!known.isStrict) return way;
      ns.ip.icmpError(ICMP_PARAMETER_PROBLEM, 0, DESTINATION_AT << 24, frame, skb);
      return null;
    }
    if (way.type !== 'local') return null;
    const length = frame[ETH_HLEN + known.srr + 1]!;
    for (let pointer = frame[ETH_HLEN + known.srr + 2]!; pointer <= length; pointer += 4) {
      if (pointer + 3 > length) {
        ns.ip.icmpError(ICMP_PARAMETER_PROBLEM, 0, (known.srr + 2) << 24, frame, skb);
        return null;
      }
      const next = u32(frame, ETH_HLEN + known.srr + pointer - 1);
      // What lo brings is routed as if it came from elsewhere, where it cannot be the host's own.
      if (device.kind === 'loopback' && addressType(ns, ipSrc(frame, ETH_HLEN)) === 'LOCAL') return null;
      const flow = receivedFlow(ns, frame, device, skb?.mark ?? 0);
      const policy = ns.sysctls.ipv4.fib_multipath_hash_policy;
      const path = routeInput(ns, device, next, flowHash(frame, ETH_HLEN, flow.src, next, policy), flow);
      if (typeof path === 'string' || (path.type !== 'unicast' && path.type !== 'local')) return null;
      if (path.type === 'unicast') {
        known.nexthop = next;
        return path;
      }
      setU32(frame, ETH_HLEN + DESTINATION_AT, next);
    }
    return way;
  }

  /** Writes into the options of a packet that is sent on (`ip_forward_options`), and its checksum anew. */
  forward(frame: Uint8Array, path: Path): void {
    const known = this.#known.get(frame);
    if (known === undefined) return;
    const own = sourceBy(this.#ns, path);
    const pointerAt = (option: number) => frame[ETH_HLEN + option + 2]!;
    if (known.rrNeedsAddress) setU32(frame, ETH_HLEN + known.rr + pointerAt(known.rr) - 5, own);
    if (known.nexthop !== null) {
      const { srr } = known;
      const length = frame[ETH_HLEN + srr + 1]!;
      for (let pointer = pointerAt(srr); pointer + 3 <= length; pointer += 4) {
        const at = ETH_HLEN + srr + pointer - 1;
        if (u32(frame, at) !== known.nexthop) continue;
        setU32(frame, ETH_HLEN + DESTINATION_AT, known.nexthop);
        setU32(frame, at, own);
        frame[ETH_HLEN + srr + 2] = pointer + 4;
        break;
      }
      if (known.tsNeedsAddress) setU32(frame, ETH_HLEN + known.ts + pointerAt(known.ts) - 9, own);
    }
    setU16(frame, ETH_HLEN + 10, 0);
    setU16(frame, ETH_HLEN + 10, internetChecksum(frame, ETH_HLEN, ipHeaderLength(frame, ETH_HLEN)));
  }

  /**
   * The options that an answer to a packet has (`ip_options_echo`), as far as they can be told before its source is known; null
   * where it has none. 'unanswerable': such that no answer can be sent.
   */
  answer(frame: Uint8Array): AnswerOptions | 'unanswerable' | null {
    const known = this.#known.get(frame);
    return known === undefined ? null : answerOptions(this.#ns, frame, known);
  }
}

/** `ip_rt_get_source`: the address that the host sends by a way from. */
function sourceBy(ns: Netns, { type, src, device, nexthop }: Path): number {
  if (type === 'local') return nexthop;
  return src !== 0 ? src : ns.sourceFor(device, nexthop);
}
