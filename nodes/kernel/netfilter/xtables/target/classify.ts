import { NF_FORWARD, NF_LOCAL_OUT, NF_POST_ROUTING } from '../../hooks.ts';
import { missing, usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';
import { onceAsIs } from '../options.ts';

/** A number in hexadecimal as scanf(3) reads it. */
const CLASS = /^\s*([-+]?(?:0x)?[0-9a-f]+):\s*([-+]?(?:0x)?[0-9a-f]+)/i;

/** The class of traffic control that a packet is of (`skb->priority`, xt_CLASSIFY.c). */
export const classify: TargetExtension = {
  name: 'CLASSIFY',
  options: { '--set-class': 1 },
  hooks: [NF_LOCAL_OUT, NF_FORWARD, NF_POST_ROUTING],
  bind(given) {
    const found = onceAsIs('CLASSIFY', given, '--set-class');
    if (found === undefined) throw missing('CLASSIFY', '--set-class');
    const [text = ''] = found.values;
    const parts = CLASS.exec(text);
    if (parts === null) throw usage(`Bad class value "${text}"`);
    const [major, minor] = [parts[1], parts[2]].map((part) => Number.parseInt(part ?? '', 16) & 0xffff);
    const show = (digits: number) =>
      [major, minor].map((part) => (part ?? 0).toString(16).padStart(digits, '0')).join(':');
    const priority = (((major ?? 0) << 16) | (minor ?? 0)) >>> 0;
    return {
      save: `--set-class ${show(4)}`,
      list: () => `CLASSIFY set ${show(1)}`,
      compile: () => (skb) => {
        skb.priority = priority;
        return 'continue';
      },
    };
  },
};

/**
 * A checksum that a device was to fill in is filled in at once (xt_CHECKSUM.c). No device of ours does so: every packet has its
 * checksum, and there is nothing left to do.
 */
export const checksum: TargetExtension = {
  name: 'CHECKSUM',
  options: { '--checksum-fill': 0 },
  tables: ['mangle'],
  bind(given) {
    if (onceAsIs('CHECKSUM', given, '--checksum-fill') === undefined)
      throw missing('CHECKSUM', '--checksum-fill');
    return {
      save: '--checksum-fill',
      list: () => 'CHECKSUM fill',
      compile: () => () => 'continue',
    };
  },
};
