import { missing } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { once, quoted } from '../values.ts';

/** Bytes of a helper's name that count. */
const MOST_NAME = 29;

/** `-m helper`: flows that a helper has expected (xt_helper.c). Helpers there are none, so that no flow is such a one. */
export const helper: MatchExtension = {
  name: 'helper',
  options: { '--helper': 1 },
  bind(given) {
    const found = once('helper', given, '--helper');
    if (found === undefined) throw missing('helper', '--helper');
    const name = (found.values[0] ?? '').slice(0, MOST_NAME);
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--helper ${quoted(name)}`,
      list: () => `helper match ${negated ? '! ' : ''}"${name}"`,
      compile: ({ ns, family }) => {
        ns.conntrack.require(family);
        return () => negated;
      },
    };
  },
};
