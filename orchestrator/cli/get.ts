import type { NodeConfig } from '../../nodes/config.ts';
import type { NodeReport } from '../../nodes/machine-io.ts';
import type { NodeView } from '../../nodes/state/node-fold.ts';
import type { LabHome } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { isDaemon } from '../lab/external.ts';
import { openLog } from '../observe/past.ts';
import { collectReports } from '../observe/quiescence.ts';
import { type LogSource, parseMoment, viewAt } from '../observe/time-travel.ts';
import type { Snapshot } from '../observe/verify.ts';
import { listPods } from '../pods.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';
import { matches, parseSelector } from '../selector.ts';
import { withLab } from './attach.ts';
import { printContainers } from './get-containers.ts';
import { type OutputFormat, printAs, table } from './output.ts';

export interface GetOptions {
  readonly lab?: string;
  readonly output: OutputFormat;
  readonly at?: string;
  readonly node?: string;
  readonly selector?: string;
  readonly showLabels?: true;
}

export class GetError extends Error {
  override readonly name = 'GetError';
}

export const KINDS = ['nodes', 'pods', 'containers', 'links', 'sessions', 'routes'] as const;
export type Kind = (typeof KINDS)[number];

/** kubectl's short and singular names. */
const ALIASES: Readonly<Record<string, Kind>> = {
  node: 'nodes',
  no: 'nodes',
  pod: 'pods',
  po: 'pods',
  container: 'containers',
  link: 'links',
  session: 'sessions',
  route: 'routes',
};

export function parseKind(text: string): Kind {
  const kind = KINDS.find((known) => known === text) ?? ALIASES[text];
  if (kind === undefined) throw new GetError(`there is no kind '${text}'; there are: ${KINDS.join(', ')}`);
  return kind;
}

/** `reroute get KIND` of a running lab. */
export async function get(kind: Kind, options: GetOptions): Promise<void> {
  await withLab(options.lab, async (lab, home) => {
    const compiled = home.compiled();
    switch (kind) {
      case 'nodes':
        return getNodes(lab, compiled, home, options);
      case 'pods':
        return getPods(lab, options);
      case 'containers':
        return printContainers(await liveViews(lab, options), options);
      case 'links':
        return printLinks(compiled, await liveViews(lab, options), options);
      case 'sessions':
        return printSessions(compiled, await liveViews(lab, options), options);
      case 'routes':
        return printRoutes(await liveViews(lab, options), options);
    }
  });
}

/** `reroute get KIND --at MOMENT`, of a lab that runs or has run. */
export async function getPast(
  kind: Kind,
  home: LabHome,
  options: GetOptions & { readonly at: string },
): Promise<void> {
  const log = await openLog(home);
  try {
    const views = await pastViews(log, log.lab, options.at, options.node);
    switch (kind) {
      case 'nodes':
        throw new GetError(
          'get nodes has no --at: whether a process ran is in reroute log --node orchestrator',
        );
      case 'pods':
        return printPastPods(views, options);
      case 'containers':
        return printContainers(views, options);
      case 'links':
        return printLinks(log.lab, views, options);
      case 'sessions':
        return printSessions(log.lab, views, options);
      case 'routes':
        return printRoutes(views, options);
    }
  } finally {
    await log.close();
  }
}

export type Views = ReadonlyMap<string, NodeView>;

/** The state of each running node. */
export async function liveViews(lab: RunningLab, options: Pick<GetOptions, 'node'>): Promise<Views> {
  const nodes = (await lab.nodes()).filter(
    (node) => options.node === undefined || node.name === options.node,
  );
  if (nodes.length === 0)
    throw new GetError(`there is no node ${options.node}; reroute get nodes lists them`);
  const views = await Promise.all(
    nodes.map(async (node): Promise<[string, NodeView] | null> => {
      try {
        const reply = await lab.command(node.name, { type: 'snapshot' });
        if (reply.type === 'value') return [node.name, (reply.value as Snapshot).view];
        if (reply.type === 'error' && options.node !== undefined) throw new GetError(reply.message);
        return null;
      } catch (error) {
        if (error instanceof NodeDownError) return null;
        throw error;
      }
    }),
  );
  return new Map(views.filter((view) => view !== null));
}

async function pastViews(
  source: LogSource,
  lab: CompiledLab,
  at: string,
  only: string | undefined,
): Promise<Views> {
  const moment = await parseMoment(source, at);
  const views = new Map<string, NodeView>();
  for (const node of lab.nodes) {
    if (only === undefined || node.name === only)
      views.set(node.name, await viewAt(source, node.name, moment));
  }
  if (views.size === 0) throw new GetError(`there is no node ${only} in this lab`);
  return views;
}

async function getNodes(
  lab: RunningLab,
  compiled: CompiledLab,
  home: LabHome,
  options: GetOptions,
): Promise<void> {
  const [infos, reports] = await Promise.all([lab.nodes(), collectReports(lab)]);
  const data = infos.map((info) => {
    const report = reports.find((candidate) => candidate.node === info.name);
    const config = compiled.nodes.find((candidate) => candidate.name === info.name);
    const established =
      config !== undefined && isDaemon(config.role)
        ? sessionsWith(config, compiled, reports)
        : (report?.sessions.filter((session) => session.established).length ?? 0);
    return {
      ...info,
      address: info.addresses[0] ?? '',
      sessions: `${established}/${config?.bgp?.neighbors.length ?? 0}`,
      pods: report?.podsRunning ?? 0,
      routes: report?.routes ?? 0,
      dropped: report?.dropped ?? {},
      log: home.logFile(info.name),
    };
  });
  printAs(options.output, data, (wide) =>
    table(
      [
        'name',
        'status',
        'role',
        'address',
        'sessions',
        'pods',
        'routes',
        ...(wide === 'wide' ? ['boots', 'pid', 'log'] : []),
      ],
      data.map((row) => [
        row.name,
        row.state === 'running' ? 'Running' : row.state === 'starting' ? 'Starting' : 'Down',
        row.role,
        row.address,
        row.sessions,
        row.pods,
        row.routes,
        ...(wide === 'wide' ? [row.boot, row.pid, row.log] : []),
      ]),
    ),
  );
}

/** A real daemon's sessions that are up, by what the other ends say. */
function sessionsWith(daemon: NodeConfig, lab: CompiledLab, reports: readonly NodeReport[]): number {
  const addresses = daemon.bgp?.neighbors.map(({ localAddress }) => localAddress) ?? [];
  return reports.flatMap(({ node, sessions }) => {
    const neighbors = lab.nodes.find(({ name }) => name === node)?.bgp?.neighbors ?? [];
    return sessions.filter(
      ({ peer, farEnd, established }) =>
        farEnd === 'external' &&
        established &&
        neighbors.some(({ name, address }) => name === peer && addresses.includes(address)),
    );
  }).length;
}

async function getPods(lab: RunningLab, options: GetOptions): Promise<void> {
  const selector = options.selector === undefined ? [] : parseSelector(options.selector);
  const pods = (await listPods(lab)).filter((pod) => matches(selector, pod.spec.labels));
  const data = pods.map(({ spec, status }) => ({
    namespace: spec.namespace,
    name: spec.name,
    status: status?.phase ?? 'Pending',
    ip: status?.podIP ?? '',
    ...(status?.podIPs === undefined ? {} : { ips: status.podIPs }),
    node: spec.node,
    uid: spec.uid,
    labels: spec.labels,
    message: status?.message ?? '',
  }));
  printAs(options.output, data, (wide) =>
    table(
      [
        'namespace',
        'name',
        'status',
        'ip',
        'node',
        ...(wide === 'wide' ? ['uid'] : []),
        ...(options.showLabels ? ['labels'] : []),
      ],
      data.map((row) => [
        row.namespace,
        row.name,
        row.message === '' ? row.status : `${row.status} (${row.message})`,
        wide === 'wide' ? (row.ips ?? [row.ip]).join(',') : row.ip,
        row.node,
        ...(wide === 'wide' ? [row.uid] : []),
        ...(options.showLabels ? [labelText(row.labels)] : []),
      ]),
    ),
  );
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

function printPastPods(views: Views, options: GetOptions): void {
  const data = [...views].flatMap(([node, view]) =>
    view.cluster.sandboxes.map((sandbox) => ({ node, ...sandbox })),
  );
  printAs(options.output, data, () =>
    table(
      ['namespace', 'name', 'ip', 'node', 'uid'],
      data.map((row) => [row.namespace, row.pod, row.ip, row.node, row.uid]),
    ),
  );
}

function printLinks(lab: CompiledLab, views: Views, options: GetOptions): void {
  const data = lab.segments.map((segment) => ({
    name: segment.name,
    kind: segment.kind,
    subnet: segment.subnet,
    delay: segment.delay,
    ends: segment.members.map(({ node, iface }) => {
      const link = views.get(node)?.kernel.links['']?.find((candidate) => candidate.name === iface);
      const state = link === undefined ? 'node down' : link.up && link.carrier ? 'up' : 'down';
      return { node, iface, state };
    }),
  }));
  printAs(options.output, data, () =>
    table(
      ['name', 'kind', 'subnet', 'delay', 'state', 'ends'],
      data.map((row) => {
        const down = row.ends.filter((end) => end.state !== 'up');
        const state =
          down.length === 0 ? 'Up' : down.length === row.ends.length ? 'Down' : `Down at ${down.length}`;
        const ends = row.ends.map(
          (end) => `${end.node}:${end.iface}${end.state === 'up' ? '' : ` (${end.state})`}`,
        );
        return [row.name, row.kind, row.subnet, `${row.delay}ms`, state, ends.join(' ')];
      }),
    ),
  );
}

function printSessions(lab: CompiledLab, views: Views, options: GetOptions): void {
  const data = [...views].flatMap(([node, view]) =>
    view.bgp.sessions.map(({ peer, state }) => {
      const neighbor = lab.nodes
        .find((candidate) => candidate.name === node)
        ?.bgp?.neighbors.find((candidate) => candidate.name === peer);
      return {
        node,
        peer,
        address: neighbor?.address ?? '',
        as: neighbor?.remoteAs ?? 0,
        type: neighbor?.type ?? '',
        state,
        received: view.bgp.adjRibIn[peer]?.length ?? 0,
        sent: view.bgp.adjRibOut[peer]?.length ?? 0,
      };
    }),
  );
  printAs(options.output, data, (wide) =>
    table(
      ['node', 'peer', 'address', 'as', 'state', 'received', 'sent', ...(wide === 'wide' ? ['type'] : [])],
      data.map((row) => [
        row.node,
        row.peer,
        row.address,
        row.as,
        row.state,
        row.received,
        row.sent,
        ...(wide === 'wide' ? [row.type] : []),
      ]),
    ),
  );
}

function printRoutes(views: Views, options: GetOptions): void {
  const data = [...views].flatMap(([node, view]) =>
    (view.kernel.routes[''] ?? []).map((route) => ({ node, ...route })),
  );
  printAs(options.output, data, (wide) =>
    table(
      [
        'node',
        'destination',
        'via',
        'dev',
        'protocol',
        ...(wide === 'wide' ? ['type', 'scope', 'metric', 'src'] : []),
      ],
      data.map((row) => [
        row.node,
        row.dst === '0.0.0.0/0' ? 'default' : row.dst,
        row.type === 'unicast' ? row.nexthops.map((hop) => hop.via || 'direct').join(',') : row.type,
        row.nexthops.map((hop) => hop.dev).join(','),
        row.protocol,
        ...(wide === 'wide' ? [row.type, row.scope, row.metric, row.src] : []),
      ]),
    ),
  );
}
