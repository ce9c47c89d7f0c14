import type { DockerContainerFacts, DockerNetworkFacts } from '../../events/docker.ts';

/** Something that dockerd tells of in `docker events`. */
export interface Activity {
  /** ms */
  readonly at: number;
  readonly type: 'container' | 'network';
  readonly action: string;
  readonly id: string;
  /** In the order in which they are shown. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** How many are kept (`eventsLimit`). */
const LIMIT = 256;

/** What has become of containers and networks, told from one record of them to the next (dockerd's events service). */
export class ActivityLog {
  readonly #now: () => number;
  readonly #driverOf: (networkId: string) => string;
  readonly #kept: Activity[] = [];
  readonly #listeners = new Set<(activity: Activity) => void>();

  constructor(now: () => number, driverOf: (networkId: string) => string) {
    this.#now = now;
    this.#driverOf = driverOf;
  }

  /** Those since the boot, the oldest first. */
  get kept(): readonly Activity[] {
    return this.#kept;
  }

  listen(listener: (activity: Activity) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  container(before: DockerContainerFacts | undefined, after: DockerContainerFacts | null): void {
    const now = after ?? before;
    if (now === undefined) return;
    const attributes = {
      ...now.labels,
      image: now.image,
      name: now.name,
    };
    const tell = (action: string, more: Readonly<Record<string, string>> = {}) =>
      this.#tell('container', action, now.id, sorted({ ...attributes, ...more }));
    if (after === null) {
      tell('destroy');
      return;
    }
    if (before === undefined) tell('create');
    else if (before.name !== after.name) tell('rename', { oldName: `/${before.name}` });
    for (const { networkId, network, endpointId } of before?.endpoints ?? [])
      if (endpointId !== '' && !after.endpoints.some((other) => other.endpointId === endpointId))
        this.#network('disconnect', networkId, network, after.id);
    for (const { networkId, network, endpointId } of after.endpoints)
      if (endpointId !== '' && before?.endpoints.some((other) => other.endpointId === endpointId) !== true)
        this.#network('connect', networkId, network, after.id);
    const was = before?.state.status ?? 'created';
    const { status, exitCode, paused } = after.state;
    if (was !== 'running' && status === 'running') tell('start');
    if (was === 'running' && status !== 'running') tell('die', { exitCode: String(exitCode) });
    if (before?.state.paused !== paused && was === 'running' && status === 'running')
      tell(paused === true ? 'pause' : 'unpause');
  }

  network({ id, name, driver }: DockerNetworkFacts, action: 'create' | 'destroy'): void {
    this.#tell('network', action, id, { name, type: driver });
  }

  #network(action: 'connect' | 'disconnect', id: string, name: string, container: string): void {
    this.#tell('network', action, id, { container, name, type: this.#driverOf(id) });
  }

  #tell(type: Activity['type'], action: string, id: string, attributes: Activity['attributes']): void {
    const activity = { at: this.#now(), type, action, id, attributes };
    this.#kept.push(activity);
    if (this.#kept.length > LIMIT) this.#kept.shift();
    for (const listener of [...this.#listeners]) listener(activity);
  }
}

function sorted(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}
