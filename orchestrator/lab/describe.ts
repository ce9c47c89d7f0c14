import type { NodeConfig } from '../../nodes/config.ts';
import type { CompiledLab } from './compiled.ts';
import { formatDuration } from './duration.ts';

/** A compiled lab in some lines for people: what is in it, and every timer that its nodes will run with. */
export function describe(lab: CompiledLab): string {
  const { name, nodes, segments, pods, seed, timeScale, warnings } = lab;
  const lans = segments.filter(({ kind }) => kind === 'lan');
  const sessions = nodes.reduce((sum, { bgp }) => sum + (bgp?.neighbors.length ?? 0), 0) / 2;
  const lines = [
    `lab ${name}: ${count(nodes.length, 'node')} (${roles(nodes)}), ${count(pods.length, 'pod')}, seed ${seed}`,
    `  ${count(segments.length - lans.length, 'link')}, ${count(sessions, 'BGP session')}`,
  ];
  for (const { name: lan, subnet, delay, members } of lans) {
    lines.push(
      `  segment ${lan}: ${subnet}, ${count(members.length, 'interface')}, ${formatDuration(delay)} one way`,
    );
  }
  lines.push(timeScale === 1 ? 'timers' : `timers, all multiplied by ${timeScale}`);
  const byTimers = new Map<string, NodeConfig[]>();
  for (const node of nodes) {
    const text = describeTimings(node).join('\n');
    byTimers.set(text, [...(byTimers.get(text) ?? []), node]);
  }
  for (const [text, users] of byTimers) {
    lines.push(`  ${roles(users)}`, ...text.split('\n').map((line) => `    ${line}`));
  }
  return [...lines, ...warnings.map((warning) => `warning: ${warning}`)].join('\n');
}

/** A line for each kind of timer that the node has a use for. */
function describeTimings({ timers, bgp, cni }: NodeConfig): string[] {
  const used = Object.entries(timers).filter(([section]) => {
    if (section === 'bgp') return bgp !== undefined;
    if (section === 'bfd') return bgp?.neighbors.some((neighbor) => neighbor.bfd !== undefined) ?? false;
    return section !== 'flannel' || cni?.type === 'flannel';
  });
  return used.map(([section, values]) => {
    const set = Object.entries(values as Record<string, number>);
    return `${section.padEnd(9)}${set.map(([key, ms]) => `${key} ${formatDuration(ms)}`).join(', ')}`;
  });
}

function roles(nodes: readonly NodeConfig[]): string {
  const counts = new Map<string, number>();
  for (const { role } of nodes) counts.set(role, (counts.get(role) ?? 0) + 1);
  return [...counts]
    .map(([role, number]) => count(number, role === 'node' ? 'cluster node' : role))
    .join(', ');
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : word.endsWith('ch') ? 'es' : 's'}`;
}
