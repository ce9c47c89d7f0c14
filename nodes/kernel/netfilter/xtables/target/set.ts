import type { Side } from '../../ipset/ipsets.ts';
import { usage } from '../error.ts';
import type { Given, TargetExtension } from '../extension.ts';
import { parseSides, requireSet } from '../match/set.ts';
import { parseNumber } from '../values.ts';

const MOST_TIMEOUT = 4_294_967_294;

interface Named {
  readonly name: string;
  readonly sides: readonly Side[];
}

function namedBy(given: readonly Given[], option: string): Named | null {
  const found = given.filter((one) => one.option === option);
  if (found.length > 1) throw usage(`${option} can be specified only once`);
  const [name = '', text = ''] = found[0]?.values ?? [];
  return found[0] === undefined ? null : { name, sides: parseSides(text) };
}

function timeoutOf(given: readonly Given[]): number | null {
  const text = given.find((one) => one.option === '--timeout')?.values[0];
  if (text === undefined) return null;
  const value = parseNumber(text, 0, MOST_TIMEOUT);
  if (value === null) throw usage('Invalid value for option --timeout or out of range 0-4294967294');
  return value;
}

/** Adds what a packet has to a set of ipset, or takes it out (xt_set.c). */
export const setTarget: TargetExtension = {
  name: 'SET',
  options: { '--add-set': 2, '--del-set': 2, '--map-set': 2, '--exist': 0, '--timeout': 1 },
  bind(given) {
    if (given.some(({ option }) => option === '--map-set')) throw usage('SET: --map-set is not emulated');
    const add = namedBy(given, '--add-set');
    const remove = namedBy(given, '--del-set');
    if (add === null && remove === null)
      throw usage("You must specify either `--add-set' or `--del-set' or `--map-set'");
    const timeout = timeoutOf(given);
    const exist = given.some(({ option }) => option === '--exist');
    if (add === null && timeout !== null) throw usage("Option `--timeout' can be used with `--add-set' only");
    if (add === null && exist) throw usage("Flag `--exist' can be used with `--add-set' only");
    const words = (dashes: string) =>
      [
        ...(add === null ? [] : [`${dashes}add-set ${add.name} ${add.sides.join(',')}`]),
        ...(exist ? [`${dashes}exist`] : []),
        ...(timeout === null ? [] : [`${dashes}timeout ${timeout}`]),
        ...(remove === null ? [] : [`${dashes}del-set ${remove.name} ${remove.sides.join(',')}`]),
      ].join(' ');
    const names = [add, remove].flatMap((named) => (named === null ? [] : [named.name]));
    return {
      save: words('--'),
      list: () => words(''),
      usesSets: names,
      check(context) {
        for (const name of names) requireSet(context, name);
      },
      compile: ({ ns }) => {
        const { ipsets } = ns;
        return (skb) => {
          if (add !== null) ipsets.changeBy(add.name, skb, add.sides, exist ? 'add-again' : 'add', timeout);
          if (remove !== null) ipsets.changeBy(remove.name, skb, remove.sides, 'remove', null);
          return 'continue';
        };
      },
    };
  },
};
