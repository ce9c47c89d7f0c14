import { formatMac } from '../../../protocols/mac.ts';
import { OpenFlowError } from '../../../protocols/openflow/constants.ts';
import { type FlowSpec, formatTail, parseFlow } from '../../../protocols/openflow/flow-text.ts';
import { FlowSyntaxError } from '../../../protocols/openflow/match-text.ts';
import type { FlowMod } from '../../../protocols/openflow/message.ts';
import { flowMod } from './controller.ts';
import type { Vswitchd } from './vswitchd.ts';

interface Result {
  readonly text: string;
  readonly code: number;
}

type OvsProgram = 'ovs-ofctl' | 'ovs-vsctl' | 'ovs-appctl';

class OvsError extends Error {
  override readonly name = 'OvsError';
}

/** Open vSwitch's tools on a switch: what of them there is, in their own words. */
export function runOvs(
  name: OvsProgram,
  args: readonly string[],
  vswitchd: Vswitchd | null,
  now: number,
): Result {
  // Versions and formats are what they are.
  const words = args.filter(
    (word, i) => !/^-O|^--?(names|no-names|no-stats|timeout=\d+)$/.test(word) && args[i - 1] !== '-O',
  );
  try {
    if (vswitchd === null) {
      const socket = 'unix:/var/run/openvswitch/db.sock';
      throw new OvsError(
        `${socket}: database connection failed (No such file or directory); \`kind: switch\` in the lab file makes a node a switch`,
      );
    }
    const run = { 'ovs-ofctl': ofctl, 'ovs-vsctl': vsctl, 'ovs-appctl': appctl }[name];
    return { text: run(words, vswitchd, now), code: 0 };
  } catch (error) {
    if (error instanceof OvsError || error instanceof FlowSyntaxError)
      return { text: `${name}: ${error.message}\n`, code: 1 };
    if (error instanceof OpenFlowError)
      return {
        text: `OFPT_ERROR (OF1.3) (xid=0x4): type ${error.errorType} code ${error.code}: ${error.message}\n`,
        code: 1,
      };
    throw error;
  }
}

const STRICT: Readonly<Record<string, FlowMod['command']>> = {
  'add-flow': 'add',
  'mod-flows': 'modify',
  'del-flows': 'delete',
};

function ofctl(words: readonly string[], vswitchd: Vswitchd, now: number): string {
  const [command = '', bridge = '', flow = ''] = words.filter((word) => word !== '--strict');
  if (command === '') throw new OvsError('missing command name; use --help for help');
  if (bridge !== vswitchd.config.bridge) throw new OvsError(`${bridge} is not a bridge or a socket`);
  switch (command) {
    case 'dump-flows':
      return dumpFlows(vswitchd, flow, now);
    case 'dump-ports':
      return dumpPorts(vswitchd, now);
    case 'show':
      return show(vswitchd);
    case 'add-flow':
    case 'mod-flows':
    case 'del-flows': {
      const base = STRICT[command] ?? 'add';
      const strict = words.includes('--strict') && base !== 'add';
      if (base !== 'delete' && !/actions?=/.test(flow)) throw new FlowSyntaxError('must specify an action');
      vswitchd.flowMod(flowMod(strict ? (`${base}_strict` as FlowMod['command']) : base, flow));
      return '';
    }
    default:
      throw new OvsError(`unknown command '${command}'; use --help for help`);
  }
}

/** A flow with its counters; `age` in seconds. */
export interface CountedFlow extends Omit<FlowSpec, 'cookieMask' | 'outPort'> {
  readonly age: number;
  readonly packets: number;
  readonly bytes: number;
}

/** A line of `ovs-ofctl dump-flows`, without its end. */
export function flowLine(flow: CountedFlow): string {
  const { cookie, age, table, packets, bytes } = flow;
  const duration = `${Math.round(age * 1000) / 1000}s`;
  return ` cookie=0x${cookie.toString(16)}, duration=${duration}, table=${table}, n_packets=${packets}, n_bytes=${bytes}, ${formatTail(flow)}`;
}

function dumpFlows({ bridge }: Vswitchd, text: string, now: number): string {
  const { table, match, cookie, cookieMask, outPort } = parseFlow(text, 0xff);
  return bridge.pipeline
    .select(table, { match, priority: null, cookie, cookieMask, outPort })
    .map((flow) => {
      const { priority, idleTimeout, hardTimeout, flags, instructions, packets, bytes } = flow;
      const spec = { table: flow.table, priority, match: flow.match, idleTimeout, hardTimeout, flags };
      const counts = { cookie: flow.cookie, age: (now - flow.created) / 1000, packets, bytes };
      return `${flowLine({ ...spec, ...counts, instructions })}\n`;
    })
    .join('');
}

function dumpPorts({ bridge }: Vswitchd, now: number): string {
  const duration = `${Math.round(now - bridge.created) / 1000}s`;
  const ports = bridge.ports.map(
    (port) =>
      `  port  ${JSON.stringify(port.device.name)}: rx pkts=${port.rxPackets}, bytes=${port.rxBytes}, drop=0, errs=0, frame=0, over=0, crc=0\n` +
      `           tx pkts=${port.txPackets}, bytes=${port.txBytes}, drop=${port.txDropped}, errs=0, coll=0\n` +
      `           duration=${duration}\n`,
  );
  return `OFPST_PORT reply (OF1.3) (xid=0x2): ${ports.length} ports\n${ports.join('')}`;
}

function show({ bridge, config }: Vswitchd): string {
  const ports = bridge.ports.map((port) => {
    const { mac, name, config: down, state } = bridge.describe(port);
    return (
      ` ${port.number}(${name}): addr:${formatMac(mac)}\n` +
      `     config:     ${down === 1 ? 'PORT_DOWN' : '0'}\n` +
      `     state:      ${state === 1 ? 'LINK_DOWN' : 'LIVE'}\n` +
      '     current:    10GB-FD COPPER\n     speed: 10000 Mbps now, 0 Mbps max\n'
    );
  });
  return [
    `OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:${config.datapathId}\n`,
    'n_tables:254, n_buffers:0\n',
    'capabilities: FLOW_STATS TABLE_STATS PORT_STATS\n',
    `OFPST_PORT_DESC reply (OF1.3) (xid=0x3):\n`,
    ...ports,
    'OFPT_GET_CONFIG_REPLY (OF1.3) (xid=0x9): frags=normal miss_send_len=0\n',
  ].join('');
}

function vsctl(words: readonly string[], vswitchd: Vswitchd): string {
  const { config } = vswitchd;
  const [command = '', bridge = '', value = ''] = words;
  if (command === 'list-br') return `${config.bridge}\n`;
  if (command === 'show') {
    const controller =
      vswitchd.target === ''
        ? []
        : [
            `        Controller ${JSON.stringify(vswitchd.target)}\n`,
            ...(vswitchd.isConnected ? ['            is_connected: true\n'] : []),
          ];
    const ports = config.ports.map((name) => `        Port ${name}\n            Interface ${name}\n`);
    return [
      `    Bridge ${config.bridge}\n`,
      ...controller,
      `        fail_mode: ${vswitchd.failMode}\n`,
      ...ports,
    ].join('');
  }
  if (bridge !== config.bridge) throw new OvsError(`no bridge named ${bridge}`);
  switch (command) {
    case 'list-ports':
      return config.ports.map((name) => `${name}\n`).join('');
    case 'get-controller':
      return vswitchd.target === '' ? '' : `${vswitchd.target}\n`;
    case 'get-fail-mode':
      return `${vswitchd.failMode}\n`;
    case 'set-fail-mode':
      if (value !== 'secure' && value !== 'standalone')
        throw new OvsError('fail-mode must be "standalone" or "secure"');
      vswitchd.setFailMode(value);
      return '';
    default:
      throw new OvsError(`unknown command '${command}'; use --help for help`);
  }
}

function appctl(words: readonly string[], { bridge, config }: Vswitchd): string {
  const [command = '', name = ''] = words;
  if (command !== 'fdb/show')
    throw new OvsError(`"${command}" is not a valid command (reroute has fdb/show of it)`);
  if (name !== config.bridge) throw new OvsError('no such bridge');
  const rows = bridge.normal
    .ages()
    .map(
      ({ mac, vlan, port, age }) =>
        `${String(port).padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${String(Math.floor(age / 1000)).padStart(3)}\n`,
    );
  return ` port  VLAN  MAC                Age\n${rows.join('')}`;
}
