import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import { missing } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { parseCount } from '../options.ts';
import { once } from '../values.ts';

/** `-m quota`: so many bytes, counted down by each packet that is asked about (xt_quota.c). */
export const quota: MatchExtension = {
  name: 'quota',
  options: { '--quota': 1 },
  bind(given) {
    const found = once('quota', given, '--quota');
    if (found === undefined) throw missing('quota', '--quota');
    const bytes = parseCount('quota', found, found.values[0] ?? '');
    const { negated } = found;
    return {
      save: `${negated ? '! ' : ''}--quota ${bytes}`,
      list: () => `quota: ${bytes} bytes`,
      countsAlone: true,
      compile: () => {
        let left = Number(bytes);
        return ({ frame }) => {
          const length = frame.length - ETH_HLEN;
          // Once a packet is too long, shorter ones come too late.
          const fits = length <= left;
          left = fits ? left - length : 0;
          return fits !== negated;
        };
      },
    };
  },
};
