import type { Skb } from '../../skb.ts';
import { missing, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { hex, once, parseMasked } from '../values.ts';

/** `--mark` of a packet, or of its flow. */
function markMatch(name: 'mark' | 'connmark', read: (skb: Skb) => number | null): MatchExtension {
  return {
    name,
    options: { '--mark': 1 },
    bind(given) {
      const found = once(name, given, '--mark');
      if (found === undefined) throw missing(name, '--mark');
      const masked = parseMasked(found.values[0] ?? '');
      if (masked === null) throw usage(`${name}: bad integer value for option "--mark", or out of range.\n`);
      const { value, mask } = masked;
      const { negated } = found;
      const text = mask === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`;
      return {
        save: `${negated ? '! ' : ''}--mark ${text}`,
        // connmark's own two blanks are libxtables'.
        list: () =>
          name === 'mark'
            ? `mark match ${negated ? '! ' : ''}${text}`
            : `connmark match ${negated ? '!' : ''} ${text}`,
        compile: ({ ns, family }) => {
          if (name === 'connmark') ns.conntrack.require(family);
          return (skb) => {
            const mark = read(skb);
            return mark !== null && ((mark & mask) >>> 0 === value) !== negated;
          };
        },
      };
    },
  };
}

export const mark = markMatch('mark', (skb) => skb.mark);
export const connmark = markMatch('connmark', ({ ct }) => ct?.mark ?? null);
