import { parseIp4, parsePrefix, prefixContains, prefixesOverlap } from '../../../../protocols/ip4.ts';
import type { DockerIpamFacts, DockerNetworkFacts } from '../../../events/docker.ts';
import type { ToolOutput } from '../../../tools/tool.ts';
import { isUserDefined } from '../create.ts';
import { DockerError } from '../error.ts';
import { inspectNetwork } from '../inspect.ts';
import { type CliCommand, CliError } from './command.ts';
import { daemonError, inParallel } from './each.ts';
import type { Flags } from './flags.ts';
import { FORMAT_FLAG, inspectAll } from './inspect.ts';
import { filtered, hasLabel, printColumns } from './listing.ts';
import { timestamp } from './table.ts';

const ANY = Number.POSITIVE_INFINITY;

interface LsRow {
  readonly ID: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly IPv6: string;
  readonly Internal: string;
  readonly Labels: string;
  readonly CreatedAt: string;
}

const LS_HEADERS: Readonly<Record<keyof LsRow, string>> = {
  ID: 'NETWORK ID',
  Name: 'NAME',
  Driver: 'DRIVER',
  Scope: 'SCOPE',
  IPv6: 'IPV6',
  Internal: 'INTERNAL',
  Labels: 'LABELS',
  CreatedAt: 'CREATED AT',
};

const LS_COLUMNS: readonly (keyof LsRow)[] = ['ID', 'Name', 'Driver', 'Scope'];

function lsRow(network: DockerNetworkFacts, trunc: boolean): LsRow {
  return {
    ID: trunc ? network.id.slice(0, 12) : network.id,
    Name: network.name,
    Driver: network.driver,
    Scope: network.scope,
    IPv6: 'false',
    Internal: String(network.internal),
    Labels: Object.entries(network.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    CreatedAt: `${timestamp(network.created).slice(0, 19).replace('T', ' ')} +0000 UTC`,
  };
}

function matches(network: DockerNetworkFacts, filter: string): boolean {
  const equals = filter.indexOf('=');
  const key = filter.slice(0, equals);
  const value = filter.slice(equals + 1);
  switch (key) {
    case 'name':
      return network.name.includes(value);
    case 'id':
      return network.id.startsWith(value);
    case 'driver':
      return network.driver === value;
    case 'scope':
      return network.scope === value;
    case 'type':
      return (value === 'custom') === isUserDefined(network.name);
    case 'label':
      return hasLabel(network.labels, value);
    default:
      throw new DockerError(`Invalid filter '${key}'`);
  }
}

const lsCommand: CliCommand = {
  name: 'network ls',
  usage: '[OPTIONS]',
  help: 'List networks',
  flags: [
    { name: 'filter', short: 'f', type: 'filter', help: "Provide filter values (e.g. 'driver=bridge')" },
    { name: 'format', type: 'string', help: 'Pretty-print networks using a Go template' },
    { name: 'no-trunc', type: 'bool', help: 'Do not truncate the output' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'Only display network IDs' },
  ],
  args: { min: 0, max: 0 },
  run: (flags, { dockerd, out }) => {
    const sorted = dockerd.ledger.networks.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const rows = filtered(sorted, flags.list('filter'), matches).map((network) =>
      lsRow(network, !flags.has('no-trunc')),
    );
    printColumns(flags, out, rows, LS_COLUMNS, LS_HEADERS);
    out.exit(0);
  },
};

/** Ends with what a daemon's answer comes to. */
function ends(out: ToolOutput, error: DockerError | null, text: string): void {
  if (error === null) out.stdout(text);
  else out.stderr(`${daemonError(error)}\n`);
  out.exit(error === null ? 0 : 1);
}

/** Subnets with what belongs to each (`consolidateIpam`). @throws CliError */
function ipamOf(flags: Flags): DockerIpamFacts[] {
  const subnets = flags.list('subnet');
  const ranges = [...flags.list('ip-range')];
  const gateways = [...flags.list('gateway')];
  if (subnets.length < ranges.length || subnets.length < gateways.length)
    throw new CliError('every ip-range or gateway must have a corresponding subnet');
  const aux = Object.entries(flags.map('aux-address'));
  const prefixes = subnets.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === null || !text.includes('/')) throw new CliError(`invalid CIDR address: ${text}`);
    return { text, prefix };
  });
  for (const [i, { prefix }] of prefixes.entries())
    if (prefixes.slice(0, i).some((other) => prefixesOverlap(other.prefix, prefix)))
      throw new CliError('multiple overlapping subnet configuration is not supported');
  const ipam = prefixes.map(({ text, prefix }): DockerIpamFacts => {
    const take = (list: string[], fits: (item: string) => boolean) => {
      const at = list.findIndex(fits);
      return at < 0 ? '' : (list.splice(at, 1)[0] ?? '');
    };
    const inside = (item: string) =>
      prefixContains(prefix, parsePrefix(item.includes('/') ? item : `${item}/32`)?.addr ?? -1);
    const auxAddress = Object.fromEntries(aux.filter(([, address]) => inside(address)));
    return { subnet: text, ipRange: take(ranges, inside), gateway: take(gateways, inside), auxAddress };
  });
  const [range] = ranges;
  if (range !== undefined) throw new CliError(`no matching subnet for range ${range}`);
  const [gateway] = gateways;
  if (gateway !== undefined)
    throw new CliError(
      parseIp4(gateway) === null
        ? `invalid IP address: ${gateway}`
        : `no matching subnet for gateway ${gateway}`,
    );
  const strayAux = aux.find(([name]) => !ipam.some(({ auxAddress }) => Object.hasOwn(auxAddress, name)));
  if (strayAux !== undefined) throw new CliError(`no matching subnet for aux-address ${strayAux[1]}`);
  return ipam;
}

const createCommand: CliCommand = {
  name: 'network create',
  usage: '[OPTIONS] NETWORK',
  help: 'Create a network',
  flags: [
    { name: 'attachable', type: 'bool', help: 'Enable manual container attachment' },
    {
      name: 'aux-address',
      type: 'map',
      help: 'Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])',
    },
    { name: 'driver', short: 'd', type: 'string', help: 'Driver to manage the Network (default "bridge")' },
    { name: 'gateway', type: 'ipSlice', help: 'IPv4 or IPv6 Gateway for the master subnet' },
    { name: 'ingress', type: 'bool', help: 'Create swarm routing-mesh network' },
    { name: 'internal', type: 'bool', help: 'Restrict external access to the network' },
    { name: 'ip-range', type: 'ipSlice', help: 'Allocate container ip from a sub-range' },
    { name: 'ipv6', type: 'bool', help: 'Enable IPv6 networking' },
    { name: 'label', type: 'list', help: 'Set metadata on a network' },
    { name: 'opt', short: 'o', type: 'map', help: 'Set driver specific options (default map[])' },
    { name: 'scope', type: 'string', help: "Control the network's scope" },
    { name: 'subnet', type: 'ipSlice', help: 'Subnet in CIDR format that represents a network segment' },
  ],
  args: { min: 1, max: 1 },
  check: (flags) => void ipamOf(flags),
  run: (flags, { dockerd, out }) => {
    if (flags.has('ipv6'))
      throw new CliError('--ipv6: networks of this emulation have IPv4 addresses only so far');
    dockerd.createNetwork(
      {
        name: flags.args[0]!,
        driver: flags.text('driver') || 'bridge',
        internal: flags.has('internal'),
        attachable: flags.has('attachable'),
        ingress: flags.has('ingress'),
        ipam: ipamOf(flags),
        options: flags.map('opt'),
        labels: flags.map('label'),
      },
      (error, id) => ends(out, error, `${id}\n`),
    );
  },
};

const connectCommand: CliCommand = {
  name: 'network connect',
  usage: '[OPTIONS] NETWORK CONTAINER',
  help: 'Connect a container to a network',
  flags: [
    { name: 'alias', type: 'list', help: 'Add network-scoped alias for the container' },
    { name: 'driver-opt', type: 'list', help: 'driver options for the network' },
    { name: 'ip', type: 'string', help: 'IPv4 address (e.g., 172.30.100.104)' },
    { name: 'link', type: 'list', help: 'Add link to another container' },
  ],
  args: { min: 2, max: 2 },
  run: (flags, { dockerd, out }) => {
    const [network = '', container = ''] = flags.args;
    const wanted = { ip: flags.text('ip'), aliases: flags.list('alias'), links: flags.list('link') };
    dockerd.connect(network, container, wanted, (error) => ends(out, error, ''));
  },
};

const disconnectCommand: CliCommand = {
  name: 'network disconnect',
  usage: '[OPTIONS] NETWORK CONTAINER',
  help: 'Disconnect a container from a network',
  flags: [
    { name: 'force', short: 'f', type: 'bool', help: 'Force the container to disconnect from a network' },
  ],
  args: { min: 2, max: 2 },
  run: (flags, { dockerd, out }) => {
    const [network = '', container = ''] = flags.args;
    dockerd.disconnect(network, container);
    out.exit(0);
  },
};

const rmCommand: CliCommand = {
  name: 'network rm',
  usage: 'NETWORK [NETWORK...]',
  help: 'Remove one or more networks',
  flags: [],
  args: { min: 1, max: ANY },
  run: (flags, context) => {
    const { dockerd } = context;
    inParallel(flags.args, context, (ref, done) => {
      const known = dockerd.ledger.networks.some(({ id, name }) => name === ref || id.startsWith(ref));
      if (!known) throw new CliError(`Error: No such network: ${ref}`);
      dockerd.removeNetwork(ref, done);
    });
  },
};

const pruneCommand: CliCommand = {
  name: 'network prune',
  usage: '[OPTIONS]',
  help: 'Remove all unused networks',
  flags: [
    { name: 'filter', type: 'filter', help: "Provide filter values (e.g. 'until=<timestamp>')" },
    { name: 'force', short: 'f', type: 'bool', help: 'Do not prompt for confirmation' },
  ],
  args: { min: 0, max: 0 },
  run: (_flags, { dockerd, out }) => {
    const unused = dockerd.unusedNetworks();
    for (const { id } of unused) dockerd.removeNetwork(id, () => {});
    if (unused.length > 0)
      out.stdout(`Deleted Networks:\n${unused.map(({ name }) => `${name}\n`).join('')}\n`);
    out.exit(0);
  },
};

const inspectCommand: CliCommand = {
  name: 'network inspect',
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  help: 'Display detailed information on one or more networks',
  flags: [FORMAT_FLAG, { name: 'verbose', short: 'v', type: 'bool', help: 'Verbose output for diagnostics' }],
  args: { min: 1, max: ANY },
  run: (flags, { dockerd, out }) => {
    out.exit(
      inspectAll(
        flags.args,
        flags.text('format'),
        out,
        (ref) => inspectNetwork(dockerd, dockerd.ledger.network(ref)),
        (ref) => `Error: No such network: ${ref}`,
      ),
    );
  },
};

export const networkCommands: readonly CliCommand[] = [
  connectCommand,
  createCommand,
  disconnectCommand,
  inspectCommand,
  lsCommand,
  pruneCommand,
  rmCommand,
];
