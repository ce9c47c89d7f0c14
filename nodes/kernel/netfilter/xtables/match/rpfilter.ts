import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../../protocols/ip.ts';
import { isMulticast, LIMITED_BROADCAST } from '../../../../../protocols/ip4.ts';
import { ANY_IP6, isLinkLocal, isMulticastIp6, readIp6Cached } from '../../../../../protocols/ip6.ts';
import { ipDst, ipSrc, ipTos } from '../../../../../protocols/ipv4.ts';
import { IP6_DST, IP6_SRC } from '../../../../../protocols/ipv6.ts';
import type { Device } from '../../../device.ts';
import { fibLookup } from '../../../fib-lookup.ts';
import { packetFlow6 } from '../../../ipv6/flow.ts';
import type { Netns } from '../../../netns.ts';
import { NF_PRE_ROUTING } from '../../hooks.ts';
import type { Skb } from '../../skb.ts';
import type { MatchExtension } from '../extension.ts';
import { has } from '../options.ts';

const FLAGS = ['loose', 'validmark', 'accept-local', 'invert'] as const;

interface Wanted {
  /** Any way back will do, not that by the device alone that the packet came by. */
  readonly loose: boolean;
  /** The way back goes by the packet's mark. */
  readonly validMark: boolean;
  /** The host's own addresses may come from without. */
  readonly acceptLocal: boolean;
}

/** 224.0.0.0/24 */
function isLocalMulticast(addr: number): boolean {
  return addr >>> 8 === 0xe00000;
}

/** `rpfilter_lookup_reverse` */
function comesBack4(ns: Netns, { frame, mark }: Skb, device: Device, wanted: Wanted): boolean {
  const src = ipSrc(frame, ETH_HLEN);
  const dst = ipDst(frame, ETH_HLEN);
  // A client that has no address yet asks all, or a group of its link.
  if (src === 0 && (dst === LIMITED_BROADCAST || isLocalMulticast(dst))) return true;
  const flow = {
    src: isMulticast(dst) || dst === LIMITED_BROADCAST ? 0 : dst,
    tos: ipTos(frame, ETH_HLEN),
    mark: wanted.validMark ? mark : 0,
    proto: 0,
    sport: 0,
    dport: 0,
    iif: null,
    oif: null,
  };
  const path = fibLookup(ns, src, 0, flow);
  if (path === null || (path.type !== 'unicast' && path.type !== 'local')) return false;
  if (path.type === 'local' && !wanted.acceptLocal) return false;
  if (wanted.loose) return true;
  if (path.route !== null) return path.route.nexthops.some((hop) => hop.device === device);
  return device.addresses.some(({ addr }) => addr === src);
}

/** `rpfilter_lookup_reverse6` */
function comesBack6(ns: Netns, { frame, mark }: Skb, device: Device, wanted: Wanted): boolean {
  const src = readIp6Cached(frame, ETH_HLEN + IP6_SRC);
  const dst = readIp6Cached(frame, ETH_HLEN + IP6_DST);
  // It has no way at all: forwarding sees to it.
  if (src === ANY_IP6) return true;
  const { layer, rules } = ns.ipv6;
  const flow = rules.custom
    ? {
        ...packetFlow6(frame, null, wanted.validMark ? mark : 0),
        src: isMulticastIp6(dst) ? ANY_IP6 : dst,
        tos: 0,
        sport: 0,
        dport: 0,
      }
    : null;
  const link = isLinkLocal(src);
  const path = layer.lookup(src, 0, link ? device : null, flow);
  if (path === null) return false;
  if (path.type === 'local') return wanted.acceptLocal;
  if (path.type !== 'unicast') return false;
  if (wanted.loose || path.device === device) return true;
  return path.route?.nexthops.some((hop) => hop.device === device) === true;
}

const COMES_BACK: Readonly<Record<IpFamily, typeof comesBack4>> = { inet: comesBack4, inet6: comesBack6 };

/** Whether an answer to the packet would leave by where it came in (ipt_rpfilter.c, ip6t_rpfilter.c; RFC 3704). */
export const rpfilter: MatchExtension = {
  name: 'rpfilter',
  options: Object.fromEntries(FLAGS.map((flag) => [`--${flag}`, 0])),
  bind(given) {
    const set = FLAGS.filter((flag) => has('rpfilter', given, `--${flag}`));
    const [loose, validMark, acceptLocal, invert] = FLAGS.map((flag) => set.includes(flag));
    const wanted = {
      loose: loose === true,
      validMark: validMark === true,
      acceptLocal: acceptLocal === true,
    };
    return {
      hooks: [NF_PRE_ROUTING],
      tables: ['raw', 'mangle'],
      save: set.map((flag) => `--${flag}`).join(' '),
      list: () => ['rpfilter', ...set].join(' '),
      compile: ({ ns, family }) => {
        const comesBack = COMES_BACK[family];
        const negated = invert === true;
        return (skb) => {
          const device = skb.in;
          // What lo brings was routed as it left.
          if (device === null || device.kind === 'loopback') return !negated;
          return comesBack(ns, skb, device, wanted) !== negated;
        };
      },
    };
  },
};
