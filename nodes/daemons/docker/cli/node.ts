import { DockerError } from '../error.ts';
import type { NodeRow } from '../swarm/rows.ts';
import { ANY, type CliCommand, type CliContext, CliError } from './command.ts';
import { daemonError, inParallel, lookedUp, refuseWorkers } from './each.ts';
import type { Flags } from './flags.ts';
import { FORMAT_FLAG, inspectAll, inspectMember } from './inspect.ts';
import { capital, filtered, filterParts, hasLabel, listFlags, printRows } from './listing.ts';
import { PS_FLAGS, printTasks, shownName, tasksOfAll } from './tasks.ts';
import { ENGINE_VERSION } from './version.ts';

const LS_FORMAT =
  'table {{.ID}} {{if .Self}}*{{else}} {{end}}\\t{{.Hostname}}\\t{{.Status}}\\t{{.Availability}}\\t{{.ManagerStatus}}\\t{{.EngineVersion}}';
const LS_HEADERS = {
  ID: 'ID',
  Self: '',
  Hostname: 'HOSTNAME',
  Status: 'STATUS',
  Availability: 'AVAILABILITY',
  ManagerStatus: 'MANAGER STATUS',
  EngineVersion: 'ENGINE VERSION',
};

function managerStatus({ dockerd }: CliContext, node: NodeRow): string {
  const { members } = dockerd.swarm;
  if (node.role !== 'manager') return '';
  if (members.leader === node.hostname) return 'Leader';
  return members.statusOf(node).state === 'down' ? 'Unreachable' : 'Reachable';
}

const lsCommand: CliCommand = {
  name: 'node ls',
  usage: '[OPTIONS]',
  help: 'List nodes in the swarm',
  flags: listFlags('nodes'),
  args: { min: 0, max: 0 },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const { members, member } = dockerd.swarm;
    const nodes = filtered(members.all, flags.list('filter'), (node, filter) => {
      const [key, value] = filterParts(filter);
      if (key === 'id') return node.id.startsWith(value);
      if (key === 'name') return node.hostname.startsWith(value);
      if (key === 'role') return node.role === value;
      if (key === 'membership') return value === 'accepted';
      if (key === 'node.label') return hasLabel(node.labels, value);
      throw new DockerError(`Invalid filter '${key}'`);
    });
    const rows = nodes.map((node) => ({
      ID: node.id,
      Self: node.id === member?.id ? 'true' : '',
      Hostname: node.hostname,
      Status: capital(members.statusOf(node).state),
      Availability: capital(node.availability),
      ManagerStatus: managerStatus(context, node),
      EngineVersion: ENGINE_VERSION,
    }));
    printRows(flags, out, rows, LS_FORMAT, LS_HEADERS);
    out.exit(0);
  },
};

const inspectCommand: CliCommand = {
  name: 'node inspect',
  usage: '[OPTIONS] self|NODE [NODE...]',
  help: 'Display detailed information on one or more nodes',
  flags: [FORMAT_FLAG],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const find = (ref: string) => inspectMember(dockerd, ref);
    out.exit(inspectAll(flags.args, flags.text('format'), out, find, (ref) => `Error: No such node: ${ref}`));
  },
};

/** Changes a member, and says so in `said`. */
function changeNode(
  context: CliContext,
  ref: string,
  change: (row: NodeRow) => NodeRow,
  done: (error: DockerError | null) => void,
): void {
  const { dockerd } = context;
  refuseWorkers(context);
  const { members } = dockerd.swarm;
  const before = lookedUp('node', ref, () => members.find(ref, dockerd.node));
  const after = change(before);
  const demotes = before.role === 'manager' && after.role === 'worker';
  if (demotes && members.managers.length === 1)
    throw new DockerError(
      'rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm',
    );
  members.change(before.hostname, change, () => done(null));
}

const updateCommand: CliCommand = {
  name: 'node update',
  usage: '[OPTIONS] NODE',
  help: 'Update a node',
  flags: [
    { name: 'availability', type: 'string', help: 'Availability of the node ("active"|"pause"|"drain")' },
    { name: 'label-add', type: 'map', help: 'Add or update a node label (key=value)' },
    { name: 'label-rm', type: 'list', help: 'Remove a node label if exists' },
    { name: 'role', type: 'string', help: 'Role of the node ("worker"|"manager")' },
  ],
  args: { min: 1, max: 1 },
  run: (flags, context) => {
    const [ref = ''] = flags.args;
    const change = changeOf(flags);
    changeNode(context, ref, change, () => {
      context.out.stdout(`${ref}\n`);
      context.out.exit(0);
    });
  },
};

/** @throws DockerError */
function changeOf(flags: Flags): (row: NodeRow) => NodeRow {
  const availability = flags.text('availability');
  if (!['', 'active', 'pause', 'drain'].includes(availability))
    throw new DockerError(`invalid availability: ${JSON.stringify(availability)}`);
  const role = flags.text('role');
  if (!['', 'worker', 'manager'].includes(role))
    throw new DockerError(`invalid role: ${JSON.stringify(role)}`);
  const gone = flags.list('label-rm');
  return (row) => ({
    ...row,
    availability: (availability || row.availability) as NodeRow['availability'],
    role: (role || row.role) as NodeRow['role'],
    labels: {
      ...Object.fromEntries(Object.entries(row.labels).filter(([key]) => !gone.includes(key))),
      ...flags.map('label-add'),
    },
  });
}

function roleCommand(name: 'promote' | 'demote'): CliCommand {
  const [role, other, said] =
    name === 'promote'
      ? (['manager', 'manager', 'promoted to a manager in the swarm'] as const)
      : (['worker', 'worker', 'demoted in the swarm'] as const);
  return {
    name: `node ${name}`,
    usage: 'NODE [NODE...]',
    help:
      name === 'promote'
        ? 'Promote one or more nodes to manager in the swarm'
        : 'Demote one or more nodes from manager in the swarm',
    flags: [],
    args: { min: 1, max: ANY },
    run: (flags, context) => {
      const { out, dockerd } = context;
      refuseWorkers(context);
      let left = flags.args.length;
      let code = 0;
      const finish = () => {
        if (--left === 0) out.exit(code);
      };
      for (const ref of flags.args) {
        try {
          const known = lookedUp('node', ref, () => dockerd.swarm.members.find(ref, dockerd.node));
          if (known.role === role) {
            out.stdout(`Node ${ref} is already a ${other}.\n`);
            finish();
            continue;
          }
          changeNode(
            context,
            ref,
            (row) => ({ ...row, role }),
            () => {
              out.stdout(name === 'promote' ? `Node ${ref} ${said}.\n` : `Manager ${ref} ${said}.\n`);
              finish();
            },
          );
        } catch (error) {
          if (!(error instanceof DockerError || error instanceof CliError)) throw error;
          code = 1;
          out.stderr(`${error instanceof CliError ? error.message : daemonError(error)}\n`);
          finish();
        }
      }
    },
  };
}

const rmCommand: CliCommand = {
  name: 'node rm',
  usage: '[OPTIONS] NODE [NODE...]',
  help: 'Remove one or more nodes from the swarm',
  flags: [{ name: 'force', short: 'f', type: 'bool', help: 'Force remove a node from the swarm' }],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd } = context;
    refuseWorkers(context);
    inParallel(flags.args, context, (ref, done) => {
      const { members } = dockerd.swarm;
      const node = lookedUp('node', ref, () => members.find(ref, dockerd.node));
      const refused = (why: string) =>
        new DockerError(`rpc error: code = FailedPrecondition desc = node ${node.id} ${why}`);
      if (node.role === 'manager')
        throw refused(
          'is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal',
        );
      if (members.statusOf(node).state !== 'down' && !flags.has('force'))
        throw refused("is not down and can't be removed");
      dockerd.swarm.forget(node.hostname);
      members.remove(node.hostname, () => done(null));
    });
  },
};

const psCommand: CliCommand = {
  name: 'node ps',
  usage: '[OPTIONS] [NODE...]',
  help: 'List tasks running on one or more nodes, defaults to current node',
  flags: PS_FLAGS,
  args: { min: 0, max: ANY },
  run: (flags, context) => {
    const { dockerd, out } = context;
    refuseWorkers(context);
    const { store } = dockerd.services;
    const refs = flags.args.length === 0 ? ['self'] : flags.args;
    const find = (ref: string) => {
      const { id } = dockerd.swarm.members.find(ref, dockerd.node);
      return store.tasks.flatMap((task) => {
        const service = store.service(task.serviceId);
        return task.nodeId === id && service !== null ? [{ task, name: shownName(task, service) }] : [];
      });
    };
    const { shown, missing } = tasksOfAll(refs, find, (ref) => `Error: No such node: ${ref}`);
    if (missing.length < refs.length) printTasks(flags, context, shown);
    if (missing.length > 0) throw new CliError(missing.join('\n'));
    out.exit(0);
  },
};

export const nodeCommands: readonly CliCommand[] = [
  roleCommand('demote'),
  inspectCommand,
  lsCommand,
  roleCommand('promote'),
  psCommand,
  rmCommand,
  updateCommand,
];
