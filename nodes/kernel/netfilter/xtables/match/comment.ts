import { missing, usage } from '../error.ts';
import type { MatchExtension } from '../extension.ts';
import { once, quoted } from '../values.ts';

const MAX = 255;

export const comment: MatchExtension = {
  name: 'comment',
  options: { '--comment': 1 },
  bind(given) {
    const found = once('comment', given, '--comment');
    if (found === undefined) throw missing('comment', '--comment');
    const text = found.values[0] ?? '';
    if (text.length > MAX) throw usage(`comment: max length is ${MAX} for "--comment"`);
    return { save: `--comment ${quoted(text)}`, list: () => `/* ${text} */`, compile: () => () => true };
  },
};
