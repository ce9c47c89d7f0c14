import fc from 'fast-check';
import { setU16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV6, writeEthernet } from '../../../protocols/ethernet.ts';
import { sealIcmpv6 } from '../../../protocols/icmpv6.ts';
import {
  formatIp6,
  type Ip6,
  isMulticastIp6,
  multicastMac,
  parseIp6,
  solicitedNode,
} from '../../../protocols/ip6.ts';
import { IPV6_HLEN, PROTO_ICMPV6, writeIpv6Header } from '../../../protocols/ipv6.ts';
import { encodeNdp, type NdpMessage } from '../../../protocols/ndp.ts';
import { NEIGHBOR_MAC, ROUTER_MAC } from '../../support/router.ts';

const ip = (text: string): Ip6 => parseIp6(text)!;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);

const AT = ETH_HLEN + IPV6_HLEN;
const MACS = [NEIGHBOR_MAC, 0x0200_0000_0003, 0x0200_0000_0004];
const SENDERS = [
  '2001:db8:1::2',
  '2001:db8:1::3',
  'fe80::2',
  'fe80::3',
  '::',
  '2001:db8:7::1',
  'ff02::1',
].map(ip);
const TARGETS = [
  ...['2001:db8:1::1', '2001:db8:1::77', 'fe80::1', '2001:db8:2::1', '2001:db8:1::2', '2001:db8:1::3'],
  ...['2001:db8:1::9', 'fe80::2', 'ff02::1'],
].map(ip);

/** Which neighbours' messages to others than the host Linux sends redirects about is not known yet. */
const OWN = new Set(TARGETS.slice(0, 4));

const mac = fc.option(one(...MACS), { nil: undefined });
const message: fc.Arbitrary<NdpMessage> = fc.oneof(
  fc.record({ target: one(...TARGETS), sourceMac: mac }).map(
    ({ target, sourceMac }): NdpMessage => ({
      type: 'neighbor-solicit',
      target,
      options: sourceMac === undefined ? {} : { sourceMac },
    }),
  ),
  fc
    .record({
      target: one(...TARGETS),
      targetMac: mac,
      router: fc.boolean(),
      solicited: fc.boolean(),
      override: fc.boolean(),
    })
    .map(
      ({ targetMac, ...flags }): NdpMessage => ({
        type: 'neighbor-advert',
        ...flags,
        options: targetMac === undefined ? {} : { targetMac },
      }),
    ),
);

/** Senders are where their network is. */
export function portOf(src: Ip6, otherwise: number): number {
  const text = formatIp6(src);
  return text.startsWith('2001:db8:1:') ? 0 : text.startsWith('2001:db8:2:') ? 1 : otherwise;
}

/** Neighbour discovery that comes in by a port, not always as it should. */
export const ndpFrames = fc
  .record({
    port: fc.nat(1),
    message,
    src: one(...SENDERS),
    to: one<'group' | 'all' | 'target' | 'router'>('group', 'group', 'all', 'target', 'router'),
    hopLimit: one(255, 255, 255, 255, 255, 64),
    code: one(0, 0, 0, 0, 0, 1),
    wrong: one<'none' | 'checksum' | 'option' | 'cut'>(
      'none',
      'none',
      'none',
      'none',
      'none',
      'checksum',
      'option',
      'cut',
    ),
  })
  .map(({ port: drawn, message: given, src, to, hopLimit, code, wrong }) => {
    const port = portOf(src, drawn);
    const target = 'target' in given ? given.target : ip('fe80::1');
    const dst =
      to === 'all'
        ? ip('ff02::1')
        : to === 'target' && OWN.has(target)
          ? target
          : to === 'router'
            ? ip('fe80::1')
            : solicitedNode(target);
    const whole = encodeNdp(given, AT);
    const frame = wrong === 'cut' ? whole.slice(0, AT + 20) : whole;
    const length = frame.length - AT;
    frame[AT + 1] = code;
    // An option of no length, which ends all.
    if (wrong === 'option' && length > 24) frame[AT + 25] = 0;
    sealIcmpv6(frame, AT, length, src, dst);
    if (wrong === 'checksum') setU16(frame, AT + 2, 0x1234);
    writeEthernet(frame, isMulticastIp6(dst) ? multicastMac(dst) : ROUTER_MAC, NEIGHBOR_MAC, ETHERTYPE_IPV6);
    writeIpv6Header(frame, ETH_HLEN, { src, dst, nextHeader: PROTO_ICMPV6, hopLimit, payloadLength: length });
    return {
      port,
      told: `${given.type} ${formatIp6(src)} > ${formatIp6(dst)} of ${formatIp6(target)}`,
      frames: [frame],
    };
  });
