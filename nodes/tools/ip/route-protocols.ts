import type { RouteProtocol, RouteScope } from '../../events/kernel.ts';
import { invalidArgument, notEmulated } from './words.ts';

/** /etc/iproute2/rt_protos, as far as the kernel's routes tell them apart. */
const NUMBERS: Readonly<Record<string, RouteProtocol>> = {
  2: 'kernel',
  3: 'boot',
  4: 'static',
  12: 'bird',
  186: 'bgp',
};

const OTHERS = ['redirect', 'gated', 'ra', 'mrt', 'zebra', 'dnrouted', 'xorp', 'ntk', 'dhcp', 'keepalived'];
const MORE_OTHERS = ['babel', 'ovn', 'openr', 'isis', 'ospf', 'rip', 'eigrp', 'unspec'];

/** A protocol by name or number. @throws ToolError */
export function protocolOf(word: string): RouteProtocol {
  const byNumber = Object.hasOwn(NUMBERS, word) ? NUMBERS[word] : undefined;
  const protocol = byNumber ?? Object.values(NUMBERS).find((name) => name === word);
  if (protocol !== undefined) return protocol;
  if ([...OTHERS, ...MORE_OTHERS].includes(word) || (/^\d{1,3}$/.test(word) && Number(word) < 256))
    throw notEmulated(`route protocol ${word}`);
  throw invalidArgument(word, '"protocol" value is invalid\n');
}

/** @throws ToolError */
export function routeScopeOf(word: string): RouteScope {
  switch (word) {
    case 'global':
    case 'universe':
    case '0':
      return 'global';
    case 'link':
    case '253':
      return 'link';
    case 'host':
    case '254':
      return 'host';
    default:
      throw invalidArgument(word, 'invalid "scope" value\n');
  }
}

export type TableName = 'main' | 'local' | 'all' | 'absent';

/** A table by name or number; `absent` is one that no route is in. @throws ToolError */
export function tableOf(word: string): TableName {
  switch (word) {
    case 'main':
    case '254':
      return 'main';
    case 'local':
    case '255':
      return 'local';
    case 'all':
    case '0':
      return 'all';
    default:
      if (word === 'default' || /^\d{1,9}$/.test(word)) return 'absent';
      throw invalidArgument(word, 'table id value is invalid\n');
  }
}

/** @throws ToolError */
export function metricOf(word: string): number {
  const metric = /^\d{1,10}$/.test(word) ? Number(word) : Number.NaN;
  if (!(metric < 2 ** 32)) throw invalidArgument(word, '"metric" value is invalid\n');
  return metric;
}
