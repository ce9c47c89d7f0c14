import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { Dockerd } from '../dockerd.ts';
import { DockerError } from '../error.ts';
import type { ServiceNetwork, ServicePort } from '../swarm/service-rows.ts';
import { CliError } from './command.ts';
import type { Flag, Flags } from './flags.ts';
import { parseTemplate } from './template.ts';

/** Options of `docker service create`; those of `update` that set and do not add are the same. */
export const SHARED_FLAGS: readonly Flag[] = [
  {
    name: 'detach',
    short: 'd',
    type: 'bool',
    help: 'Exit immediately instead of waiting for the service to converge',
  },
  { name: 'endpoint-mode', type: 'string', help: 'Endpoint mode (vip or dnsrr) (default "vip")' },
  { name: 'hostname', type: 'string', help: 'Container hostname' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'Suppress progress output' },
  { name: 'replicas', type: 'string', help: 'Number of tasks' },
  {
    name: 'replicas-max-per-node',
    type: 'string',
    help: 'Maximum number of tasks per node (default 0 = unlimited)',
  },
  {
    name: 'restart-condition',
    type: 'string',
    help: 'Restart when condition is met ("none"|"on-failure"|"any") (default "any")',
  },
  {
    name: 'restart-delay',
    type: 'string',
    help: 'Delay between restart attempts (ns|us|ms|s|m|h) (default 5s)',
  },
  { name: 'restart-max-attempts', type: 'string', help: 'Maximum number of restarts before giving up' },
  { name: 'update-delay', type: 'string', help: 'Delay between updates (ns|us|ms|s|m|h) (default 0s)' },
  {
    name: 'update-parallelism',
    type: 'string',
    help: 'Maximum number of tasks updated simultaneously (0 to update all at once)',
  },
];

export function refuse(command: string, flag: string, value: string, why: string): CliError {
  return new CliError(
    `invalid argument ${JSON.stringify(value)} for ${JSON.stringify(flag)} flag: ${why}\nSee 'docker ${command} --help'.`,
    125,
  );
}

/** @throws CliError in Uint64Opt's words */
export function count(command: string, flag: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw refuse(
    command,
    `--${flag}`,
    text,
    `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A duration as Go reads it, ms. @throws CliError */
export function duration(command: string, flag: string, text: string): number {
  if (text === '0') return 0;
  if (!/^([0-9.]+(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    const why = /^[0-9.]+$/.test(text) ? 'missing unit in duration' : 'invalid duration';
    throw refuse(command, `--${flag}`, text, `time: ${why} ${JSON.stringify(text)}`);
  }
  let sum = 0;
  for (const [, value, unit = 's'] of text.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(value) * (UNITS[unit] ?? 1);
  return sum;
}

function protocolOf(text: string): ServicePort['proto'] | null {
  return text === 'tcp' || text === 'udp' || text === 'sctp' ? text : null;
}

/** `8080:80`, `80/udp`, `published=8080,target=80,mode=host,protocol=tcp` (docker/cli's opts/port.go). @throws CliError */
export function parsePort(command: string, flag: string, text: string): ServicePort {
  const fails = (why: string) => refuse(command, flag, text, why);
  const number = (value: string) => {
    if (!/^\d+$/.test(value))
      throw fails(`strconv.ParseUint: parsing ${JSON.stringify(value)}: invalid syntax`);
    if (Number(value) > 0xffff)
      throw fails(`strconv.ParseUint: parsing ${JSON.stringify(value)}: value out of range`);
    return Number(value);
  };
  if (text.includes('=')) {
    let port: ServicePort = { proto: 'tcp', target: 0, published: 0, mode: 'ingress' };
    for (const field of text.split(',')) {
      const equals = field.indexOf('=');
      if (equals < 0) throw fails(`invalid field ${field}`);
      const key = field.slice(0, equals).toLowerCase();
      const value = field.slice(equals + 1).toLowerCase();
      if (key === 'protocol') {
        const proto = protocolOf(value);
        if (proto === null) throw fails(`invalid protocol value ${value}`);
        port = { ...port, proto };
      } else if (key === 'mode') {
        if (value !== 'ingress' && value !== 'host') throw fails(`invalid publish mode value ${value}`);
        port = { ...port, mode: value };
      } else if (key === 'target') port = { ...port, target: number(value) };
      else if (key === 'published') port = { ...port, published: number(value) };
      else throw fails(`invalid field key ${key}`);
    }
    if (port.target === 0) throw fails('missing mandatory field "target"');
    return port;
  }
  const [ports = '', word = 'tcp', ...more] = text.split('/');
  const proto = protocolOf(word.toLowerCase());
  if (proto === null || more.length > 0) throw fails(`Invalid proto: ${word}`);
  const parts = ports.split(':');
  if (parts.length > 2) throw fails('hostip is not supported');
  const target = parts.pop() ?? '';
  if (target === '') throw fails(`No port specified: ${text}<empty>`);
  const published = parts.pop() ?? '';
  for (const [what, value] of [
    ['containerPort', target],
    ['hostPort', published],
  ] as const)
    if (value !== '' && (!/^\d+$/.test(value) || Number(value) > 0xffff))
      throw fails(`Invalid ${what}: ${value}`);
  return { proto, target: Number(target), published: Number(published || 0), mode: 'ingress' };
}

/** `name`, or `name=…,alias=…`. @throws DockerError, CliError */
export function parseNetwork(dockerd: Dockerd, text: string): ServiceNetwork {
  if (!text.includes('=')) return dockerd.services.network(text, []);
  let name = '';
  const aliases: string[] = [];
  for (const field of text.split(',')) {
    const [key = '', value = ''] = field.split('=');
    if (key === 'name') name = value;
    else if (key === 'alias') aliases.push(value);
    else
      throw new CliError(
        `invalid argument ${JSON.stringify(text)} for "--network" flag: invalid field key ${key}`,
        125,
      );
  }
  return dockerd.services.network(name, aliases);
}

/** `host:ip` as /etc/hosts gets it. @throws CliError */
export function parseHost(command: string, flag: string, text: string): string {
  const colon = text.indexOf(':');
  if (colon <= 0) throw refuse(command, flag, text, `bad format for add-host: ${JSON.stringify(text)}`);
  const address = text.slice(colon + 1);
  if (parseIp4(address) === null && !address.includes(':'))
    throw refuse(command, flag, text, `invalid IP address in add-host: ${JSON.stringify(address)}`);
  return text;
}

export function parseServer(command: string, flag: string, text: string): string {
  if (parseIp4(text) === null && !text.includes(':'))
    throw refuse(command, flag, text, `${text} is not an ip address`);
  return text;
}

/** @throws CliError */
export function endpointMode(flags: Flags, before: 'vip' | 'dnsrr'): 'vip' | 'dnsrr' {
  const text = flags.text('endpoint-mode') || before;
  if (text === 'vip' || text === 'dnsrr') return text;
  throw new DockerError(
    `rpc error: code = InvalidArgument desc = EndpointSpec: unknown resolution mode: ${text}`,
  );
}

/** Checks `{{.Node.Hostname}}` and its like. @throws CliError */
export function placeholder(text: string): string {
  parseTemplate(text);
  return text;
}
