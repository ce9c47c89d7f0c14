import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { ToolOutput } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { MANAGER_PORT } from '../swarm/sessions.ts';
import { type CliCommand, CliError } from './command.ts';
import { daemonError } from './each.ts';
import type { Flag } from './flags.ts';

const ADVERTISE: Flag = {
  name: 'advertise-addr',
  type: 'string',
  help: 'Advertised address (format: <ip|interface>[:port])',
};

function fails(out: ToolOutput, error: DockerError): void {
  out.stderr(`${daemonError(error)}\n`);
  out.exit(1);
}

function joinLines(role: string, token: string, address: string): string {
  return `To add a ${role} to this swarm, run the following command:\n\n    docker swarm join --token ${token} ${address}:${MANAGER_PORT}\n`;
}

const initCommand: CliCommand = {
  name: 'swarm init',
  usage: '[OPTIONS]',
  help: 'Initialize a swarm',
  flags: [ADVERTISE],
  args: { min: 0, max: 0 },
  run: (flags, { dockerd, out }) => {
    const { swarm } = dockerd;
    const address = dockerd.addressOf(flags.text('advertise-addr'));
    swarm.init(address, (error) => {
      if (error !== null) {
        fails(out, error);
        return;
      }
      const { id = '' } = swarm.member ?? {};
      const token = swarm.tokens?.workerToken ?? '';
      out.stdout(
        `Swarm initialized: current node (${id}) is now a manager.\n\n${joinLines('worker', token, address)}\nTo add a manager to this swarm, run 'docker swarm join-token manager' and follow the instructions.\n\n`,
      );
      out.exit(0);
    });
  },
};

const joinCommand: CliCommand = {
  name: 'swarm join',
  usage: '[OPTIONS] HOST:PORT',
  help: 'Join a swarm as a node and/or manager',
  flags: [ADVERTISE, { name: 'token', type: 'string', help: 'Token for entry into the swarm' }],
  args: { min: 1, max: 1 },
  run: (flags, { dockerd, out }) => {
    const [host = '', port = String(MANAGER_PORT)] = flags.args[0]!.split(':');
    if (parseIp4(host) === null || !/^\d{1,5}$/.test(port))
      throw new DockerError(
        `invalid remote address ${flags.args[0]}: write a manager's address, as in 10.0.0.1:${MANAGER_PORT}`,
      );
    dockerd.swarm.join(
      flags.text('token'),
      { host, port: Number(port) },
      dockerd.addressOf(flags.text('advertise-addr')),
      (error, role) => {
        if (error === null) out.stdout(`This node joined a swarm as a ${role}.\n`);
        else out.stderr(`${daemonError(error)}\n`);
        out.exit(error === null ? 0 : 1);
      },
    );
  },
};

const leaveCommand: CliCommand = {
  name: 'swarm leave',
  usage: '[OPTIONS]',
  help: 'Leave the swarm',
  flags: [
    {
      name: 'force',
      short: 'f',
      type: 'bool',
      help: 'Force this node to leave the swarm, ignoring warnings',
    },
  ],
  args: { min: 0, max: 0 },
  run: (flags, { dockerd, out }) => {
    dockerd.swarm.leave(flags.has('force'), (error) => {
      if (error === null) out.stdout('Node left the swarm.\n');
      else out.stderr(`${daemonError(error)}\n`);
      out.exit(error === null ? 0 : 1);
    });
  },
};

const joinTokenCommand: CliCommand = {
  name: 'swarm join-token',
  usage: '[OPTIONS] (worker|manager)',
  help: 'Manage join tokens',
  flags: [{ name: 'quiet', short: 'q', type: 'bool', help: 'Only display token' }],
  args: { min: 1, max: 1 },
  run: (flags, { dockerd, out }) => {
    const [role = ''] = flags.args;
    const { swarm } = dockerd;
    if (role !== 'worker' && role !== 'manager') throw new CliError(`unknown role ${role}`);
    const refusal = swarm.refuseManager();
    if (refusal !== null) throw refusal;
    const { tokens, member } = swarm;
    const token = (role === 'worker' ? tokens?.workerToken : tokens?.managerToken) ?? '';
    out.stdout(flags.has('quiet') ? `${token}\n` : `${joinLines(role, token, member?.address ?? '')}\n`);
    out.exit(0);
  },
};

export const swarmCommands: readonly CliCommand[] = [
  initCommand,
  joinCommand,
  joinTokenCommand,
  leaveCommand,
];
