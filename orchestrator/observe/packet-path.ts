import type { LabEvent } from '../../nodes/events/index.ts';
import type { EventId } from '../../nodes/events/record.ts';
import type { AnyRecord } from '../events.ts';
import type { RunningLab } from '../running-lab.ts';

export type PathEvent = Extract<LabEvent, { type: 'packet.step' | 'packet.trace' }>;

/** One step of a followed packet. */
export interface PathStep {
  readonly id: EventId;
  readonly at: number;
  readonly node: string;
  /** Name of the namespace for people: '' for the node itself, else the pod's or container's. */
  readonly place: string;
  readonly event: PathEvent;
}

/** What has come home: an answer, a word that there will be none (RST, an ICMP error), or nothing. */
export type PathOutcome = 'answered' | 'refused' | 'unanswered';

export interface PacketPath {
  readonly steps: readonly PathStep[];
  readonly outcome: PathOutcome;
}

/** How long nothing more may be told before the packet is taken to have got no further, ms. */
const QUIET = 400;
/** The same while somebody asks for a neighbour: three times, a second apart. */
const ASKING = 3_500;
const LOOK = 60;

/**
 * What the logs tell of a packet, from the event that it follows from: waits until its answer is home, or nothing more is
 * told. Events of all nodes hang together by their causes, over the wires too.
 */
export async function followPacket(
  lab: RunningLab,
  start: EventId,
  home: { readonly node: string; readonly ns: string | null },
  within: number,
): Promise<PacketPath> {
  const deadline = lab.now() + within;
  let path: PacketPath = { steps: [], outcome: 'unanswered' };
  let movedAt = lab.now();
  for (;;) {
    await lab.sleep(LOOK);
    const next = await collectPath(lab, start, home);
    if (next.steps.length > path.steps.length) movedAt = lab.now();
    path = next;
    const quiet = asks(path) ? ASKING : QUIET;
    if (path.outcome !== 'unanswered' || lab.now() > deadline || lab.now() - movedAt > quiet) return path;
  }
}

/** Whether the last that is told is a question for a neighbour. */
function asks({ steps }: PacketPath): boolean {
  const event = steps.at(-1)?.event;
  if (event?.type !== 'packet.step') return false;
  const { step, packet } = event;
  return / who-has /.test(packet) || (step.at === 'neighbor' && step.mac === '');
}

async function collectPath(
  lab: RunningLab,
  start: EventId,
  home: { readonly node: string; readonly ns: string | null },
): Promise<PacketPath> {
  const followed = new Set<EventId>([start]);
  const candidates: { readonly node: string; readonly record: AnyRecord }[] = [];
  const names = new Map<string, string>();
  for (const { name } of await lab.nodes()) {
    for await (const record of lab.records(name)) {
      nameSpace(names, name, record);
      if (record.cause !== 0) candidates.push({ node: name, record });
    }
  }
  // Whatever the clocks say, a cause is there before what follows from it: rounds until no more is found.
  candidates.sort((a, b) => a.record.at - b.record.at || a.record.id - b.record.id);
  let left = candidates.filter(({ record }) => record.id !== start);
  for (let found = -1; found !== 0; ) {
    const before = left.length;
    left = left.filter(({ record }) => {
      if (!followed.has(record.cause)) return true;
      followed.add(record.id);
      return false;
    });
    found = before - left.length;
  }
  const steps = candidates.flatMap(({ node, record }): PathStep[] => {
    const { event, id, at } = record;
    if (!followed.has(id) || (event.type !== 'packet.step' && event.type !== 'packet.trace')) return [];
    return [{ id, at, node, place: names.get(`${node} ${event.ns}`) ?? event.ns, event }];
  });
  const arrival = steps.find(
    ({ node, event }) =>
      node === home.node &&
      event.type === 'packet.step' &&
      event.step.at === 'socket.receive' &&
      (home.ns === null || names.get(`${node} ${event.ns}`) === home.ns || event.ns === home.ns),
  );
  return { steps, outcome: arrival === undefined ? 'unanswered' : outcomeOf(arrival.event) };
}

function outcomeOf(event: PathEvent): PathOutcome {
  if (event.type !== 'packet.step') return 'unanswered';
  const isReset = /^TCP \S+ > \S+ \[[^\]]*R/.test(event.packet);
  const isError =
    /^ICMP(v6)? \S+ > \S+ (unreachable|time exceeded|packet too big|parameter problem|type 12) /.test(
      event.packet,
    );
  return isReset || isError ? 'refused' : 'answered';
}

/** Learns whose namespaces are whose. */
function nameSpace(names: Map<string, string>, node: string, { event }: AnyRecord): void {
  if (event.type === 'pod.sandbox') {
    const { netns, namespace, pod } = event.sandbox;
    names.set(`${node} ${netns}`, `${namespace}/${pod}`);
  } else if (event.type === 'docker.container') {
    const { sandboxId, name } = event.container;
    if (sandboxId !== '') names.set(`${node} ${sandboxId.slice(0, 12)}`, name);
  }
}
