import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { DockerPortBinding, DockerRestartPolicy } from '../../../events/docker.ts';
import { ENDED, type RunningTool, type ToolOutput } from '../../../tools/tool.ts';
import type { Attachment } from '../containers.ts';
import type { CreateSpec } from '../create.ts';
import { DockerError } from '../error.ts';
import { findImage, taggedName } from '../images.ts';
import { type CliCommand, type CliContext, CliError, EXIT_DAEMON, EXIT_NOT_FOUND } from './command.ts';
import type { Flag, Flags } from './flags.ts';

/** Options of create and run that concern the network, and those without which nobody starts a container. */
const CREATE_FLAGS: readonly Flag[] = [
  { name: 'add-host', type: 'list', help: 'Add a custom host-to-IP mapping (host:ip)' },
  { name: 'attach', short: 'a', type: 'list', help: 'Attach to STDIN, STDOUT or STDERR' },
  { name: 'dns', type: 'list', help: 'Set custom DNS servers' },
  { name: 'dns-option', alias: 'dns-opt', type: 'list', help: 'Set DNS options' },
  { name: 'dns-search', type: 'list', help: 'Set custom DNS search domains' },
  { name: 'entrypoint', type: 'string', help: 'Overwrite the default ENTRYPOINT of the image' },
  { name: 'env', short: 'e', type: 'list', help: 'Set environment variables' },
  { name: 'expose', type: 'list', help: 'Expose a port or a range of ports' },
  { name: 'hostname', short: 'h', type: 'string', help: 'Container host name' },
  { name: 'interactive', short: 'i', type: 'bool', help: 'Keep STDIN open even if not attached' },
  { name: 'ip', type: 'string', help: 'IPv4 address (e.g., 172.30.100.104)' },
  { name: 'label', short: 'l', type: 'list', help: 'Set meta data on a container' },
  { name: 'link', type: 'list', help: 'Add link to another container' },
  { name: 'mac-address', type: 'string', help: 'Container MAC address (e.g., 92:d0:c6:0a:29:33)' },
  { name: 'name', type: 'string', help: 'Assign a name to the container' },
  { name: 'network', alias: 'net', type: 'network', help: 'Connect a container to a network' },
  {
    name: 'network-alias',
    alias: 'net-alias',
    type: 'list',
    help: 'Add network-scoped alias for the container',
  },
  { name: 'publish', short: 'p', type: 'list', help: "Publish a container's port(s) to the host" },
  { name: 'publish-all', short: 'P', type: 'bool', help: 'Publish all exposed ports to random ports' },
  { name: 'restart', type: 'string', help: 'Restart policy to apply when a container exits (default "no")' },
  { name: 'rm', type: 'bool', help: 'Automatically remove the container when it exits' },
  { name: 'tty', short: 't', type: 'bool', help: 'Allocate a pseudo-TTY' },
];

function invalid(flag: string, value: string, why: string): CliError {
  return new CliError(
    `invalid argument ${JSON.stringify(value)} for ${JSON.stringify(flag)} flag: ${why}\nSee 'docker run --help'.`,
    EXIT_DAEMON,
  );
}

/** `[hostIp:][hostPort:]containerPort[/proto]`, each port one or a range. @throws CliError */
export function parsePublish(text: string): DockerPortBinding[] {
  const flag = '-p, --publish';
  const [ports = '', proto = 'tcp', ...more] = text.split('/');
  const parts = ports.split(':');
  if (more.length > 0 || (proto !== 'tcp' && proto !== 'udp' && proto !== 'sctp'))
    throw new CliError(`docker: Invalid proto: ${proto}.\nSee 'docker run --help'.`, EXIT_DAEMON);
  const containerPort = parts.pop() ?? '';
  const hostPort = parts.pop() ?? '';
  const hostIp = parts.join(':');
  if (hostIp !== '' && parseIp4(hostIp) === null)
    throw new CliError(`docker: Invalid ip address: ${hostIp}.\nSee 'docker run --help'.`, EXIT_DAEMON);
  if (containerPort === '')
    throw new CliError(`docker: No port specified: ${text}<empty>.\nSee 'docker run --help'.`, EXIT_DAEMON);
  const inside = range(containerPort);
  if (inside === null)
    throw new CliError(
      `docker: Invalid containerPort: ${containerPort}.\nSee 'docker run --help'.`,
      EXIT_DAEMON,
    );
  const outside = hostPort === '' ? [0, 0] : range(hostPort);
  if (outside === null)
    throw new CliError(`docker: Invalid hostPort: ${hostPort}.\nSee 'docker run --help'.`, EXIT_DAEMON);
  const [first = 0, last = 0] = inside;
  const [outFirst = 0, outLast = 0] = outside;
  if (hostPort !== '' && outLast - outFirst !== last - first)
    throw invalid(flag, text, 'invalid range specified for port mapping');
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    port: first + i,
    proto,
    hostIp: hostIp === '' ? '0.0.0.0' : hostIp,
    hostPort: outFirst === 0 ? 0 : outFirst + i,
  }));
}

function range(text: string): [number, number] | null {
  const [first = '', last = first, ...more] = text.split('-');
  const from = port(first);
  const to = port(last);
  return from === null || to === null || to < from || more.length > 0 ? null : [from, to];
}

function port(text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : null;
}

function parseRestart(text: string): DockerRestartPolicy {
  if (text === '') return { name: 'no', maximumRetryCount: 0 };
  const [name = '', count, ...more] = text.split(':');
  if (more.length > 0)
    throw new CliError("docker: invalid restart policy format.\nSee 'docker run --help'.", EXIT_DAEMON);
  if (count !== undefined && !/^\d+$/.test(count))
    throw new CliError(
      "docker: maximum retry count must be an integer.\nSee 'docker run --help'.",
      EXIT_DAEMON,
    );
  if (name !== 'no' && name !== 'always' && name !== 'unless-stopped' && name !== 'on-failure')
    throw new DockerError(`invalid restart policy '${name}'`);
  if (count !== undefined && name !== 'on-failure')
    throw new DockerError(`maximum retry count cannot be used with restart policy '${name}'`);
  return { name, maximumRetryCount: Number(count ?? 0) };
}

function parseExpose(text: string): string[] {
  const [ports = '', proto = 'tcp'] = text.split('/');
  const found = range(ports);
  if (found === null || text.includes(':'))
    throw new CliError(
      `docker: invalid port format for --expose: ${text}.\nSee 'docker run --help'.`,
      EXIT_DAEMON,
    );
  return Array.from({ length: found[1] - found[0] + 1 }, (_, i) => `${found[0] + i}/${proto}`);
}

function extraHost(text: string): string {
  const colon = text.indexOf(':');
  const address = text.slice(colon + 1);
  const valid = address === 'host-gateway' || parseIp4(address) !== null || address.includes(':');
  if (colon <= 0) throw invalid('--add-host', text, `bad format for add-host: ${JSON.stringify(text)}`);
  if (!valid) throw invalid('--add-host', text, `invalid IP address in add-host: ${JSON.stringify(address)}`);
  return text;
}

/** What the command line asks for. @throws CliError, DockerError */
function specOf(flags: Flags): CreateSpec {
  const [image = '', ...command] = flags.args;
  const dns = flags.list('dns');
  for (const server of dns)
    if (parseIp4(server) === null && !server.includes(':'))
      throw invalid('--dns', server, `${server} is not an ip address`);
  const { networkMode, ip, aliases } = networkOf(flags);
  return {
    name: flags.text('name'),
    image,
    entrypoint: flags.given('entrypoint') ? flags.text('entrypoint') : null,
    command,
    hostname: flags.text('hostname'),
    env: flags.list('env'),
    labels: flags.map('label'),
    tty: flags.has('tty'),
    openStdin: flags.has('interactive'),
    expose: flags.list('expose').flatMap(parseExpose),
    publish: flags.list('publish').flatMap(parsePublish),
    publishAll: flags.has('publish-all'),
    networkMode,
    ip,
    macAddress: flags.text('mac-address'),
    links: flags.list('link'),
    aliases,
    dns,
    dnsSearch: flags.list('dns-search'),
    dnsOptions: flags.list('dns-option'),
    extraHosts: flags.list('add-host').map(extraHost),
    restart: parseRestart(flags.text('restart')),
    autoRemove: flags.has('rm'),
  };
}

/** `--network NAME`, or `--network name=NAME,ip=…,alias=…`. */
function networkOf(flags: Flags): Pick<CreateSpec, 'networkMode' | 'ip' | 'aliases'> {
  const text = flags.text('network');
  const plain = {
    networkMode: text === '' ? 'default' : text,
    ip: flags.text('ip'),
    aliases: [...flags.list('network-alias')],
  };
  if (!text.includes('=')) return plain;
  for (const field of text.split(',')) {
    const [key = '', value = ''] = field.split('=');
    if (key === 'name') plain.networkMode = value;
    else if (key === 'alias') plain.aliases.push(value);
    else if (key === 'ip') plain.ip = value;
    else if (key !== 'driver-opt') throw invalid('--network', text, `invalid field ${key}`);
  }
  return plain;
}

function create(flags: Flags, { dockerd, out }: CliContext): string {
  const spec = specOf(flags);
  try {
    findImage(spec.image);
  } catch (error) {
    if (error instanceof DockerError)
      out.stderr(`Unable to find image '${taggedName(spec.image)}' locally\n`);
    throw error;
  }
  const container = dockerd.create(spec);
  if (container.networkMode === 'host' && (spec.publish.length > 0 || spec.publishAll))
    out.stderr('WARNING: Published ports are discarded when using host network mode\n');
  return container.id;
}

export const createCommand: CliCommand = {
  name: 'create',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  help: 'Create a new container',
  flags: CREATE_FLAGS,
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  order: 'stop-at-argument',
  run: (flags, context) => {
    context.out.stdout(`${create(flags, context)}\n`);
    context.out.exit(0);
  },
};

/** Reports as `docker run` does: the daemon's words after its own name, and its exit codes. */
function report(out: ToolOutput, error: DockerError, help: boolean): void {
  const text = `${error.message.replace(/\.$/, '')}.`;
  out.stderr(`docker: Error response from daemon: ${text}${help ? "\nSee 'docker run --help'." : ''}\n`);
  out.exit(error.kind === 'not-found' ? EXIT_NOT_FOUND : EXIT_DAEMON);
}

export const runCommand: CliCommand = {
  name: 'run',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  help: 'Run a command in a new container',
  flags: [
    ...CREATE_FLAGS,
    { name: 'detach', short: 'd', type: 'bool', help: 'Run container in background and print container ID' },
    { name: 'sig-proxy', type: 'bool', help: 'Proxy received signals to the process (default true)' },
  ],
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  order: 'stop-at-argument',
  check: (flags) => void findImage(specOf(flags).image),
  run: (flags, context) => {
    const { dockerd, out } = context;
    let id: string;
    try {
      if (flags.has('detach') && flags.list('attach').length > 0)
        throw new CliError('docker: Conflicting options: -a and -d.', EXIT_DAEMON);
      id = create(flags, context);
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      report(out, error, true);
      return ENDED;
    }
    const failed = (error: DockerError) => {
      if (flags.has('rm')) dockerd.containers.remove(id, true);
      report(out, error, false);
    };
    if (!flags.has('detach')) return attached(id, context, failed);
    out.stdout(`${id}\n`);
    dockerd.containers.start(id, null, (error) => {
      if (error === null) out.exit(0);
      else failed(error);
    });
    return ENDED;
  },
};

/** In the foreground: its output is the client's, and its exit code. */
export function attached(
  id: string,
  { dockerd, out, stdin }: CliContext,
  failed: (error: DockerError) => void,
): RunningTool {
  const stream: Attachment = {
    stdout: (text) => out.stdout(text),
    stderr: (text) => out.stderr(text),
    exit: () => {},
    ...(stdin === undefined ? {} : { stdin }),
  };
  dockerd.containers.onNextExit(id, (code) => out.exit(code));
  dockerd.containers.start(id, stream, (error) => {
    if (error !== null) failed(error);
  });
  let interrupts = 0;
  return {
    interrupt: () => {
      dockerd.containers.interrupt(id);
      if (++interrupts < 3) return;
      out.stderr('got 3 SIGTERM/SIGINTs, forcefully exiting\n');
      out.exit(1);
    },
  };
}
