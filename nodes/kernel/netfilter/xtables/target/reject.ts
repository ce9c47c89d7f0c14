import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../../../protocols/frame-buffer.ts';
import {
  ICMP_DEST_UNREACHABLE,
  ICMP_ECHO_REPLY,
  ICMP_TIMESTAMP_REPLY,
} from '../../../../../protocols/icmp.ts';
import { ICMPV6_DEST_UNREACHABLE, ICMPV6_ECHO_REPLY } from '../../../../../protocols/icmpv6.ts';
import { ANY_IP6, isMulticastIp6, readIp6Cached } from '../../../../../protocols/ip6.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipSrc,
  PROTO_ICMP,
  PROTO_TCP,
  writeIpv4Header,
} from '../../../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC, IPV6_HLEN, PROTO_ICMPV6, writeIpv6Header } from '../../../../../protocols/ipv6.ts';
import { resetFor } from '../../../../../protocols/tcp/reset.ts';
import { decodeTcp, encodeTcp, RST } from '../../../../../protocols/tcp/segment.ts';
import type { Netns } from '../../../netns.ts';
import { type Hook, NF_FORWARD, NF_LOCAL_IN, NF_LOCAL_OUT } from '../../hooks.ts';
import { isHeaderSumRight, mayTellOfReject } from '../../packet-checks.ts';
import { Skb } from '../../skb.ts';
import { invalid, usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { isIpv6, protoOf, transportOffset } from '../packet.ts';
import { once } from '../values.ts';

/** Kinds with the code of ICMP destination unreachable that they send, and other names that they have. */
interface Kinds {
  readonly codes: Readonly<Record<string, number>>;
  readonly aliases: Readonly<Record<string, string>>;
  readonly usual: string;
}

const CODES: Readonly<Record<string, number>> = {
  'icmp-net-unreachable': 0,
  'icmp-host-unreachable': 1,
  'icmp-port-unreachable': 3,
  'icmp-proto-unreachable': 2,
  'icmp-net-prohibited': 9,
  'icmp-host-prohibited': 10,
  'icmp-admin-prohibited': 13,
};
const ALIASES: Readonly<Record<string, string>> = {
  'net-unreach': 'icmp-net-unreachable',
  'host-unreach': 'icmp-host-unreachable',
  'port-unreach': 'icmp-port-unreachable',
  'proto-unreach': 'icmp-proto-unreachable',
  'net-prohib': 'icmp-net-prohibited',
  'host-prohib': 'icmp-host-prohibited',
  'admin-prohib': 'icmp-admin-prohibited',
  'tcp-rst': 'tcp-reset',
};
const INET: Kinds = { codes: CODES, aliases: ALIASES, usual: 'icmp-port-unreachable' };

const INET6: Kinds = {
  codes: {
    'icmp6-no-route': 0,
    'icmp6-adm-prohibited': 1,
    'icmp6-addr-unreachable': 3,
    'icmp6-port-unreachable': 4,
    'icmp6-policy-fail': 5,
    'icmp6-reject-route': 6,
  },
  aliases: {
    'no-route': 'icmp6-no-route',
    'adm-prohibited': 'icmp6-adm-prohibited',
    'addr-unreach': 'icmp6-addr-unreachable',
    'port-unreach': 'icmp6-port-unreachable',
    'policy-fail': 'icmp6-policy-fail',
    'reject-route': 'icmp6-reject-route',
  },
  usual: 'icmp6-port-unreachable',
};

const TTL = 64;

/** Drops a packet and tells its sender (ipt_REJECT.c, ip6t_REJECT.c). */
function rejectTarget({ codes, aliases, usual }: Kinds): TargetExtension {
  return {
    name: 'REJECT',
    options: { '--reject-with': 1 },
    tables: ['filter'],
    hooks: [NF_LOCAL_IN, NF_FORWARD, NF_LOCAL_OUT],
    bind(given, { proto, protoNegated }) {
      const asked = once('REJECT', given, '--reject-with')?.values[0] ?? usual;
      const kind = aliases[asked] ?? asked;
      const code = codes[kind];
      if (kind !== 'tcp-reset' && code === undefined) throw usage(`unknown reject type "${asked}"`);
      if (kind === 'tcp-reset' && (proto !== PROTO_TCP || protoNegated)) throw invalid();
      return {
        save: `--reject-with ${kind}`,
        list: () => `reject-with ${kind}`,
        compile:
          ({ ns }) =>
          (skb, hook) => {
            ns.kernel.drop('netfilter-reject');
            if (code === undefined) sendReset(ns, skb, hook);
            else if (mayTellOfReject(skb, sumsOf(ns, skb)) && !(hook === NF_LOCAL_OUT && isAnswer(skb)))
              sendUnreachable(ns, skb, code);
            return 'drop';
          },
      };
    },
  };
}

export const reject = rejectTarget(INET);
export const reject6 = rejectTarget(INET6);

/** An answer that ICMP gives by itself: while it does, it has nothing to send an error by (`icmp_xmit_lock`). */
function isAnswer(skb: Skb): boolean {
  const at = transportOffset(skb);
  const type = at < 0 ? -1 : skb.frame[at];
  if (isIpv6(skb)) return protoOf(skb) === PROTO_ICMPV6 && type === ICMPV6_ECHO_REPLY;
  return protoOf(skb) === PROTO_ICMP && (type === ICMP_ECHO_REPLY || type === ICMP_TIMESTAMP_REPLY);
}

/** Whether conntrack has made sure of a packet's checksums. */
function sumsOf({ conntrack }: Netns, { ct }: Skb): 'known' | 'unknown' {
  return ct !== null && conntrack.settings.nf_conntrack_checksum !== 0 ? 'known' : 'unknown';
}

function sendUnreachable(ns: Netns, skb: Skb, code: number): void {
  const { frame } = skb;
  if (isIpv6(skb)) ns.ipv6.icmp.sendError(ICMPV6_DEST_UNREACHABLE, code, 0, frame, skb.in, skb);
  else ns.ip.icmpError(ICMP_DEST_UNREACHABLE, code, 0, frame, skb);
}

/** `nf_send_reset`, `nf_send_reset6` */
function sendReset(ns: Netns, skb: Skb, hook: Hook): void {
  if (isIpv6(skb)) {
    sendReset6(ns, skb);
    return;
  }
  const { frame } = skb;
  const src = ipSrc(frame, ETH_HLEN);
  const dst = ipDst(frame, ETH_HLEN);
  if (ipFragmentOffset(frame, ETH_HLEN) > 0 || ns.isBroadcast(dst)) return;
  // What is known counts until the packet is sent on (`skb_forward_csum`).
  const known = hook === NF_LOCAL_IN && sumsOf(ns, skb) === 'known';
  if (!known && !isHeaderSumRight(frame)) return;
  const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
  const segment = decodeTcp(frame, at, frame.length - at, src, dst);
  if (segment === null || (segment.flags & RST) !== 0) return;
  const bytes = encodeTcp(resetFor(segment), dst, src);
  const answer = frameBuffer(ETH_HLEN + IPV4_HLEN + bytes.length);
  answer.set(bytes, ETH_HLEN + IPV4_HLEN);
  const totalLength = IPV4_HLEN + bytes.length;
  const header = { src: dst, dst: src, proto: PROTO_TCP, ttl: TTL, id: 0, tos: 0, df: true };
  writeIpv4Header(answer, ETH_HLEN, { ...header, totalLength });
  const reset = new Skb(answer, null);
  reset.answers(skb);
  ns.ip.localOut(reset);
}

function sendReset6(ns: Netns, skb: Skb): void {
  const { frame, upper } = skb;
  const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
  const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
  if (upper === null || upper.fragment !== 0 || upper.proto !== PROTO_TCP) return;
  if (src === ANY_IP6 || isMulticastIp6(src) || isMulticastIp6(dst)) return;
  const segment = decodeTcp(frame, upper.offset, frame.length - upper.offset, src, dst);
  if (segment === null || (segment.flags & RST) !== 0) return;
  const bytes = encodeTcp(resetFor(segment), dst, src);
  const answer = frameBuffer(ETH_HLEN + IPV6_HLEN + bytes.length);
  answer.set(bytes, ETH_HLEN + IPV6_HLEN);
  const header = { src: dst, dst: src, nextHeader: PROTO_TCP, hopLimit: TTL, payloadLength: bytes.length };
  writeIpv6Header(answer, ETH_HLEN, header);
  const reset = new Skb(answer, null);
  reset.answers(skb);
  ns.ipv6.layer.localOut(reset);
}
