import { serviceName } from '../../../protocols/services.ts';
import { getopt } from '../getopt.ts';
import { type Endpoint, type SocketRow, socketRows } from '../sockets.ts';
import { type Command, ToolError } from '../tool.ts';
import { routeTable } from './route.ts';

const STATE_NAMES: Readonly<Record<SocketRow['state'], string>> = {
  LISTEN: 'LISTEN',
  UNCONN: '',
  'SYN-SENT': 'SYN_SENT',
  'SYN-RECEIVED': 'SYN_RECV',
  ESTABLISHED: 'ESTABLISHED',
  'FIN-WAIT-1': 'FIN_WAIT1',
  'FIN-WAIT-2': 'FIN_WAIT2',
  'CLOSE-WAIT': 'CLOSE_WAIT',
  CLOSING: 'CLOSING',
  'LAST-ACK': 'LAST_ACK',
  'TIME-WAIT': 'TIME_WAIT',
  CLOSED: 'CLOSE',
};

/** netstat(8) of net-tools: sockets, and with `-r` the routes. */
export const netstat: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: 'ntulapr46We', values: '' });
  if (!parsed.ok) {
    if ('isgMc'.includes(parsed.name)) throw new ToolError(`netstat: -${parsed.name} is not emulated`, 4);
    throw new ToolError(
      `netstat: invalid option -- '${parsed.name}'\nusage: netstat [-tulanp46] | netstat -rn`,
      3,
    );
  }
  const flags = new Set(parsed.options.map(({ name }) => name));
  if (flags.has('r') && flags.has('6'))
    throw new ToolError('netstat: -r of IPv6 is not emulated: use ip -6 route', 4);
  if (flags.has('r')) {
    out.stdout(routeTable(ctx.ns, { numeric: flags.has('n'), style: 'netstat' }));
    return 0;
  }
  const both = flags.has('t') === flags.has('u');
  const anyFamily = flags.has('4') === flags.has('6');
  const which = flags.has('l') ? 'only servers' : flags.has('a') ? 'servers and established' : 'w/o servers';
  const rows = socketRows(ctx.ns).filter((row) => {
    if (!both && !flags.has(row.protocol === 'tcp' ? 't' : 'u')) return false;
    if (!anyFamily && !flags.has(String(row.family))) return false;
    const server = row.state === 'LISTEN' || row.state === 'UNCONN';
    return which === 'only servers' ? server : which === 'w/o servers' ? !server : true;
  });
  const program = flags.has('p');
  const ordered = [
    ...rows.filter(({ protocol }) => protocol === 'tcp'),
    ...rows.filter(({ protocol }) => protocol === 'udp'),
  ];
  out.stdout(`Active Internet connections (${which})\n`);
  out.stdout(
    `Proto Recv-Q Send-Q Local Address           Foreign Address         State      ${program ? ' PID/Program name    ' : ''}\n`,
  );
  for (const row of ordered) out.stdout(`${line(row, flags)}${program ? ` ${'-'.padEnd(20)}` : ''}\n`);
  return 0;
};

function line(row: SocketRow, flags: ReadonlySet<string>): string {
  const protocol = `${row.protocol}${row.family === 6 ? '6' : ''}`.padEnd(5);
  // A listener's queues are not those of bytes.
  const sendQueue = row.state === 'LISTEN' ? 0 : row.sendQueue;
  const queues = `${String(row.receiveQueue).padStart(6)} ${String(sendQueue).padStart(6)}`;
  const shown = (end: Endpoint) => {
    const numeric = flags.has('n');
    const port =
      end.port === 0 ? '*' : ((numeric ? null : serviceName(end.port, row.protocol)) ?? String(end.port));
    const mapped = end.address.replace(/^::ffff:(?=\d+\.)/, '');
    const host = mapped === '::' && !numeric ? '[::]' : mapped;
    return shortened(host, port, flags.has('W') ? Number.POSITIVE_INFINITY : SHORT).padEnd(23);
  };
  return `${protocol} ${queues} ${shown(row.local)} ${shown(row.remote)} ${STATE_NAMES[row.state].padEnd(11)}`;
}

/** Most characters of an address and its port, the colon aside. */
const SHORT = 22;

/** `addr_do_one`: what is too long loses the end of its address. */
function shortened(host: string, port: string, most: number): string {
  if (host.length + port.length <= most) return `${host}:${port}`;
  const kept = Math.min(port.length, most - 4);
  return `${host.slice(0, most - kept)}:${port.slice(0, kept)}`;
}
