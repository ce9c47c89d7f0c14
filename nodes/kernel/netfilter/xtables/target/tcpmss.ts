import { setU16, u16 } from '../../../../../protocols/bytes.ts';
import { adjustChecksum16 } from '../../../../../protocols/checksum.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import type { IpAddress } from '../../../../../protocols/ip.ts';
import { IPV4_HLEN, PROTO_TCP } from '../../../../../protocols/ipv4.ts';
import { IPV6_HLEN } from '../../../../../protocols/ipv6.ts';
import type { Netns } from '../../../netns.ts';
import { NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING } from '../../hooks.ts';
import type { Skb } from '../../skb.ts';
import { invalid, usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { destinationOf, findTcpOption, isIpv6, sourceOf, transportAt } from '../packet.ts';
import { once, parseNumber } from '../values.ts';

const OPTION_MSS = 2;
const MSS_LENGTH = 4;
/** Bytes of the longest header. */
const MOST_HLEN = 60;
const LEAST_MSS = 536;
const LEAST_MSS6 = 1220;
const TCP_HLEN = 20;
const SYN = 0x02;

/** The MSS that a SYN tells is made smaller, never larger (xt_TCPMSS.c). */
export const tcpmss: TargetExtension = {
  name: 'TCPMSS',
  needsSyn: true,
  options: { '--set-mss': 1, '--clamp-mss-to-pmtu': 0 },
  bind(given, { proto, protoNegated }) {
    const found = once('TCPMSS', given, '--set-mss', '--clamp-mss-to-pmtu');
    if (found === undefined) throw usage('TCPMSS target: At least one parameter is required');
    if (proto !== PROTO_TCP || protoNegated) throw invalid();
    const mss = found.option === '--set-mss' ? parseNumber(found.values[0] ?? '', 0, 65_495) : 0;
    if (mss === null) throw usage(`TCPMSS: Bad value for "--set-mss" option: "${found.values[0] ?? ''}"`);
    const clamps = found.option !== '--set-mss';
    return {
      // Before routing there is no path yet.
      ...(clamps ? { hooks: [NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING] } : {}),
      save: clamps ? '--clamp-mss-to-pmtu' : `--set-mss ${mss}`,
      list: () => (clamps ? 'TCPMSS clamp to PMTU' : `TCPMSS set ${mss}`),
      compile:
        ({ ns }) =>
        (skb, hook) => {
          if (clamps && hook !== NF_FORWARD && hook !== NF_LOCAL_OUT && hook !== NF_POST_ROUTING)
            return 'continue';
          // The way back counts as well (`tcpmss_reverse_mtu`).
          const mtu = clamps ? Math.min(mtuTo(ns, destinationOf(skb)), mtuTo(ns, sourceOf(skb))) : 0;
          const most = clamps ? mtu - (isIpv6(skb) ? IPV6_HLEN : IPV4_HLEN) - TCP_HLEN : mss;
          if (!clamps || most > 0) limitMss(skb, most);
          if (!skb.hotdrop && (!clamps || most > 0)) return 'continue';
          ns.kernel.drop('netfilter-drop');
          return 'drop';
        },
    };
  },
};

/** MTU of the way to an address, as far as it is known. */
function mtuTo(ns: Netns, addr: IpAddress): number {
  if (typeof addr === 'string') {
    const path = ns.ipv6.layer.lookup(addr, 0, null);
    return path === null ? 0xffff : ns.ipv6.layer.mtuOf(addr, path);
  }
  const path = ns.lookup(addr, 0);
  return path === null ? 0xffff : ns.pathMtus.of(addr, path);
}

function limitMss(skb: Skb, mss: number): void {
  const at = transportAt(skb, TCP_HLEN);
  if (at < 0 || (skb.frame[at + 13]! & SYN) === 0) return;
  const { frame } = skb;
  const option = findTcpOption(frame, at, OPTION_MSS);
  if (option < 0) addMss(skb, at, mss);
  else if (frame[option + 1] === MSS_LENGTH && u16(frame, option + 2) > mss)
    changeTcpBytes(frame, at, option + 2, mss);
}

/** What a host takes that has said nothing is the least that counts, then (RFC 9293 §3.7.1, RFC 8200 §8.3). */
function addMss(skb: Skb, at: number, mss: number): void {
  const { frame } = skb;
  const length = (frame[at + 12]! >> 4) * 4;
  // Behind data there is no room, and none for a longer header.
  if (frame.length - at > length || length >= MOST_HLEN) return;
  const longer = new Uint8Array(frame.length + MSS_LENGTH);
  longer.set(frame.subarray(0, at + TCP_HLEN));
  longer.set(frame.subarray(at + TCP_HLEN), at + TCP_HLEN + MSS_LENGTH);
  setU16(longer, at + TCP_HLEN, OPTION_MSS * 256 + MSS_LENGTH);
  setU16(longer, at + TCP_HLEN + 2, Math.min(mss, isIpv6(skb) ? LEAST_MSS6 : LEAST_MSS));
  const sum = at + 16;
  const offset = u16(longer, at + 12);
  setU16(longer, at + 12, offset + 0x1000);
  let value = adjustChecksum16(u16(longer, sum), length, length + MSS_LENGTH);
  value = adjustChecksum16(value, 0, u16(longer, at + TCP_HLEN));
  value = adjustChecksum16(value, 0, u16(longer, at + TCP_HLEN + 2));
  setU16(longer, sum, adjustChecksum16(value, offset, offset + 0x1000));
  if (isIpv6(skb)) setU16(longer, ETH_HLEN + 4, u16(longer, ETH_HLEN + 4) + MSS_LENGTH);
  else {
    const total = u16(longer, ETH_HLEN + 2);
    setU16(longer, ETH_HLEN + 2, total + MSS_LENGTH);
    const header = ETH_HLEN + 10;
    setU16(longer, header, adjustChecksum16(u16(longer, header), total, total + MSS_LENGTH));
  }
  skb.frame = longer;
}

/** Writes 16 bits at any place of a TCP header, and the checksum with it. */
function changeTcpBytes(frame: Uint8Array, at: number, off: number, value: number): void {
  const sum = at + 16;
  const odd = (off - at) % 2 === 1;
  const swap = (word: number) => (odd ? ((word & 0xff) << 8) | (word >> 8) : word);
  setU16(frame, sum, adjustChecksum16(u16(frame, sum), swap(u16(frame, off)), swap(value)));
  setU16(frame, off, value);
}
