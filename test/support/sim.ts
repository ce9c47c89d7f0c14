import type { AnyRecord } from '../../orchestrator/events.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import type { CompiledLab } from '../../orchestrator/lab/compiled.ts';
import { baseline, type Convergence, waitConverged } from '../../orchestrator/observe/quiescence.ts';
import type { Snapshot } from '../../orchestrator/observe/verify.ts';
import type { RunningLab } from '../../orchestrator/running-lab.ts';
import { SimLab } from '../../orchestrator/simulate/sim-lab.ts';

/** Virtual time costs nothing: longer than any timer of the labs here, ms. */
const WITHIN = 600_000;

export interface ClusterOptions {
  readonly seed?: number;
  readonly nodes?: number;
  readonly pods?: number;
}

/** Calico: `reflectors` of them beside the nodes, none for a full mesh. Without graceful restart what dies is missed at once. */
export function calico(
  options: ClusterOptions & {
    readonly reflectors?: number;
    readonly blockSize?: number;
    readonly gracefulRestart?: boolean;
  } = {},
): string {
  const { reflectors = 1, blockSize = 26, gracefulRestart = false } = options;
  const names = Array.from({ length: reflectors }, (_, i) => `    rr${i + 1}: { kind: reflector }`);
  return cluster(options, names, [
    'cni: calico',
    `blockSize: ${blockSize}`,
    `calico: { mesh: ${reflectors > 0 ? 'reflectors' : 'full'}, gracefulRestart: ${gracefulRestart} }`,
  ]);
}

export function flannel(
  backend: 'udp' | 'vxlan' | 'host-gw' | 'ipip' | 'wireguard' | 'ipsec',
  options: ClusterOptions & { readonly subnetLen?: number } = {},
): string {
  const yaml = cluster(
    options,
    [],
    ['cni: flannel', `backend: ${backend}`, `subnetLen: ${options.subnetLen ?? 24}`],
  );
  if (backend !== 'ipsec') return yaml;
  // Its packets go by the default route until a policy takes them.
  return yaml
    .replaceAll('{ kind: node }', '{ kind: node, gateway: 172.18.18.1 }')
    .replace('backend: ipsec', `backend: ipsec\n  flannel: { psk: ${'k'.repeat(96)} }`);
}

function cluster(options: ClusterOptions, more: readonly string[], cni: readonly string[]): string {
  const { seed = 1, nodes = 3, pods = 2 } = options;
  const names = Array.from({ length: nodes }, (_, i) => `    n${i + 1}: { kind: node }`);
  return `
name: sim
seed: ${seed}
topology:
  nodes:
${[...names, ...more].join('\n')}
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.101, nodes: all }
cluster:
  ${cni.join('\n  ')}
  pods: { perNode: ${pods}, name: web, labels: { app: web } }
`;
}

/** Runs a lab in the simulator until every session stands and nothing moves. */
export async function simulate(lab: string | CompiledLab): Promise<SimLab> {
  const sim = new SimLab(typeof lab === 'string' ? compileLab(lab, 'sim.yaml') : lab);
  await sim.start();
  const since = { at: 0, reports: [] };
  const result = await waitConverged(sim, { within: WITHIN, since, sessions: 'established' });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  return sim;
}

/** Runs on until nothing moves. */
export async function settle(lab: RunningLab): Promise<Convergence> {
  const result = await waitConverged(lab, { within: WITHIN, since: await baseline(lab) });
  if (!result.converged) throw new Error(result.reasons.join('; '));
  return result;
}

export async function recordsOf(lab: RunningLab, node: string): Promise<AnyRecord[]> {
  const records: AnyRecord[] = [];
  for await (const record of lab.records(node)) records.push(record);
  return records;
}

/** A node's live state, and the last event that is in it. */
export async function snapshotOf(lab: RunningLab, node: string): Promise<Snapshot> {
  const reply = await lab.command(node, { type: 'snapshot' });
  if (reply.type !== 'value') throw new Error(`${node} gave no snapshot`);
  return reply.value as Snapshot;
}
