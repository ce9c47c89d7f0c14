import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { isLoopback, isMulticast, LIMITED_BROADCAST } from '../../../../../protocols/ip4.ts';
import { ipDst, ipSrc } from '../../../../../protocols/ipv4.ts';
import type { Device } from '../../../device.ts';
import type { Netns } from '../../../netns.ts';
import { NF_FORWARD, NF_LOCAL_IN, NF_LOCAL_OUT, NF_POST_ROUTING, NF_PRE_ROUTING } from '../../hooks.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
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

/** What an address is to the host (`inet_addr_type`); with a device, to that device alone (`inet_dev_addr_type`). */
function typeOf(ns: Netns, addr: number, device: Device | null): AddressType {
  if (addr === 0 || addr === LIMITED_BROADCAST) return 'BROADCAST';
  if (isMulticast(addr)) return 'MULTICAST';
  if (ns.isLocal(addr) || isLoopback(addr)) {
    const own = device === null || device.addresses.some((address) => address.addr === addr);
    return own ? 'LOCAL' : 'UNICAST';
  }
  return ns.isBroadcast(addr) ? 'BROADCAST' : 'UNICAST';
}

export const addrtype: MatchExtension = {
  name: 'addrtype',
  options: { '--src-type': 1, '--dst-type': 1, '--limit-iface-in': 0, '--limit-iface-out': 0 },
  bind(given) {
    const src = typesOf(once('addrtype', given, '--src-type'));
    const dst = typesOf(once('addrtype', given, '--dst-type'));
    const limitIn = once('addrtype', given, '--limit-iface-in') !== undefined;
    const limitOut = once('addrtype', given, '--limit-iface-out') !== undefined;
    if (src === null && dst === null) throw usage('addrtype: you must specify --src-type or --dst-type');
    if (limitIn && limitOut)
      throw usage("addrtype: you can't specify both --limit-iface-in and --limit-iface-out");
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
        const holds = (types: Types | null, addr: number, device: Device | null) =>
          types === null || types.types.has(typeOf(ns, addr, device)) !== types.negated;
        return ({ frame, in: input, out }) => {
          const device = limitIn ? input : limitOut ? out : null;
          return holds(src, ipSrc(frame, ETH_HLEN), device) && holds(dst, ipDst(frame, ETH_HLEN), device);
        };
      },
    };
  },
};
