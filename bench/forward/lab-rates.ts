import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BusLab } from '../../orchestrator/bus-lab.ts';
import { LabHome } from '../../orchestrator/home.ts';
import { findPod, listPods } from '../../orchestrator/pods.ts';

export interface LabRow {
  readonly name: string;
  /** Datagrams a second that arrive where a little more is sent. */
  readonly rate: number;
  /** Round trip of an echo request of 56 bytes, ms: median of those sent one by one. */
  readonly rtt: number;
}

interface Scenario {
  readonly name: string;
  readonly lab: string;
  /** Where the client and the server run. */
  readonly from: string;
  readonly to: string;
  /** What is done to the lab before, by node. */
  readonly prepare?: (address: string) => readonly (readonly [node: string, line: string])[];
  /** Where the client sends to, if not to the server itself. */
  readonly target?: string;
}

function cluster(cni: string): string {
  return `
name: bench-forward
topology:
  nodes: { n1: {}, n2: {} }
segments:
  lan: { subnet: 172.18.18.0/24, nodes: all }
cluster: { cni: ${cni}, pods: 2 }
`;
}

const ROUTER = `
name: bench-forward
topology:
  nodes:
    h1: { kind: host, gateway: 10.1.0.1 }
    r1: { kind: router, bgp: { as: 65001 } }
    h2: { kind: host, gateway: 10.2.0.1 }
segments:
  left: { subnet: 10.1.0.0/24, nodes: [r1, h1] }
  right: { subnet: 10.2.0.0/24, nodes: [r1, h2] }
`;

const VIP = '10.96.0.10';

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'pod to pod on one node',
    lab: cluster('flannel, backend: host-gw'),
    from: 'web-n1-1',
    to: 'web-n1-2',
  },
  {
    name: 'pod to pod across nodes by route',
    lab: cluster('flannel, backend: host-gw'),
    from: 'web-n1-1',
    to: 'web-n2-1',
  },
  {
    name: 'pod to pod across nodes by VXLAN',
    lab: cluster('flannel, backend: vxlan'),
    from: 'web-n1-1',
    to: 'web-n2-1',
  },
  {
    name: "pod to a Service by iptables' DNAT",
    lab: cluster('flannel, backend: host-gw'),
    from: 'web-n1-1',
    to: 'web-n2-1',
    target: VIP,
    prepare: (address) => [
      [
        'n1',
        `iptables -t nat -A PREROUTING -d ${VIP} -p udp --dport 5001 -j DNAT --to-destination ${address}:5001`,
      ],
    ],
  },
  { name: 'host to host through a router', lab: ROUTER, from: 'h1', to: 'h2' },
];

/** Datagrams of 1,400 bytes: frames of 1,442, of 1,492 in VXLAN. */
const LENGTH = 1_400;
/** Offered rates, and how much of one must arrive in its time for the next to be tried. */
const STEPS = [
  10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 130_000, 160_000, 200_000, 250_000, 320_000, 400_000,
  500_000, 640_000, 800_000,
];
const ENOUGH = 0.93;
/** How often what lies between the highest that arrived and the first that did not is halved. */
const HALVINGS = 3;
const SECONDS = 1.5;

/** Each path by real processes on a lab of its own. */
export async function* measureLabs(): AsyncIterable<LabRow> {
  for (const scenario of SCENARIOS) yield await measureLab(scenario);
}

async function measureLab(scenario: Scenario): Promise<LabRow> {
  const folder = mkdtempSync(join(tmpdir(), 'reroute-bench-'));
  process.env.REROUTE_HOME = folder;
  const file = join(folder, 'lab.yaml');
  writeFileSync(file, scenario.lab);
  const reroute = (...words: readonly string[]) =>
    spawnSync(process.execPath, ['dist/reroute.js', ...words], { encoding: 'utf8', env: process.env });
  const up = reroute('up', '-d', file);
  if (up.status !== 0) throw new Error(`${scenario.name}: ${up.stderr}`);
  try {
    const home = LabHome.choose('bench-forward', 'running');
    const lab = await BusLab.attach(home.name, home.status()!.bus);
    try {
      return await measurePath(lab, scenario);
    } finally {
      await lab.detach();
    }
  } finally {
    reroute('down', 'bench-forward');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function measurePath(lab: BusLab, scenario: Scenario): Promise<LabRow> {
  const { name, from, to, target, prepare } = scenario;
  const address = await addressOf(lab, to);
  for (const [node, line] of prepare?.(address) ?? []) await run(lab, node, line);
  const goal = target ?? address;
  const rtt = median(
    Array.from((await run(lab, from, `ping -c 200 -i 0.01 ${address}`)).matchAll(/time=([\d.]+)/g), (match) =>
      Number(match[1]),
    ),
  );
  const reports: { readonly rate: number; readonly share: number }[] = [];
  const stop = new AbortController();
  const server = run(lab, to, 'iperf -s -u', stop.signal, (text) => {
    const match = /0\.0000-([\d.]+) sec .* (\d+)\/(\d+) \(/.exec(text);
    if (match === null) return;
    const [took, lost, sent] = [Number(match[1]), Number(match[2]), Number(match[3])];
    reports.push({ rate: (sent - lost) / took, share: (sent - lost) / sent });
  });
  await run(lab, from, `iperf -c ${goal} -u -l ${LENGTH} -b 5000pps -t 0.5`);
  let best = 0;
  const arrives = async (offered: number) => {
    const before = reports.length;
    await run(lab, from, `iperf -c ${goal} -u -l ${LENGTH} -b ${offered}pps -t ${SECONDS}`);
    while (reports.length === before) await lab.sleep(20);
    const { rate, share } = reports.at(-1)!;
    best = Math.max(best, rate);
    return rate >= offered * ENOUGH && share >= ENOUGH;
  };
  let [low, high] = [0, Number.POSITIVE_INFINITY];
  for (const offered of STEPS) {
    if (await arrives(offered)) low = offered;
    else {
      high = offered;
      break;
    }
  }
  for (let i = 0; i < HALVINGS && high < Number.POSITIVE_INFINITY; i++) {
    const offered = Math.round((low + high) / 2);
    if (await arrives(offered)) low = offered;
    else high = offered;
  }
  stop.abort();
  await server;
  return { name, rate: best, rtt };
}

async function addressOf(lab: BusLab, where: string): Promise<string> {
  const pod = findPod(await listPods(lab), where);
  if (pod !== undefined) return pod.status?.podIP ?? '';
  const output = await run(lab, where, 'hostname -I');
  return output.trim().split(' ')[0] ?? '';
}

/** Runs a command line on a node or in a pod; resolves to its output. */
async function run(
  lab: BusLab,
  where: string,
  line: string,
  signal?: AbortSignal,
  onText: (text: string) => void = () => {},
): Promise<string> {
  let output = '';
  const pod = findPod(await listPods(lab), where);
  const node = pod?.spec.node ?? where;
  const name = pod === undefined ? '' : `${pod.spec.namespace}/${pod.spec.name}`;
  const reply = await lab.command(
    node,
    { type: 'exec', pod: name, argv: line.split(' ') },
    {
      ...(signal === undefined ? {} : { signal }),
      onReply: (part) => {
        if (part.type !== 'stdout' && part.type !== 'stderr') return;
        output += part.text;
        onText(part.text);
      },
    },
  );
  if (reply.type === 'error') throw new Error(reply.message);
  return output;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
