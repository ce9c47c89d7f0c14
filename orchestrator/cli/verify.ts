import type { LabEvent } from '../../nodes/events/index.ts';
import { NodeFold } from '../../nodes/state/node-fold.ts';
import { LabHome } from '../home.ts';
import { DAEMON_KINDS } from '../lab/external.ts';
import { openLog } from '../observe/past.ts';
import { type NodeVerdict, verifyNode } from '../observe/verify.ts';
import type { RunningLab } from '../running-lab.ts';
import { withLab } from './attach.ts';
import { bad, good, plural, write } from './output.ts';

/** `reroute verify`: exit code. */
export async function verify(name: string | undefined): Promise<number> {
  const home = LabHome.choose(name, 'any');
  if (!home.isRunning()) return verifyPast(home);
  return withLab(home.name, async (lab) => {
    const verdicts = await verifyAll(lab);
    for (const verdict of verdicts) write(describe(verdict));
    const wrong = verdicts.filter((verdict) => verdict.state === 'differs').length;
    write(
      wrong === 0
        ? `${good('✔')} every running node is the fold of its log\n`
        : `${bad('✘')} ${plural(wrong, 'node')} differ\n`,
    );
    return wrong === 0 ? 0 : 1;
  });
}

export async function verifyAll(lab: RunningLab): Promise<NodeVerdict[]> {
  // A real daemon keeps no log to be held against.
  const nodes = (await lab.nodes()).filter(({ role }) => !DAEMON_KINDS.some((kind) => kind === role));
  return Promise.all(nodes.map((node) => verifyNode(lab, node.name)));
}

/** Of a lab that is down nothing is live: that its log still folds is all there is to check. */
async function verifyPast(home: LabHome): Promise<number> {
  const log = await openLog(home);
  try {
    for (const node of log.lab.nodes) {
      const fold = new NodeFold();
      let events = 0;
      for await (const record of log.records(node.name)) {
        fold.apply(record.event as LabEvent);
        events++;
      }
      fold.view();
      write(`${node.name.padEnd(16)} folds ${events} events\n`);
    }
    write(`lab ${home.name} is down: there is no live state to compare with\n`);
    return 0;
  } finally {
    await log.close();
  }
}

function describe(verdict: NodeVerdict): string {
  const name = verdict.node.padEnd(16);
  switch (verdict.state) {
    case 'down':
      return `${name} down\n`;
    case 'verified':
      return `${name} ${good('equal')} after ${verdict.events} events\n`;
    case 'differs':
      return verdict.differences
        .map(
          ({ slice, folded, live }) =>
            `${name} ${bad('differs')} in ${slice}\n  folded ${JSON.stringify(folded)}\n  live   ${JSON.stringify(live)}\n`,
        )
        .join('');
  }
}
