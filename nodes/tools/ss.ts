import { serviceName } from '../../protocols/services.ts';
import { getopt } from './getopt.ts';
import { type Endpoint, type SocketRow, socketRows } from './sockets.ts';
import { type Command, ToolError } from './tool.ts';

const LONG: Readonly<Record<string, string>> = {
  numeric: 'n',
  all: 'a',
  listening: 'l',
  processes: 'p',
  tcp: 't',
  udp: 'u',
  ipv4: '4',
  ipv6: '6',
  'no-header': 'H',
  version: 'V',
};

const STATE_NAMES: Readonly<Record<SocketRow['state'], string>> = {
  LISTEN: 'LISTEN',
  UNCONN: 'UNCONN',
  'SYN-SENT': 'SYN-SENT',
  'SYN-RECEIVED': 'SYN-RECV',
  ESTABLISHED: 'ESTAB',
  'FIN-WAIT-1': 'FIN-WAIT-1',
  'FIN-WAIT-2': 'FIN-WAIT-2',
  'CLOSE-WAIT': 'CLOSE-WAIT',
  CLOSING: 'CLOSING',
  'LAST-ACK': 'LAST-ACK',
  'TIME-WAIT': 'TIME-WAIT',
  CLOSED: 'UNCONN',
};

/** States by the names of `state`. */
const FILTERS: Readonly<Record<string, readonly SocketRow['state'][]>> = {
  established: ['ESTABLISHED'],
  'syn-sent': ['SYN-SENT'],
  'syn-recv': ['SYN-RECEIVED'],
  'fin-wait-1': ['FIN-WAIT-1'],
  'fin-wait-2': ['FIN-WAIT-2'],
  'time-wait': ['TIME-WAIT'],
  'close-wait': ['CLOSE-WAIT'],
  'last-ack': ['LAST-ACK'],
  closing: ['CLOSING'],
  listening: ['LISTEN'],
  unconnected: ['UNCONN'],
};

/** Of those that neither listen nor are over. */
const HIDDEN: readonly SocketRow['state'][] = ['LISTEN', 'UNCONN', 'TIME-WAIT', 'SYN-RECEIVED', 'CLOSED'];

/** ss(8) of iproute2 6.1: TCP and UDP sockets. Processes are not known, as they are not to a user without rights. */
export const ss: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: [...'natlpu46HV', ...Object.keys(LONG)], values: '' });
  if (!parsed.ok) {
    const shown =
      parsed.name.length > 1
        ? `unrecognized option '--${parsed.name}'`
        : `invalid option -- '${parsed.name}'`;
    throw new ToolError(
      `ss: ${shown}\nUsage: ss [ OPTIONS ] [ state STATE ], OPTIONS of -a -l -n -p -t -u -4 -6 -H`,
      255,
    );
  }
  const flags = new Set(parsed.options.map(({ name }) => LONG[name] ?? name));
  if (flags.has('V')) {
    out.stdout('ss utility, iproute2-6.1.0\n');
    return 0;
  }
  const states = stateFilter(parsed.operands.map(({ text }) => text));
  const both = flags.has('t') === flags.has('u');
  const anyFamily = flags.has('4') === flags.has('6');
  const shown = socketRows(ctx.ns).filter((row) => {
    if (!both && !flags.has(row.protocol === 'tcp' ? 't' : 'u')) return false;
    if (!anyFamily && !flags.has(String(row.family))) return false;
    if (states !== null) return states.includes(row.state);
    if (flags.has('a')) return true;
    return flags.has('l') ? row.state === 'LISTEN' || row.state === 'UNCONN' : !HIDDEN.includes(row.state);
  });
  const one = states?.length === 1;
  out.stdout(table(shown, { netid: both, state: !one, header: !flags.has('H'), numeric: flags.has('n') }));
  return 0;
};

function stateFilter(words: readonly string[]): readonly SocketRow['state'][] | null {
  const [word, name = '', more] = words;
  if (word === undefined) return null;
  const states = FILTERS[name];
  if (word !== 'state' || more !== undefined)
    throw new ToolError(`ss: the filter '${words.join(' ')}' is not emulated, only 'state STATE'`, 255);
  if (states === undefined) throw new ToolError(`ss: wrong state name: ${name}`, 255);
  return states;
}

interface TableOptions {
  readonly netid: boolean;
  readonly state: boolean;
  readonly header: boolean;
  readonly numeric: boolean;
}

/** In the columns that ss makes where its output is no terminal: each as wide as its widest cell. */
function table(rows: readonly SocketRow[], options: TableOptions): string {
  const title = [
    'Netid',
    'State',
    'Recv-Q',
    'Send-Q',
    'Local Address:',
    'Port',
    'Peer Address:',
    'Port',
    'Process',
  ];
  const cells = rows.map((row) => [
    row.protocol,
    STATE_NAMES[row.state],
    String(row.receiveQueue),
    String(row.sendQueue),
    ...endpoint(row.local, row, options),
    ...endpoint(row.remote, row, options),
    '',
  ]);
  const kept = title.map((_, i) => (i === 0 ? options.netid : i === 1 ? options.state : true));
  const widths = title.map((text, i) => {
    const least = options.header || i < 4 ? text.length : 0;
    return Math.max(least, ...cells.map((row) => row[i]!.length));
  });
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => {
        if (!kept[i]) return '';
        const padded = i === 4 || i === 6 ? text.padStart(widths[i]!) : text.padEnd(widths[i]!);
        // An address joins its port, and the last column the one before it.
        return padded + (i === 4 || i === 6 || i >= 7 ? '' : ' ');
      })
      .join('');
  return [...(options.header ? [title] : []), ...cells].map((row) => `${line(row)}\n`).join('');
}

function endpoint(
  { address, port, scope }: Endpoint,
  row: SocketRow,
  options: TableOptions,
): [string, string] {
  const name = options.numeric ? null : serviceName(port, row.protocol);
  return [`${hostText(address, scope, row)}:`, port === 0 ? '*' : (name ?? String(port))];
}

/** `*` is `::` that takes IPv4 too. */
function hostText(address: string, scope: string, { family, stack }: SocketRow): string {
  if (family === 4) return address;
  if (address === '::' && stack === 'both') return '*';
  return `[${address}]${scope === '' ? '' : `%${scope}`}`;
}
