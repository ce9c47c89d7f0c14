import { NF_LOCAL_OUT, NF_PRE_ROUTING } from '../../hooks.ts';
import { usage } from '../error.ts';
import type { TargetExtension } from '../extension.ts';

export const trace: TargetExtension = {
  name: 'TRACE',
  options: {},
  tables: ['raw'],
  hooks: [NF_PRE_ROUTING, NF_LOCAL_OUT],
  bind: () => ({
    save: '',
    list: () => '',
    compile: () => (skb) => {
      skb.trace = true;
      return 'continue';
    },
  }),
};

export const notrack: TargetExtension = {
  name: 'NOTRACK',
  shownAs: 'CT',
  options: {},
  tables: ['raw'],
  bind: () => ({
    save: '',
    list: () => 'NOTRACK',
    compile:
      ({ ns }) =>
      (skb) => {
        ns.conntrack.notrack(skb);
        return 'continue';
      },
  }),
};

export const ct: TargetExtension = {
  name: 'CT',
  options: { '--notrack': 0, '--helper': 1, '--timeout': 1, '--ctevents': 1, '--expevents': 1, '--zone': 1 },
  tables: ['raw'],
  bind(given) {
    const other = given.find(({ option }) => option !== '--notrack');
    if (other !== undefined) throw usage(`CT: ${other.option} is not emulated`);
    if (given.length === 0) throw usage('CT: an option is required');
    return {
      save: '--notrack',
      list: () => 'CT notrack',
      compile:
        ({ ns }) =>
        (skb) => {
          ns.conntrack.notrack(skb);
          return 'continue';
        },
    };
  },
};
