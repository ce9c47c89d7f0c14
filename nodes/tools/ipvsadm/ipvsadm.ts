import { PROTO_UDP } from '../../../protocols/ipv4.ts';
import { IpvsError } from '../../kernel/netfilter/ipvs/ipvs.ts';
import { SCHEDULERS, type SchedulerName } from '../../kernel/netfilter/ipvs/schedulers.ts';
import {
  DEFAULT_SERVICE,
  type DestinationSpec,
  type ServiceKey,
  type ServiceSpec,
} from '../../kernel/netfilter/ipvs/service.ts';
import type { Netns } from '../../kernel/netns.ts';
import { type Command, ToolError, type ToolOutput } from '../tool.ts';
import { fail, type IpvsadmCommand, type IpvsadmOptions, parseIpvsadm, tryHelp } from './options.ts';
import { connectionEntries, type ListFormat, type ListKind, serviceEntry, title } from './print.ts';

const HEADER = 'IP Virtual Server version 1.2.1 (size=4096)\n';
const HELP = `ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)
Usage:
  ipvsadm -A|E virtual-service [-s scheduler] [-p [timeout]] [-M netmask] [-b sched-flags]
  ipvsadm -D virtual-service
  ipvsadm -C
  ipvsadm -R
  ipvsadm -S [-n]
  ipvsadm -a|e virtual-service -r server-address [options]
  ipvsadm -d virtual-service -r server-address
  ipvsadm -L|l [virtual-service] [options]
  ipvsadm -Z [virtual-service]
  ipvsadm --set tcp tcpfin udp
  ipvsadm -h
`;

type Out = Pick<ToolOutput, 'stdout' | 'stderr'>;

/** ipvsadm(8) 1.31, on the IPVS of the namespace. */
export const ipvsadm: Command = (args, { ns, stdin }, out) => run(args, ns, stdin ?? null, out);

/** `ipvsadm-save [-n]` */
export const ipvsadmSave: Command = (args, { ns }, out) => run(['-S', ...args], ns, null, out);

/** ipvsadm-restore: in the place of what is there. */
export const ipvsadmRestore: Command = (_args, { ns, stdin }, out) => {
  run(['-C'], ns, null, out);
  return run(['-R'], ns, stdin ?? '', out);
};

/** `stdin` is null within what is restored. */
function run(args: readonly string[], ns: Netns, stdin: string | null, out: Out): number {
  if (args.length === 0) {
    out.stdout(list(ns, formatOf(ns, new Set(), 'plain'), null));
    return 0;
  }
  const options = parseIpvsadm(args);
  switch (options.command) {
    case 'help':
      out.stdout(HELP);
      return 0;
    case 'list':
      out.stdout(listed(ns, options));
      return 0;
    case 'save':
      out.stdout(list(ns, formatOf(ns, options.given, 'rule'), null));
      return 0;
    case 'restore':
      if (stdin === null) throw tryHelp();
      return restore(stdin, ns, out);
    default:
      return change(options, ns);
  }
}

function restore(text: string, ns: Netns, out: Out): number {
  let code = 0;
  for (const line of text.split('\n')) {
    const words = line
      .replace(/(^|\s)#.*/, '')
      .split(/\s+/)
      .filter((word) => word !== '' && word !== 'ipvsadm');
    if (words.length === 0) continue;
    try {
      code = run(words, ns, null, out);
    } catch (error) {
      // What is wrong in itself ends it; what the kernel refuses does not.
      if (!(error instanceof ToolError) || error.code !== REFUSED) throw error;
      out.stderr(`${error.message}\n`);
      code = error.code;
    }
  }
  return code;
}

const REFUSED = 255;

function change(options: IpvsadmOptions, ns: Netns): number {
  const { ipvs } = ns;
  const { command, service, server } = options;
  try {
    switch (command) {
      case 'flush':
        ipvs.flush();
        return 0;
      case 'zero':
        ipvs.zero(service);
        return 0;
      case 'set':
        if (options.timeouts !== null) ipvs.setTimeouts(options.timeouts);
        return 0;
    }
    if (service === null) throw tryHelp();
    switch (command) {
      case 'add-service':
        ipvs.addService(service, serviceSpec(service, options));
        return 0;
      case 'edit-service':
        ipvs.editService(service, serviceSpec(service, options));
        return 0;
      case 'delete-service':
        ipvs.removeService(service);
        return 0;
    }
    if (server === null) throw tryHelp();
    const port = server.port ?? ('port' in service ? service.port : 0);
    switch (command) {
      case 'add-server':
        ipvs.addDestination(service, destinationSpec(service, server.addr, port, options));
        return 0;
      case 'edit-server':
        ipvs.editDestination(service, destinationSpec(service, server.addr, port, options));
        return 0;
      default:
        ipvs.removeDestination(service, server.addr, port);
        return 0;
    }
  } catch (error) {
    if (error instanceof IpvsError) throw new ToolError(describe(command, error.errno), REFUSED);
    throw error;
  }
}

function serviceSpec(service: ServiceKey, options: IpvsadmOptions): ServiceSpec {
  const { persistent, netmask, ops, schedulerFlags } = options;
  if ('port' in service && service.port === 0 && persistent === null)
    throw fail('Zero port specified for non-persistent service');
  if (ops && 'proto' in service && service.proto !== PROTO_UDP)
    throw fail('One-Packet Scheduling is only for UDP virtual services');
  const name = options.scheduler === '' ? DEFAULT_SERVICE.scheduler : options.scheduler;
  const flags = schedulerFlags === '' ? [] : schedulerFlags.split(',');
  for (const flag of flags) {
    if (flag !== 'sh-fallback' && flag !== 'sh-port') throw fail(`invalid scheduler flag \`${flag}'`);
    if (name !== 'sh') throw fail(`incompatible scheduler flag \`${flag}'`);
  }
  const scheduler = SCHEDULERS.find((each) => each === name);
  if (scheduler === undefined) throw new IpvsError('ENOENT');
  return {
    scheduler: scheduler satisfies SchedulerName,
    shFallback: flags.includes('sh-fallback'),
    shPort: flags.includes('sh-port'),
    persistent,
    netmask,
    onePacket: ops,
  };
}

function destinationSpec(
  service: ServiceKey,
  addr: number,
  port: number,
  { forward, weight, upper, lower }: IpvsadmOptions,
): DestinationSpec {
  const own = forward !== 'Masq' && 'port' in service ? service.port : port;
  return { addr, port: own, forward, weight, upper, lower };
}

/** `ipvs_strerror` */
function describe(command: IpvsadmCommand, errno: IpvsError['errno']): string {
  const server = command.endsWith('-server');
  switch (errno) {
    case 'EEXIST':
      return server ? 'Destination already exists' : 'Service already exists';
    case 'ESRCH':
      return server ? 'Service not defined' : 'No such service';
    case 'ENOENT':
      return server ? 'No such destination' : 'Scheduler or persistence engine not found';
    case 'ERANGE':
      return 'Numerical result out of range';
  }
}

function formatOf(ns: Netns, given: ReadonlySet<string>, kind: ListKind): ListFormat {
  return {
    kind,
    numeric: given.has('numeric'),
    exact: given.has('exact'),
    sorted: !given.has('nosort'),
    now: ns.kernel.rt.now,
  };
}

function listed(ns: Netns, { given, service }: IpvsadmOptions): string {
  const figures = ['stats', 'rate', 'thresholds'].some((name) => given.has(name));
  const other = given.has('timeout') || given.has('daemon');
  if ((figures && (other || given.has('connection'))) || (other && given.has('persistent-conn')))
    throw fail('options conflicts in the list command');
  const kinds = ['stats', 'rate', 'thresholds', 'persistent-conn'] as const;
  const format = formatOf(ns, given, kinds.find((kind) => given.has(kind)) ?? 'plain');
  if (given.has('connection')) return connectionEntries(ns.ipvs.connections.all(), format);
  if (given.has('timeout')) {
    const { tcp, tcpfin, udp } = ns.ipvs.timeoutFacts();
    return `Timeout (tcp tcpfin udp): ${tcp} ${tcpfin} ${udp}\n`;
  }
  return given.has('daemon') ? '' : list(ns, format, service);
}

function list(ns: Netns, format: ListFormat, key: ServiceKey | null): string {
  if (key === null) {
    const all = ns.ipvs.services().map((each) => serviceEntry(each, format));
    return `${format.kind === 'rule' ? '' : HEADER}${title(format)}${all.join('')}`;
  }
  const service = ns.ipvs.get(key);
  if (service === undefined) throw new ToolError('No such service', 1);
  return title(format) + serviceEntry(service, format);
}
