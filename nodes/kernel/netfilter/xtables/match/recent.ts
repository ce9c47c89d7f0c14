import { formatIp, type IpAddress, type IpFamily, maskIp } from '../../../../../protocols/ip.ts';
import { parseIp4 } from '../../../../../protocols/ip4.ts';
import { parseIp6 } from '../../../../../protocols/ip6.ts';
import { invalid, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { destinationOf, sourceOf, ttlOf } from '../packet.ts';
import { hostMask, once, parseNumber } from '../values.ts';

const ACTIONS = { '--set': 'SET', '--rcheck': 'CHECK', '--update': 'UPDATE', '--remove': 'REMOVE' } as const;
type ActionOption = keyof typeof ACTIONS;
const ACTION_OPTIONS = Object.keys(ACTIONS) as readonly ActionOption[];

/** A mask is an address here, and a number one of IPv4. */
function maskOf(text: string, family: IpFamily): IpAddress | null {
  return family === 'inet' ? (parseIp4(text) ?? parseNumber(text)) : parseIp6(text);
}

/** Whether an address has been seen of late (xt_recent.c). */
export const recent: MatchExtension = {
  name: 'recent',
  options: {
    '--set': 0,
    '--rcheck': 0,
    '--update': 0,
    '--remove': 0,
    '--seconds': 1,
    '--reap': 0,
    '--hitcount': 1,
    '--rttl': 0,
    '--name': 1,
    '--rsource': 0,
    '--rdest': 0,
    '--mask': 1,
  },
  bind(given, { family }) {
    const one = (option: string) => once('recent', given, option);
    const actions = given.filter(({ option }) => ACTION_OPTIONS.some((name) => name === option));
    const [action] = actions;
    if (action === undefined || actions.length > 1)
      throw usage("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'");
    const option = action.option as ActionOption;
    const { negated } = action;
    const number = (name: string) => {
      const found = one(name);
      if (found === undefined) return 0;
      const value = parseNumber(found.values[0] ?? '', 1);
      if (value === null) throw usage(`recent: Bad value for "${name}" option: "${found.values[0] ?? ''}"`);
      return value;
    };
    const seconds = number('--seconds');
    const hits = number('--hitcount');
    const reap = one('--reap') !== undefined;
    const byTtl = one('--rttl') !== undefined;
    const name = one('--name')?.values[0] ?? 'DEFAULT';
    const maskText = one('--mask')?.values[0];
    const mask = maskText === undefined ? hostMask(family) : maskOf(maskText, family);
    const side = one('--rdest') === undefined ? 'source' : 'dest';
    if (mask === null) throw usage(`recent: Bad value for "--mask" option: "${maskText ?? ''}"`);
    if ((option === '--set' || option === '--remove') && (seconds > 0 || hits > 0 || reap || byTtl))
      throw invalid();
    if (reap && seconds === 0) throw usage('recent: option "--reap" requires option "--seconds"');
    const words = [
      `${negated ? '! ' : ''}${option}`,
      ...(seconds > 0 ? [`--seconds ${seconds}`] : []),
      ...(reap ? ['--reap'] : []),
      ...(hits > 0 ? [`--hitcount ${hits}`] : []),
      ...(byTtl ? ['--rttl'] : []),
      `--name ${name}`,
      `--mask ${formatIp(mask)}`,
      side === 'source' ? '--rsource' : '--rdest',
    ];
    const listed = [
      `${negated ? '! ' : ''}recent: ${ACTIONS[option]}`,
      ...(seconds > 0 ? [`seconds: ${seconds}`] : []),
      ...(reap ? ['reap'] : []),
      ...(hits > 0 ? [`hit_count: ${hits}`] : []),
      ...(byTtl ? ['TTL-Match'] : []),
      `name: ${name}`,
      `side: ${side}`,
      `mask: ${formatIp(mask)}`,
    ];
    return {
      save: words.join(' '),
      list: () => listed.join(' '),
      compile: ({ ns }) => {
        const { rt } = ns.kernel;
        const lists = ns.recent;
        return (skb) => {
          const addr = maskIp(side === 'source' ? sourceOf(skb) : destinationOf(skb), mask);
          // As it was before it was forwarded.
          const ttl = ttlOf(skb) + (skb.in !== null && skb.out !== null ? 1 : 0);
          if (option === '--set') {
            lists.touch(name, addr, ttl);
            return !negated;
          }
          const entry = lists.find(name, addr);
          if (entry === undefined || (byTtl && entry.ttl !== ttl)) return negated;
          if (option === '--remove') {
            lists.remove(name, addr);
            return !negated;
          }
          const since = seconds === 0 ? Number.NEGATIVE_INFINITY : rt.now - seconds * 1000;
          const seen = entry.stamps.reduce((count, at) => count + (at >= since ? 1 : 0), 0);
          const found = seen >= Math.max(hits, 1);
          if (reap) lists.reap(name, rt.now - seconds * 1000);
          if (option === '--update' && found) lists.touch(name, addr, ttl);
          return found !== negated;
        };
      },
    };
  },
};
