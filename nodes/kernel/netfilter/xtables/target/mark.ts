import { usage } from '../error.ts';
import type { Given, TargetExtension } from '../extension.ts';
import { hex, once, parseMasked, parseNumber } from '../values.ts';

/** Bits that are cleared, then bits that are flipped. */
interface Change {
  readonly mask: number;
  readonly value: number;
}

const CHANGES = ['--set-mark', '--set-xmark', '--or-mark', '--and-mark', '--xor-mark'] as const;

/** @throws XtablesError */
function changeOf(name: string, { option, values }: Given): Change {
  const text = values[0] ?? '';
  const bad = () => usage(`${name}: bad integer value for option "${option}", or out of range.\n`);
  if (option === '--set-mark' || option === '--set-xmark') {
    const masked = parseMasked(text);
    if (masked === null) throw bad();
    const { value, mask } = masked;
    return { value, mask: option === '--set-mark' ? (value | mask) >>> 0 : mask };
  }
  const bits = parseNumber(text);
  if (bits === null)
    throw usage(`${name}: bad value for option "${option}", or out of range (0-4294967295).\n`);
  if (option === '--or-mark') return { value: bits, mask: bits };
  return option === '--and-mark' ? { value: 0, mask: ~bits >>> 0 } : { value: bits, mask: 0 };
}

function changed(old: number, { mask, value }: Change): number {
  return ((old & ~mask) ^ value) >>> 0;
}

function listChange({ mask, value }: Change): string {
  if (value === 0) return `and ${hex(~mask >>> 0)}`;
  if (value === mask) return `or ${hex(value)}`;
  if (mask === 0) return `xor ${hex(value)}`;
  return mask === 0xffffffff ? `set ${hex(value)}` : `xset ${hex(value)}/${hex(mask)}`;
}

export const mark: TargetExtension = {
  name: 'MARK',
  options: Object.fromEntries(CHANGES.map((option) => [option, 1])),
  bind(given) {
    const found = once('MARK', given, ...CHANGES);
    if (found === undefined)
      throw usage('MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required');
    const change = changeOf('MARK', found);
    return {
      save: `--set-xmark ${hex(change.value)}/${hex(change.mask)}`,
      list: () => `MARK ${listChange(change)}`,
      compile: () => (skb) => {
        skb.mark = changed(skb.mark, change);
        return 'continue';
      },
    };
  },
};

/** A mask of --save-mark and --restore-mark. */
function maskOf(given: readonly Given[], option: string): number {
  const found = once('CONNMARK', given, option) ?? once('CONNMARK', given, '--mask');
  if (found === undefined) return 0xffffffff;
  const mask = parseNumber(found.values[0] ?? '');
  if (mask === null)
    throw usage(`CONNMARK: Bad value for "${found.option}" option: "${found.values[0] ?? ''}"`);
  return mask;
}

export const connmark: TargetExtension = {
  name: 'CONNMARK',
  options: {
    ...Object.fromEntries(CHANGES.map((option) => [option, 1] as const)),
    '--save-mark': 0,
    '--restore-mark': 0,
    '--nfmask': 1,
    '--ctmask': 1,
    '--mask': 1,
  },
  bind(given) {
    const found = once('CONNMARK', given, ...CHANGES, '--save-mark', '--restore-mark');
    if (found === undefined) throw usage('CONNMARK target: No operation specified');
    const { option } = found;
    if (option !== '--save-mark' && option !== '--restore-mark') {
      const change = changeOf('CONNMARK', found);
      return {
        save: `--set-xmark ${hex(change.value)}/${hex(change.mask)}`,
        list: () => `CONNMARK ${listChange(change)}`,
        compile: ({ ns, family }) => {
          ns.conntrack.require(family);
          return ({ ct }) => {
            if (ct !== null) ct.mark = changed(ct.mark, change);
            return 'continue';
          };
        },
      };
    }
    const nfmask = maskOf(given, '--nfmask');
    const ctmask = maskOf(given, '--ctmask');
    const saves = option === '--save-mark';
    return {
      save: `${option} --nfmask ${hex(nfmask)} --ctmask ${hex(ctmask)}`,
      list: () => {
        const words = `CONNMARK ${saves ? 'save' : 'restore'}`;
        if (nfmask === 0xffffffff && ctmask === 0xffffffff) return words;
        if (nfmask === ctmask) return `${words} mask ${hex(nfmask)}`;
        return saves
          ? `${words} nfmask ${hex(nfmask)} ctmask ~${hex(ctmask)}`
          : `${words} ctmask ${hex(ctmask)} nfmask ~${hex(nfmask)}`;
      },
      compile: ({ ns, family }) => {
        ns.conntrack.require(family);
        return (skb) => {
          const { ct } = skb;
          if (ct === null) return 'continue';
          if (saves) ct.mark = ((ct.mark & ~ctmask) ^ (skb.mark & nfmask)) >>> 0;
          else skb.mark = ((skb.mark & ~nfmask) ^ (ct.mark & ctmask)) >>> 0;
          return 'continue';
        };
      },
    };
  },
};
