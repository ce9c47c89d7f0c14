import { BROADCAST_MAC, formatMac, isGroupMac, parseMac, readMac } from '../../../../../protocols/mac.ts';
import { NF_FORWARD, NF_LOCAL_IN, NF_PRE_ROUTING } from '../../hooks.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { interfaceMatch } from '../head.ts';
import { once } from '../values.ts';

export const mac: MatchExtension = {
  name: 'mac',
  options: { '--mac-source': 1 },
  bind(given) {
    const found = once('mac', given, '--mac-source');
    const source = parseMac(found?.values[0] ?? '');
    if (found === undefined || source === null)
      throw usage(`mac: Bad value for "--mac-source" option: "${found?.values[0] ?? ''}"`);
    const { negated } = found;
    return {
      hooks: [NF_PRE_ROUTING, NF_LOCAL_IN, NF_FORWARD],
      save: `${negated ? '! ' : ''}--mac-source ${formatMac(source)}`,
      list: () => `MAC${negated ? ' !' : ''} ${formatMac(source)}`,
      // The header of the host's own packets, and of devices without link layer, holds no address.
      compile: () => (skb) => skb.in?.hasLinkLayer === true && (readMac(skb.frame, 6) === source) !== negated,
    };
  },
};

const PACKET_TYPES = ['unicast', 'broadcast', 'multicast'] as const;
const TYPE_ALIASES: Readonly<Record<string, (typeof PACKET_TYPES)[number]>> = {
  host: 'unicast',
  unicast: 'unicast',
  broadcast: 'broadcast',
  bcast: 'broadcast',
  multicast: 'multicast',
  mcast: 'multicast',
};

export const pkttype: MatchExtension = {
  name: 'pkttype',
  options: { '--pkt-type': 1 },
  bind(given) {
    const found = once('pkttype', given, '--pkt-type');
    const type = TYPE_ALIASES[found?.values[0]?.toLowerCase() ?? ''];
    if (found === undefined || type === undefined) throw usage(`Bad packet type '${found?.values[0] ?? ''}'`);
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--pkt-type ${type}`,
      list: () => `PKTTYPE ${negated ? '!=' : '='} ${type}`,
      compile:
        () =>
        ({ frame, in: input }) => {
          const dst = input === null || !input.hasLinkLayer ? 0 : readMac(frame, 0);
          const actual = dst === BROADCAST_MAC ? 'broadcast' : isGroupMac(dst) ? 'multicast' : 'unicast';
          return (actual === type) !== negated;
        },
    };
  },
};

export const physdev: MatchExtension = {
  name: 'physdev',
  options: {
    '--physdev-in': 1,
    '--physdev-out': 1,
    '--physdev-is-in': 0,
    '--physdev-is-out': 0,
    '--physdev-is-bridged': 0,
  },
  bind(given) {
    const one = (option: string) => once('physdev', given, option);
    const order = [
      '--physdev-is-in',
      '--physdev-in',
      '--physdev-is-out',
      '--physdev-out',
      '--physdev-is-bridged',
    ];
    const asked = order.flatMap((option) => one(option) ?? []);
    if (asked.length === 0) throw usage('PHYSDEV: no physdev option specified');
    const text = asked
      .map(({ option, negated, values }) => [...(negated ? ['!'] : []), option, ...values].join(' '))
      .join(' ');
    const named = (found: Given | undefined) =>
      found === undefined ? null : interfaceMatch({ name: found.values[0] ?? '', negated: found.negated });
    return {
      save: text,
      list: () => `PHYSDEV match ${text}`,
      compile: () => {
        const input = named(one('--physdev-in'));
        const output = named(one('--physdev-out'));
        const flag = (option: string, actual: boolean) => {
          const found = one(option);
          return found === undefined || actual !== found.negated;
        };
        return ({ physIn, physOut }) =>
          flag('--physdev-is-in', physIn !== null) &&
          flag('--physdev-is-out', physOut !== null) &&
          flag('--physdev-is-bridged', physIn !== null && physOut !== null) &&
          (input === null || input(physIn)) &&
          (output === null || output(physOut));
      },
    };
  },
};
