import { changeNetem, isPlain, netemProblem, PLAIN_NETEM } from '../protocols/netem/parameters.ts';
import { formatNetem } from '../protocols/netem/words.ts';
import type { CommandReply, Impairment, ImpairmentChange } from './commands.ts';
import type { Netns } from './kernel/netns.ts';

/** Applies a change to an impairment. One that leaves nothing of netem's takes it away. */
export function changeImpairment(old: Impairment, change: ImpairmentChange): Impairment {
  switch (change.op) {
    case 'cut':
      return { ...old, cut: change.cut };
    case 'reset':
      return { ...old, netem: null };
    case 'netem': {
      const netem = changeNetem(old.netem ?? PLAIN_NETEM, change.changes);
      return { ...old, netem: isPlain(netem) ? null : netem };
    }
  }
}

/** What cannot be about an impairment, in words; null if it can. */
export function impairmentProblem({ netem }: Impairment): string | null {
  return netem === null ? null : netemProblem(netem);
}

/** Changes what is wrong with a port of a node. */
export function impair(root: Netns, name: string, change: ImpairmentChange): CommandReply {
  const device = root.device(name);
  if (device?.kind !== 'ether') return { type: 'error', message: `no interface ${name}` };
  const cut = root.impairments.cuts().find(({ dev }) => dev === name)?.cut ?? 'none';
  const next = changeImpairment({ netem: device.qdisc?.parameters ?? null, cut }, change);
  const problem = impairmentProblem(next);
  if (problem !== null) return { type: 'error', message: problem };
  if (change.op === 'cut') root.impairments.setCut(name, next.cut);
  else if (next.netem === null) root.impairments.removeNetem(name);
  else root.impairments.setNetem(name, next.netem);
  return { type: 'value', value: next };
}

/** A change in words. */
export function impairmentWords(change: ImpairmentChange): string {
  switch (change.op) {
    case 'cut':
      return change.cut === 'none' ? 'mend' : `cut ${change.cut}`;
    case 'reset':
      return 'netem reset';
    case 'netem':
      return `netem ${formatNetem(changeNetem(PLAIN_NETEM, change.changes)).replace('limit 1000 ', '')}`;
  }
}
