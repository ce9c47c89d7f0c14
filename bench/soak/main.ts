import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { seededRandom } from '../../nodes/random.ts';
import type { Random } from '../../nodes/runtime.ts';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { atLeastOne } from '../../orchestrator/cli/arguments.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { compileLab } from '../../orchestrator/lab/compile.ts';
import type { CompiledLab } from '../../orchestrator/lab/compiled.ts';
import { ensureNatsServer } from '../../orchestrator/setup/nats-server.mjs';
import { Supervisor } from '../../orchestrator/supervisor/supervisor.ts';
import { type PeerPlace, persist, TROUBLES, type Trouble } from './peers.ts';
import { type Sample, type Trend, trendOf } from './trend.ts';

/** The bench is bundled elsewhere, and run from here. */
const ROOT = process.cwd();
const SEED = 5280;
const PORT = 17_900;
/** Loopback addresses of the target and, from the next on, of its peers. */
const RANGE = '127.210.0';
const PEER_AS = 65_101;
/** A peer that does not read is given up after this, ms, in place of eight minutes. */
const SEND_HOLD = 20_000;
/** The measured nodes: one among the troubles, one behind a cable that is pulled and plugged. */
const MEASURED = ['r1', 'r2'] as const;
const CABLE = 8_000;
const ASK = 5_000;

interface Options {
  readonly minutes: number;
  readonly every: number;
}

/** The bench from its command line. Resolves to the exit status: 1 if a node's memory grows. */
export async function main(argv: readonly string[]): Promise<number> {
  const command = new Command('node bench/soak/run.mjs')
    .description('whether the memory of a node grows under sessions that flap, flood, stay silent and churn')
    .option('--minutes <n>', 'how long', atLeastOne, 20)
    .option('--every <s>', 'time between two looks at the memory, s', atLeastOne, 10);
  command.parse(argv, { from: 'user' });
  const { minutes, every } = command.opts<Options>();
  const folder = mkdtempSync(join(tmpdir(), 'reroute-soak-'));
  process.env.REROUTE_HOME = folder;
  process.env.SOAK_FOLDER = folder;
  process.env.SOAK_EVERY = String(every * 1_000);
  process.env.NODE_OPTIONS = `--require ${join(ROOT, 'bench', 'soak', 'gauge.cjs')}`;
  try {
    return await soak(folder, minutes);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Each peer of each kind of trouble, in order. */
function places(): { readonly trouble: Trouble; readonly place: PeerPlace }[] {
  return TROUBLES.flatMap((trouble) => Array.from({ length: trouble.peers }, (_, i) => ({ trouble, i }))).map(
    ({ trouble, i }, number) => ({
      trouble,
      place: {
        name: `${trouble.name}${i + 1}`,
        localAddress: `${RANGE}.${number + 2}`,
        asn: PEER_AS + number,
        nextHop: 0x0a00_0002 + number,
        target: { address: `${RANGE}.1`, port: PORT },
      },
    }),
  );
}

function labOf(peers: readonly PeerPlace[]): CompiledLab {
  const external = peers.map(
    ({ name, asn, localAddress }) =>
      `    ${name}: { kind: external, bgp: { as: ${asn} }, external: { address: ${localAddress}, local: ${RANGE}.1, listen: ${PORT} } }`,
  );
  const members = ['r1', ...peers.map(({ name }) => name)].join(', ');
  const lab = compileLab(
    `
name: soak
topology:
  nodes:
    r1: { kind: router, bgp: { as: 65000, networks: [192.0.2.0/24], session: { passive: true, mrai: 0s }, peers: { r2: { passive: false } } } }
    r2: { kind: router, bgp: { as: 65001, networks: [198.51.100.0/24], session: { mrai: 0s } } }
${external.join('\n')}
  links:
    - { endpoints: ["r1:eth9", "r2:eth1"] }
segments:
  lan: { subnet: 10.0.0.0/24, nodes: [${members}] }
timers: { bgp: { holdTime: 9s, keepalive: 3s, connectRetry: 300ms, idleHold: 100ms, idleHoldMax: 500ms } }
`,
    'soak.yaml',
  );
  const nodes = lab.nodes.map((node) => ({
    ...node,
    timers: { ...node.timers, bgp: { ...node.timers.bgp, sendHold: SEND_HOLD } },
  }));
  return { ...lab, nodes };
}

async function soak(folder: string, minutes: number): Promise<number> {
  const peers = places();
  const supervisor = new Supervisor({
    home: new LabHome('soak'),
    lab: labOf(peers.map(({ place }) => place)),
    file: 'soak.yaml',
    nodeProgram: join(ROOT, 'dist', 'node.cjs'),
    logLevel: 'warn',
    bus: { type: 'own', program: ensureNatsServer(ROOT) },
  });
  const stop = new AbortController();
  try {
    await supervisor.up();
    const lab = await BusLab.attach('soak', new LabHome('soak').status()!.bus);
    const counts = new Map(TROUBLES.map(({ name }) => [name, 0]));
    const random = seededRandom(SEED);
    const running = peers.map(({ trouble, place }, i) =>
      persist(
        trouble,
        place,
        seededRandom(SEED + 1 + i),
        () => counts.set(trouble.name, (counts.get(trouble.name) ?? 0) + 1),
        stop.signal,
      ),
    );
    running.push(pullCables(lab, random, stop.signal), ask(lab, stop.signal));
    for (let minute = 1; minute <= minutes; minute++) {
      await pause(60_000);
      for (const node of MEASURED) process.stdout.write(`${minute} min, ${node}: ${latest(folder, node)}\n`);
    }
    stop.abort();
    await Promise.allSettled(running);
    await lab.detach();
    for (const { name, what } of TROUBLES)
      process.stdout.write(`${name}: ${what}; ${counts.get(name)} times\n`);
    return report(folder);
  } finally {
    stop.abort();
    await supervisor.down();
  }
}

async function pullCables(lab: BusLab, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const carrier of ['down', 'up'] as const) {
      await lab.act({ type: 'link', node: 'r1', device: 'eth9', carrier });
      await pause(random.int(CABLE / 2, CABLE));
    }
  }
}

/** What people ask a node while it runs. */
async function ask(lab: BusLab, signal: AbortSignal): Promise<void> {
  const lines = [
    'birdc show protocols all',
    'birdc show summary',
    'ip route show table main',
    'ss -tan',
    'ping -c 2 -W 1 10.0.0.1',
  ];
  while (!signal.aborted) {
    for (const node of MEASURED)
      for (const line of lines) await lab.command(node, { type: 'exec', pod: '', argv: line.split(' ') });
    await pause(ASK);
  }
}

function samplesOf(folder: string, node: string): Sample[] {
  const lines = readFileSync(join(folder, `${node}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as Sample);
}

function latest(folder: string, node: string): string {
  const { rss, heap } = samplesOf(folder, node).at(-1)!;
  return `RSS ${mebibytes(rss)} MiB, heap ${mebibytes(heap)} MiB`;
}

function report(folder: string): number {
  let status = 0;
  for (const node of MEASURED) {
    const samples = samplesOf(folder, node);
    for (const what of ['heap', 'rss'] as const) {
      const trend = trendOf(samples.map((sample) => ({ at: sample.at, value: sample[what] })));
      process.stdout.write(`${node}, ${what}: ${words(trend)}\n`);
      if (trend.verdict === 'grows') status = 1;
    }
  }
  return status;
}

function words({ first, last, slope, verdict }: Trend): string {
  return `${verdict}; ${mebibytes(first)} MiB after the warm-up, ${mebibytes(last)} MiB at the end, ${mebibytes(slope)} MiB an hour`;
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
