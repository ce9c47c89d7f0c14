import type { IpAddress } from '../../../../../protocols/ip.ts';
import { ANY_IP6, type Ip6, isMulticastIp6, mappedIp4 } from '../../../../../protocols/ip6.ts';
import { addressType } from '../../../address-type.ts';
import type { Device } from '../../../device.ts';
import type { Netns } from '../../../netns.ts';
import { NF_FORWARD, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../hooks.ts';
import { invalid, usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { destinationOf, sourceOf } from '../packet.ts';
import { once } from '../values.ts';

/** Types of routes, in the order of the kernel (`enum` of RTN_*). */
const TYPES = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
] as const;
type AddressType = (typeof TYPES)[number];

interface Types {
  readonly types: ReadonlySet<AddressType>;
  readonly negated: boolean;
}

function typesOf(found: Given | undefined): Types | null {
  if (found === undefined) return null;
  const asked = (found.values[0] ?? '').split(',').map((word) => word.toUpperCase());
  for (const word of asked)
    if (!TYPES.some((type) => type === word)) throw usage(`addrtype: bad type "${word}"`);
  return { types: new Set(TYPES.filter((type) => asked.includes(type))), negated: found.negated };
}

/** What IPv6 routing has none of (`addrtype_mt_checkentry_v1`). */
const NOT_INET6: readonly AddressType[] = ['BROADCAST', 'BLACKHOLE', 'PROHIBIT'];

/** Of IPv6 an address has to be all of what is asked for, but for what routing tells: there one of them is enough (`match_type6`). */
function holds6(ns: Netns, { types }: Types, addr: Ip6, device: Device | null): boolean {
  const multicast = isMulticastIp6(addr);
  const unspecified = addr === ANY_IP6;
  if (types.has('MULTICAST') && !multicast) return false;
  if (types.has('UNICAST') && (multicast || unspecified || mappedIp4(addr) !== null)) return false;
  if (types.has('UNSPEC') && !unspecified) return false;
  if (!types.has('LOCAL') && !types.has('UNREACHABLE') && !types.has('ANYCAST')) return true;
  const { addresses, layer } = ns.ipv6;
  const own = addresses.isLocal(addr, null) && (device === null || device.inet6.holds(addr));
  if (types.has('LOCAL') && own) return true;
  const path = layer.lookup(addr, 0, device);
  const reached = path !== null && (path.type === 'unicast' || path.type === 'local');
  return types.has('UNREACHABLE') && !reached;
}

export const addrtype: MatchExtension = {
  name: 'addrtype',
  options: { '--src-type': 1, '--dst-type': 1, '--limit-iface-in': 0, '--limit-iface-out': 0 },
  bind(given, { family }) {
    const src = typesOf(once('addrtype', given, '--src-type'));
    const dst = typesOf(once('addrtype', given, '--dst-type'));
    const limitIn = once('addrtype', given, '--limit-iface-in') !== undefined;
    const limitOut = once('addrtype', given, '--limit-iface-out') !== undefined;
    if (src === null && dst === null) throw usage('addrtype: you must specify --src-type or --dst-type');
    if (limitIn && limitOut)
      throw usage("addrtype: you can't specify both --limit-iface-in and --limit-iface-out");
    const asked = [...(src?.types ?? []), ...(dst?.types ?? [])];
    if (family === 'inet6' && asked.some((type) => NOT_INET6.includes(type))) throw invalid();
    const saved = (option: string, types: Types | null) =>
      types === null
        ? []
        : [
            `${types.negated ? '! ' : ''}${option} ${TYPES.filter((type) => types.types.has(type)).join(',')}`,
          ];
    const listed = (name: string, types: Types | null) =>
      types === null
        ? []
        : [`${name} ${types.negated ? '!' : ''}${TYPES.filter((type) => types.types.has(type)).join(',')}`];
    const save = [...saved('--src-type', src), ...saved('--dst-type', dst)];
    const list = ['ADDRTYPE match', ...listed('src-type', src), ...listed('dst-type', dst)];
    if (limitIn) {
      save.push('--limit-iface-in');
      list.push('limit-in');
    }
    if (limitOut) {
      save.push('--limit-iface-out');
      list.push('limit-out');
    }
    return {
      ...(limitIn ? { hooks: [NF_PRE_ROUTING, NF_LOCAL_IN, NF_FORWARD] } : {}),
      ...(limitOut ? { hooks: [NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING] } : {}),
      save: save.join(' '),
      list: () => list.join(' '),
      compile: ({ ns }) => {
        const holds = (types: Types | null, addr: IpAddress, device: Device | null) => {
          if (types === null) return true;
          if (typeof addr === 'string') return holds6(ns, types, addr, device) !== types.negated;
          return types.types.has(addressType(ns, addr, device)) !== types.negated;
        };
        return (skb) => {
          const device = limitIn ? skb.in : limitOut ? skb.out : null;
          return holds(src, sourceOf(skb), device) && holds(dst, destinationOf(skb), device);
        };
      },
    };
  },
};
