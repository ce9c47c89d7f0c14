import type { Side } from '../../ipset/ipsets.ts';
import type { SetType } from '../../ipset/spec.ts';
import { usage } from '../error.ts';
import type { CompileContext, MatchExtension } from '../extension.ts';
import { once } from '../values.ts';

const MOST_SIDES = 6;

/** Options that ask or change what a set has counted. */
const COUNTERS = [
  '--update-counters',
  '--update-subcounters',
  '--packets-eq',
  '--packets-lt',
  '--packets-gt',
  '--bytes-eq',
  '--bytes-lt',
  '--bytes-gt',
] as const;

/** @throws XtablesError */
export function parseSides(text: string): Side[] {
  const sides = text.split(',').map((word): Side => {
    if (word === 'src' || word === 'dst') return word;
    throw usage("You must spefify (the comma separated list of) 'src' or 'dst'.");
  });
  if (sides.length > MOST_SIDES) throw usage("Can't be more src/dst options than 6.");
  return sides;
}

const FAMILIES = { inet: 'IPv4', inet6: 'IPv6' } as const;
/** Sets that are of no family (`NFPROTO_UNSPEC`). */
const OF_ANY: ReadonlySet<SetType> = new Set(['bitmap:port', 'list:set']);

/** Refuses a set that is not there, or has addresses of the other family. @throws XtablesError */
export function requireSet({ ns, family }: CompileContext, name: string): void {
  const spec = ns.ipsets.get(name)?.spec;
  if (spec === undefined) throw usage(`Set ${name} doesn't exist.\n`);
  if (spec.family !== family && !OF_ANY.has(spec.type))
    throw usage(`The protocol family of set ${name} is ${FAMILIES[spec.family]}, which is not applicable.\n`);
}

/** Whether a packet is in a set of ipset (xt_set.c). */
export const set: MatchExtension = {
  name: 'set',
  options: {
    '--match-set': 2,
    '--return-nomatch': 0,
    ...Object.fromEntries(COUNTERS.map((name) => [name, name.startsWith('--update') ? 0 : 1] as const)),
  },
  bind(given) {
    const found = once('set', given, '--match-set');
    if (found === undefined) throw usage("You must specify `--match-set' with proper arguments");
    const counter = given.find(({ option }) => COUNTERS.some((name) => name === option));
    if (counter !== undefined) throw usage(`set: ${counter.option} is not emulated`);
    const [name = '', text = ''] = found.values;
    const sides = parseSides(text);
    const nomatch = once('set', given, '--return-nomatch') === undefined ? 'skip' : 'return';
    const { negated } = found;
    const words = (dashes: string) =>
      `${negated ? '! ' : ''}${dashes}match-set ${name} ${sides.join(',')}` +
      (nomatch === 'return' ? ` ${dashes}return-nomatch` : '');
    return {
      usesSet: name,
      save: words('--'),
      list: () => words(''),
      check: (context) => requireSet(context, name),
      compile: ({ ns }) => {
        const { ipsets } = ns;
        return (skb) => ipsets.test(name, skb, sides, nomatch) !== negated;
      },
    };
  },
};
