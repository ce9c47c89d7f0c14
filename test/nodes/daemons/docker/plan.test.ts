import test from 'ava';
import fc from 'fast-check';
import { plan } from '../../../../nodes/daemons/docker/swarm/plan.ts';
import {
  ConstraintError,
  chooseNode,
  parseConstraint,
  type SwarmNode,
} from '../../../../nodes/daemons/docker/swarm/scheduler.ts';
import {
  DEFAULT_TEMPLATE,
  type ServiceRow,
  type TaskRow,
  type TaskState,
  type TaskStatusRow,
  type TaskTemplate,
} from '../../../../nodes/daemons/docker/swarm/service-rows.ts';

const TEMPLATE: TaskTemplate = { ...DEFAULT_TEMPLATE, image: 'nginx' };

function service(change: Partial<ServiceRow> = {}): ServiceRow {
  return {
    id: 'web',
    name: 'web',
    labels: {},
    mode: 'replicated',
    replicas: 3,
    template: TEMPLATE,
    endpointMode: 'vip',
    ports: [],
    update: { parallelism: 1, delay: 0 },
    created: 0,
    updated: 0,
    version: 1,
    previous: null,
    virtualIps: [],
    updateStatus: null,
    ...change,
  };
}

function node(hostname: string, change: Partial<SwarmNode> = {}): SwarmNode {
  return {
    id: `id-${hostname}`,
    hostname,
    address: `10.7.0.${hostname.slice(1)}`,
    role: 'worker',
    availability: 'active',
    state: 'ready',
    labels: {},
    ...change,
  };
}

/** A swarm whose agents do what they are told at once. */
class World {
  readonly services = new Map<string, ServiceRow>();
  readonly tasks = new Map<string, TaskRow>();
  readonly statuses = new Map<string, TaskStatusRow>();
  readonly nodes = new Map(['n1', 'n2', 'n3'].map((name) => [name, node(name)]));
  now = 1000;
  #ids = 0;

  /** One look of the leader's; whether it had anything to do. */
  look(): boolean {
    const todo = plan({
      now: this.now,
      services: [...this.services.values()],
      tasks: [...this.tasks.values()],
      statusOf: (id) => this.statuses.get(id) ?? null,
      nodes: [...this.nodes.values()],
      newId: () => `t${++this.#ids}`,
    });
    for (const task of todo.tasks) this.tasks.set(task.id, task);
    for (const id of todo.dropped) {
      this.tasks.delete(id);
      this.statuses.delete(id);
    }
    for (const row of todo.services) this.services.set(row.id, row);
    return todo.tasks.length + todo.dropped.length + todo.services.length > 0;
  }

  status(taskId: string, state: TaskState): void {
    this.statuses.set(taskId, { taskId, state, at: this.now, error: '', containerId: '' });
  }

  agents(): void {
    for (const task of this.tasks.values()) {
      const alive = this.nodes.get(task.node)?.state === 'ready';
      const state = this.statuses.get(task.id)?.state;
      if (!alive) continue;
      if (task.desired === 'running' && state === undefined) this.status(task.id, 'running');
      if (
        (task.desired === 'shutdown' || task.desired === 'remove') &&
        (state === undefined || state === 'running')
      )
        this.status(task.id, 'shutdown');
    }
  }

  settle(): void {
    for (let i = 0; i < 100; i++) {
      this.now += 1000;
      const busy = this.look();
      this.agents();
      if (!busy && i > 10) return;
    }
    throw new Error('it does not come to rest');
  }

  running(): TaskRow[] {
    return [...this.tasks.values()].filter(({ desired }) => desired === 'running');
  }
}

test('whatever is done to nodes and services, the leader comes to rest with what is asked for', (t) => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('scale' as const), replicas: fc.nat(6) }),
    fc.record({
      type: fc.constant('state' as const),
      node: fc.constantFrom('n1', 'n2', 'n3'),
      state: fc.constantFrom('ready' as const, 'down' as const),
    }),
    fc.record({
      type: fc.constant('availability' as const),
      node: fc.constantFrom('n1', 'n2', 'n3'),
      availability: fc.constantFrom('active' as const, 'drain' as const),
    }),
    fc.record({ type: fc.constant('update' as const) }),
    fc.record({ type: fc.constant('fail' as const), index: fc.nat(5) }),
    fc.record({ type: fc.constant('settle' as const) }),
    fc.record({ type: fc.constant('look' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.boolean(), (steps, global) => {
      const world = new World();
      world.services.set('web', service({ mode: global ? 'global' : 'replicated' }));
      for (const each of steps) {
        const web = world.services.get('web')!;
        if (each.type === 'scale') world.services.set('web', { ...web, replicas: each.replicas });
        else if (each.type === 'state')
          world.nodes.set(each.node, { ...world.nodes.get(each.node)!, state: each.state });
        else if (each.type === 'availability')
          world.nodes.set(each.node, { ...world.nodes.get(each.node)!, availability: each.availability });
        else if (each.type === 'update')
          world.services.set('web', {
            ...web,
            version: web.version + 1,
            updateStatus: { state: 'updating', startedAt: world.now, completedAt: null },
          });
        else if (each.type === 'fail') {
          const running = world.running();
          const task = running[each.index % Math.max(1, running.length)];
          if (task !== undefined && world.statuses.get(task.id)?.state === 'running')
            world.status(task.id, 'failed');
        } else if (each.type === 'settle') world.settle();
        else {
          world.look();
          world.agents();
        }
      }
      world.settle();
      const web = world.services.get('web')!;
      const usable = [...world.nodes.values()].filter(
        ({ state, availability }) => state === 'ready' && availability === 'active',
      );
      const running = world.running().filter((task) => task.node !== '');
      const wanted = global ? usable.length : usable.length === 0 ? 0 : web.replicas;
      t.is(running.length, wanted);
      t.true(running.every((task) => usable.some(({ hostname }) => hostname === task.node)));
      t.true(running.every(({ version }) => version === web.version));
      t.is(new Set(running.map((task) => `${task.slot} ${global ? task.node : ''}`)).size, running.length);
      for (const task of running) t.is(world.statuses.get(task.id)?.state, 'running');
      // What is over is kept for a while, and no longer.
      const perSlot = new Map<string, number>();
      for (const { slot, node: place } of world.tasks.values()) {
        const key = `${slot} ${global ? place : ''}`;
        perSlot.set(key, (perSlot.get(key) ?? 0) + 1);
      }
      // Those on a node that is down cannot be told to end.
      if (usable.length === 3) for (const count of perSlot.values()) t.true(count <= 5);
    }),
    { numRuns: 150 },
  );
});

test('spread: the fewest of the service, then the fewest of all; why there is no node', (t) => {
  const nodes = [node('n1'), node('n2'), node('n3', { labels: { zone: 'a' } })];
  const load = (tasks: number, ofService: number, ports: string[] = []) => ({
    tasks,
    ofService,
    hostPorts: new Set(ports),
  });
  const loads = new Map([
    ['n1', load(1, 1)],
    ['n2', load(5, 0)],
    ['n3', load(2, 0)],
  ]);
  const choose = (change: Partial<TaskTemplate>, ports: ServiceRow['ports'] = [], among = nodes) => {
    const choice = chooseNode(
      among,
      ({ hostname }) => loads.get(hostname)!,
      { ...TEMPLATE, ...change },
      ports,
    );
    return choice.type === 'node' ? choice.node.hostname : choice.problem;
  };
  t.is(choose({}), 'n3');
  t.is(choose({ constraints: ['node.hostname!=n3'] }), 'n2');
  t.is(choose({ constraints: ['node.labels.zone == a', 'node.role==worker'] }), 'n3');
  t.is(choose({ constraints: ['node.ip==10.7.0.2'] }), 'n2');
  t.is(choose({ constraints: ['node.ip!=10.7.0.2/31'] }), 'n1');
  t.is(choose({ constraints: ['NODE.Hostname == N2'] }), 'n2');
  // An attribute that there is not is met by no node, whatever the operator.
  for (const none of ['zone==a', 'zone!=a', 'node.ip==x'])
    t.regex(choose({ constraints: [none] }), /constraints not satisfied on 3 nodes/);
  t.is(
    choose({ constraints: ['node.hostname==n9'] }),
    'no suitable node (scheduling constraints not satisfied on 3 nodes)',
  );
  t.is(
    choose({ constraints: ['node.hostname!=n2'] }, [], [node('n1', { state: 'down' }), nodes[1]!]),
    'no suitable node (1 node not available for new tasks; scheduling constraints not satisfied on 1 node)',
  );
  loads
    .set('n1', load(1, 1, ['80/tcp']))
    .set('n2', load(1, 1, ['80/tcp']))
    .set('n3', load(1, 1, ['80/tcp']));
  t.is(
    choose({}, [{ proto: 'tcp', target: 80, published: 80, mode: 'host' }]),
    'no suitable node (host-mode port already in use on 3 nodes)',
  );
  t.is(choose({ maxReplicasPerNode: 1 }), 'no suitable node (max replicas per node limit exceed)');
  for (const [text, says] of [
    ['zone', 'constraint expected one operator from ==, !='],
    ['2zone==a', "key '2zone' is invalid"],
    ['node.id==', "value '' is invalid"],
  ] as const)
    t.is(t.throws(() => parseConstraint(text), { instanceOf: ConstraintError }).message, says);
});
