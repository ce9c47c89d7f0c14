import type { ExecutionContext } from 'ava';
import { PROGRAMS } from '../../orchestrator/external/daemon-host.ts';
import { DaemonProcess } from '../../orchestrator/external/daemon-process.ts';
import { placeLab } from '../../orchestrator/external/loopback.ts';
import { daemonConfig } from '../../orchestrator/external/program.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import { temporaryFolder } from '../support/nats.ts';
import { BAD_MESSAGES, type BadMessage, type Outcome, provoke } from './bad-messages.ts';
import type { Kind } from './harness.ts';

const OUR_AS = 65_001;

/** What a daemon makes of bad messages, each sent by a neighbour of its own. One that ends it takes all down with it. */
export async function outcomesOf(
  t: ExecutionContext,
  kind: Kind,
  cases: readonly BadMessage[] = BAD_MESSAGES,
): Promise<Record<string, Outcome>> {
  const names = cases.map((_, i) => `t${i}`);
  const yaml = `
name: faults-${kind}
topology:
  kinds: { router: { bgp: { as: ${OUR_AS}, neighbors: [{ node: d }] } } }
  nodes:
    d: { kind: ${kind}, bgp: { as: 65100, session: { passive: true } } }
${names.map((name) => `    ${name}: { kind: router }`).join('\n')}
segments:
  lan: { subnet: 10.0.0.0/24, nodes: all }
timers: { bgp: { holdTime: 3s, keepalive: 1s } }
`;
  const { lab, release } = await placeLab(compileLab(yaml, 'faults.yaml'));
  t.teardown(release);
  const node = lab.nodes.find(({ name }) => name === 'd')!;
  const config = daemonConfig(node);
  const folder = temporaryFolder(t);
  const daemon = new DaemonProcess({
    program: PROGRAMS[kind],
    kind,
    config,
    folder,
    logFile: `${folder}/log`,
    start: 'first',
  });
  t.teardown(() => daemon.end());
  await daemon.ready();
  const outcomes = await Promise.all(
    cases.map((bad, i) => {
      const session = config.sessions.find(({ neighbor }) => neighbor.name === names[i])!;
      return provoke({ ...config.transport, from: session.remote.address }, OUR_AS, bad);
    }),
  );
  const crashed = (await daemon.run(PROGRAMS[kind].probe(config))).code !== 0;
  return Object.fromEntries(
    cases.map(({ name }, i) => [name, crashed ? 'crashes' : (outcomes[i] ?? 'closed')]),
  );
}
