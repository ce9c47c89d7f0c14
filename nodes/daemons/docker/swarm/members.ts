import type { Runtime } from '../../../runtime.ts';
import type { StoreChange } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import { StoreView } from '../../store-view.ts';
import { DockerError } from '../error.ts';
import { changeRow } from './row-lock.ts';
import {
  type LeaderRow,
  type NodeRow,
  type NodeStatusRow,
  parseLeader,
  parseNode,
  parseNodeStatus,
  swarmKeys,
} from './rows.ts';
import type { SwarmNode } from './scheduler.ts';

/** The members of the swarm as the store has them: who they are, whether they live, who leads. */
export class Members {
  readonly #rt: Runtime;
  readonly #store: StoreClient;
  readonly #nodes = new StoreView<NodeRow>('docker.node.', (_key, value) => parseNode(value));
  readonly #statuses = new StoreView<NodeStatusRow>('docker.nodestatus.', (_key, value) =>
    parseNodeStatus(value),
  );
  /** What the store has not answered yet: what is decided next goes by it. */
  readonly #writing = new Map<string, NodeStatusRow>();
  readonly #leader = new StoreView<LeaderRow>(swarmKeys.leader, (_key, value) => parseLeader(value));

  constructor(rt: Runtime, store: StoreClient) {
    this.#rt = rt;
    this.#store = store;
  }

  /** Whether a change was of these. */
  storeChanged(change: StoreChange): boolean {
    const changed = [this.#nodes, this.#statuses, this.#leader].map((view) => view.apply(change));
    return changed.includes(true);
  }

  /** By host name. */
  get all(): readonly NodeRow[] {
    return [...this.#nodes.keys()]
      .flatMap((key) => this.#nodes.get(key) ?? [])
      .sort((a, b) => (a.hostname < b.hostname ? -1 : 1));
  }

  get managers(): readonly NodeRow[] {
    return this.all.filter(({ role }) => role === 'manager');
  }

  get(hostname: string): NodeRow | null {
    return this.#nodes.get(swarmKeys.node(hostname));
  }

  /** Host name of who leads, or did last; '' where nobody ever did. */
  get leader(): string {
    return this.#leader.get(swarmKeys.leader)?.node ?? '';
  }

  statusOf({ id, hostname }: NodeRow): NodeStatusRow {
    const status = this.#writing.get(hostname) ?? this.#statuses.get(swarmKeys.nodeStatus(hostname));
    return status?.id === id ? status : { id, state: 'ready', at: 0, message: '' };
  }

  /** As tasks are spread over them. */
  get swarmNodes(): readonly SwarmNode[] {
    return this.all.map((node) => {
      const { id, hostname, address, role, availability, labels } = node;
      return { id, hostname, address, role, availability, labels, state: this.statusOf(node).state };
    });
  }

  /** By host name, id, its beginning, or `self`. @throws DockerError */
  find(ref: string, self: string): NodeRow {
    const wanted = ref === 'self' ? self : ref;
    const exact = this.all.filter(({ id, hostname }) => id === wanted || hostname === wanted);
    const found = exact.length > 0 ? exact : this.all.filter(({ id }) => id.startsWith(wanted));
    const [node] = found;
    if (node === undefined) throw new DockerError(`node ${ref} not found`);
    if (found.length > 1) throw new DockerError(`node ${ref} is ambiguous (${found.length} matches found)`);
    return node;
  }

  change(hostname: string, change: (row: NodeRow) => NodeRow | null, done: () => void): void {
    changeRow(
      this.#rt,
      this.#store,
      this.#nodes,
      swarmKeys.node(hostname),
      (row) => (row === null ? null : change(row)),
      done,
    );
  }

  /** What this node has written of itself. */
  wrote(row: NodeRow, revision: number): void {
    this.#nodes.wrote(swarmKeys.node(row.hostname), row, revision);
  }

  /** Takes the lead where nobody else has taken it meanwhile. */
  lead(node: string): void {
    const key = swarmKeys.leader;
    const term = (this.#leader.get(key)?.term ?? 0) + 1;
    const value: LeaderRow = { node, term };
    const op = this.#leader.has(key)
      ? ({ op: 'update', key, value, revision: this.#leader.revision(key) } as const)
      : ({ op: 'create', key, value } as const);
    this.#store.request(op, (answer) => {
      if (answer.type === 'done') this.#leader.wrote(key, value, answer.revision);
    });
  }

  setStatus(row: NodeRow, state: NodeStatusRow['state'], message: string): void {
    const key = swarmKeys.nodeStatus(row.hostname);
    const value: NodeStatusRow = { id: row.id, state, at: this.#rt.now, message };
    this.#writing.set(row.hostname, value);
    this.#store.request({ op: 'put', key, value }, (answer) => {
      if (this.#writing.get(row.hostname) === value) this.#writing.delete(row.hostname);
      if (answer.type === 'done') this.#statuses.wrote(key, value, answer.revision);
    });
  }

  /** A member is forgotten. */
  remove(hostname: string, done: () => void): void {
    this.#store.request({ op: 'delete', key: swarmKeys.nodeStatus(hostname) }, () => {});
    this.#store.request({ op: 'delete', key: swarmKeys.node(hostname) }, done);
  }
}
