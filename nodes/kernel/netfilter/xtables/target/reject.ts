import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { frameBuffer } from '../../../../../protocols/frame-buffer.ts';
import { ICMP_DEST_UNREACHABLE } from '../../../../../protocols/icmp.ts';
import {
  IPV4_HLEN,
  ipDst,
  ipFragmentOffset,
  ipHeaderLength,
  ipSrc,
  PROTO_TCP,
  writeIpv4Header,
} from '../../../../../protocols/ipv4.ts';
import { resetFor } from '../../../../../protocols/tcp/reset.ts';
import { decodeTcp, encodeTcp, RST } from '../../../../../protocols/tcp/segment.ts';
import type { Netns } from '../../../netns.ts';
import { NF_FORWARD, NF_LOCAL_IN, NF_LOCAL_OUT } from '../../hooks.ts';
import { mayTellOfReject } from '../../packet-checks.ts';
import { Skb } from '../../skb.ts';
import { invalid, usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { once } from '../values.ts';

/** Kinds with the code of ICMP destination unreachable that they send. */
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
const TTL = 64;

/** Drops a packet and tells its sender (ipt_REJECT.c). */
export const reject: TargetExtension = {
  name: 'REJECT',
  options: { '--reject-with': 1 },
  tables: ['filter'],
  hooks: [NF_LOCAL_IN, NF_FORWARD, NF_LOCAL_OUT],
  bind(given, { proto, protoNegated }) {
    const asked = once('REJECT', given, '--reject-with')?.values[0] ?? 'icmp-port-unreachable';
    const kind = ALIASES[asked] ?? asked;
    const code = CODES[kind];
    if (kind !== 'tcp-reset' && code === undefined) throw usage(`unknown reject type "${asked}"`);
    if (kind === 'tcp-reset' && (proto !== PROTO_TCP || protoNegated)) throw invalid();
    return {
      save: `--reject-with ${kind}`,
      list: () => `reject-with ${kind}`,
      compile:
        ({ ns }) =>
        (skb) => {
          ns.kernel.drop('netfilter-reject');
          if (code === undefined) sendReset(ns, skb);
          else if (ipFragmentOffset(skb.frame, ETH_HLEN) === 0 && mayTellOfReject(skb.frame))
            ns.ip.icmpError(ICMP_DEST_UNREACHABLE, code, 0, skb.frame, skb);
          return 'drop';
        },
    };
  },
};

/** `nf_send_reset` */
function sendReset(ns: Netns, skb: Skb): void {
  const { frame } = skb;
  const src = ipSrc(frame, ETH_HLEN);
  const dst = ipDst(frame, ETH_HLEN);
  if (ipFragmentOffset(frame, ETH_HLEN) > 0 || ns.isBroadcast(dst)) return;
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
