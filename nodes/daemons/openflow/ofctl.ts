import {
  ALL_TABLES,
  BAD_ACTION,
  BAD_INSTRUCTION,
  ERROR,
  OFP_NO_BUFFER,
  OpenFlowError,
  PORT_CONFIG,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { errorName } from '../../../protocols/openflow/error-names.ts';
import { parseActions, parseFlow } from '../../../protocols/openflow/flow-text.ts';
import { parseGroup } from '../../../protocols/openflow/group-text.ts';
import { FlowSyntaxError, formatPort, parsePort } from '../../../protocols/openflow/match-text.ts';
import type {
  FlowMod,
  MultipartReply,
  MultipartRequest,
  OfBody,
} from '../../../protocols/openflow/message.ts';
import { requestText } from '../../../protocols/openflow/message-text.ts';
import { parseMeter } from '../../../protocols/openflow/meter-text.ts';
import { checkActions } from '../../../protocols/openflow/prerequisites.ts';
import { flowMod } from './controller.ts';
import { replyText, showText } from './ofctl-reply.ts';
import type { Vswitchd } from './vswitchd.ts';

/** What a tool of Open vSwitch prints behind its own name. */
export class OvsError extends Error {
  override readonly name = 'OvsError';
}

/** The switch has refused what it was asked; the message is all that is printed. That it has nothing to show is no failure. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** Transaction ids as ovs-ofctl has them: a change of flows or groups comes after the questions that find its format. */
const FIRST = '0x2';
const LATER = '0x6';

/** ovs-ofctl(8), which speaks to the switch in OpenFlow 1.3 as any controller does. */
export function ofctl(args: readonly string[], vswitchd: Vswitchd): string {
  const options = args.filter((word) => word.startsWith('--'));
  const [command = '', bridge = '', ...words] = args.filter((word) => !word.startsWith('--'));
  const [first = ''] = words;
  if (command === '') throw new OvsError('missing command name; use --help for help');
  const run = COMMANDS[command];
  if (run === undefined) throw new OvsError(`unknown command '${command}'; use --help for help`);
  if (bridge === '') throw new OvsError(`'${command}' command requires at least 1 arguments`);
  if (bridge !== vswitchd.config.bridge) throw new OvsError(`${bridge} is not a bridge or a socket`);
  return run({ vswitchd, bridge, first: numbered(vswitchd, first), words, options });
}

/** Ports by their names in a flow or a group, quoted or not, as their numbers: what ovs-ofctl asks the switch for. */
function numbered({ bridge }: Vswitchd, text: string): string {
  let result = text;
  for (const { number, device } of bridge.ports) {
    const name = device.name.replaceAll(/[^\w-]/g, '\\$&');
    const place = '(?:in_port=|out_port=|output:|watch_port:|actions?=|bucket=|[,(])';
    result = result.replaceAll(
      new RegExp(`(?<=${place})(?:"${name}"|${name})(?=[,)]|$)`, 'g'),
      formatPort(number),
    );
  }
  return result;
}

interface Call {
  readonly vswitchd: Vswitchd;
  readonly bridge: string;
  readonly first: string;
  readonly words: readonly string[];
  readonly options: readonly string[];
}

const COMMANDS: Readonly<Record<string, (call: Call) => string>> = {
  show: ({ vswitchd }) => {
    const [features] = ask(vswitchd, { type: 'features_request' }, FIRST);
    const [config] = ask(vswitchd, { type: 'get_config_request' }, FIRST);
    return showText(features, statistics(vswitchd, { kind: 'port_desc' }), config);
  },
  probe: () => '',
  'get-frags': () => 'normal\n',
  'dump-desc': ({ vswitchd }) => answered(vswitchd, { kind: 'desc' }),
  'dump-tables': ({ vswitchd }) => answered(vswitchd, { kind: 'table' }),
  'dump-ports-desc': ({ vswitchd, first }) => {
    const reply = statistics(vswitchd, { kind: 'port_desc' });
    if (first === '' || reply.kind !== 'port_desc') return replyText(reply, FIRST);
    const number = portNumber(vswitchd, first);
    return replyText({ ...reply, ports: reply.ports.filter(({ port }) => port === number) }, FIRST);
  },
  'dump-ports': ({ vswitchd, first }) =>
    answered(vswitchd, {
      kind: 'port_stats',
      port: first === '' ? RESERVED_PORTS.ANY : portNumber(vswitchd, first),
    }),
  'queue-stats': ({ vswitchd, words: [port = '', queue = ''] }) =>
    answered(vswitchd, {
      kind: 'queue',
      port: port === '' || /^all$/i.test(port) ? RESERVED_PORTS.ANY : portNumber(vswitchd, port),
      queue: queue === '' || queue === 'all' ? 0xffffffff : Number(queue),
    }),
  'dump-flows': ({ vswitchd, first, options }) => {
    const reply = statistics(vswitchd, { kind: 'flow', ...flowQuery(first) });
    return replyText(
      reply,
      first === '' ? FIRST : LATER,
      options.includes('--no-stats') ? 'rules' : 'counted',
    );
  },
  'dump-aggregate': ({ vswitchd, first }) =>
    answered(vswitchd, { kind: 'aggregate', ...flowQuery(first) }, first === '' ? FIRST : LATER),
  'add-flow': (call) => changeFlows(call, 'add'),
  'mod-flows': (call) => changeFlows(call, 'modify'),
  'del-flows': (call) => changeFlows(call, 'delete'),
  'add-group': ({ vswitchd, first }) =>
    changed(vswitchd, { type: 'group_mod', command: 'add', ...parseGroup(first, 'spec') }),
  'mod-group': ({ vswitchd, first }) =>
    changed(vswitchd, { type: 'group_mod', command: 'modify', ...parseGroup(first, 'spec') }),
  'del-groups': ({ vswitchd, first }) =>
    changed(vswitchd, { type: 'group_mod', command: 'delete', ...parseGroup(first, 'id') }),
  // Before OpenFlow 1.5 all of them are described.
  'dump-groups': ({ vswitchd }) => answered(vswitchd, { kind: 'group_desc' }),
  'dump-group-stats': ({ vswitchd, first }) =>
    answered(vswitchd, { kind: 'group', group: parseGroup(first, 'id').group }, LATER),
  'dump-group-features': ({ vswitchd }) => answered(vswitchd, { kind: 'group_features' }),
  'add-meter': ({ vswitchd, first }) =>
    changed(vswitchd, { type: 'meter_mod', command: 'add', ...parseMeter(first, 'spec') }, FIRST),
  'mod-meter': ({ vswitchd, first }) =>
    changed(vswitchd, { type: 'meter_mod', command: 'modify', ...parseMeter(first, 'spec') }, FIRST),
  'del-meter': deleteMeters,
  'del-meters': deleteMeters,
  'dump-meter': dumpMeters,
  'dump-meters': dumpMeters,
  'meter-stats': ({ vswitchd, first }) =>
    answered(vswitchd, { kind: 'meter', meter: parseMeter(first, 'id').meter }),
  'meter-features': ({ vswitchd }) => answered(vswitchd, { kind: 'meter_features' }),
  'packet-out': packetOut,
  'mod-port': modPort,
};

function deleteMeters({ vswitchd, first }: Call): string {
  return changed(vswitchd, { type: 'meter_mod', command: 'delete', ...parseMeter(first, 'id') }, FIRST);
}

function dumpMeters({ vswitchd, first }: Call): string {
  return answered(vswitchd, { kind: 'meter_config', meter: parseMeter(first, 'id').meter });
}

function changeFlows({ vswitchd, first, options }: Call, base: 'add' | 'modify' | 'delete'): string {
  const isStrict = options.includes('--strict') && base !== 'add';
  if (base !== 'delete' && !/actions?=/.test(first)) throw new FlowSyntaxError('must specify an action');
  const mod = flowMod(isStrict ? (`${base}_strict` as FlowMod['command']) : base, first);
  checkFlow(mod);
  return changed(vswitchd, { type: 'flow_mod', ...mod });
}

/** What ovs-ofctl itself finds wrong. */
function checkFlow({ command, table, match, instructions }: FlowMod): void {
  if (command.startsWith('delete')) return;
  try {
    for (const one of instructions) {
      if (one.type === 'goto_table' && one.table <= table)
        throw new OpenFlowError('an earlier table', ERROR.BAD_INSTRUCTION, BAD_INSTRUCTION.BAD_TABLE_ID);
      if (one.type === 'apply_actions') checkActions(one.actions, match, null);
    }
  } catch (error) {
    if (!(error instanceof OpenFlowError)) throw error;
    const isOutput = error.errorType === ERROR.BAD_ACTION && error.code === BAD_ACTION.BAD_OUT_PORT;
    // Ports are left to the switch.
    if (isOutput) return;
    const name = errorName(error.errorType, error.code);
    throw new FlowSyntaxError(`actions are invalid with specified match (${name})`);
  }
}

function packetOut({ vswitchd, words }: Call): string {
  const [first = '', ...rest] = words;
  const fields = /^in_port=([^,]+),packet=([0-9a-f]+),actions?=(.*)$/i.exec(first);
  const [, port = '', packet = '', actions = ''] =
    fields ?? (rest.length === 2 ? ['', first, rest[1] ?? '', rest[0] ?? ''] : []);
  if (port === '' || !/^([0-9a-f]{2})+$/i.test(packet))
    throw new OvsError('packet-out: takes in_port=PORT,packet=HEX,actions=ACTIONS, or PORT ACTIONS HEX');
  return changed(vswitchd, {
    type: 'packet_out',
    bufferId: OFP_NO_BUFFER,
    inPort: portNumber(vswitchd, port),
    actions: parseActions(actions),
    data: Uint8Array.from({ length: packet.length / 2 }, (_, i) =>
      Number.parseInt(packet.slice(2 * i, 2 * i + 2), 16),
    ),
  });
}

const PORT_ACTIONS: Readonly<Record<string, readonly [config: number, mask: number]>> = {
  up: [0, PORT_CONFIG.PORT_DOWN],
  down: [PORT_CONFIG.PORT_DOWN, PORT_CONFIG.PORT_DOWN],
  receive: [0, PORT_CONFIG.NO_RECV],
  'no-receive': [PORT_CONFIG.NO_RECV, PORT_CONFIG.NO_RECV],
  forward: [0, PORT_CONFIG.NO_FWD],
  'no-forward': [PORT_CONFIG.NO_FWD, PORT_CONFIG.NO_FWD],
  'packet-in': [0, PORT_CONFIG.NO_PACKET_IN],
  'no-packet-in': [PORT_CONFIG.NO_PACKET_IN, PORT_CONFIG.NO_PACKET_IN],
};

function modPort({ vswitchd, bridge, words }: Call): string {
  const [name = '', ...actions] = words;
  const number = portNumber(vswitchd, name);
  const port = vswitchd.bridge.port(number);
  if (port === undefined) throw new OvsError(`${bridge}: couldn't find port \`${name}'`);
  for (const action of actions) {
    const change = PORT_ACTIONS[action];
    if (change === undefined) throw new OvsError(`unknown mod-port command '${action}'`);
    const [config, mask] = change;
    changed(vswitchd, { type: 'port_mod', port: number, mac: port.device.mac, config, mask, advertise: 0 });
  }
  return '';
}

/** A port by its number, by a word for it, or by its name. */
function portNumber({ bridge, config }: Vswitchd, text: string): number {
  const named = bridge.ports.find(({ device }) => device.name === text);
  const number = named?.number ?? parsePort(text);
  if (number === null) throw new OvsError(`${config.bridge}: couldn't find port \`${text}'`);
  return number;
}

function flowQuery(text: string) {
  const { table, match, cookie, cookieMask, outPort, outGroup } = parseFlow(text, ALL_TABLES);
  return { table, match, cookie, cookieMask, outPort, outGroup };
}

function answered(vswitchd: Vswitchd, request: MultipartRequest, xid = FIRST): string {
  return replyText(statistics(vswitchd, request, xid), xid);
}

/** All parts of a reply as one. */
function statistics(vswitchd: Vswitchd, request: MultipartRequest, xid = FIRST): MultipartReply {
  const replies = ask(vswitchd, { type: 'multipart_request', request }, xid).flatMap((body) =>
    body.type === 'multipart_reply' ? [body.reply] : [],
  );
  const [reply] = replies;
  if (reply === undefined) throw new OvsError(`no answer to ${request.kind}`);
  if (reply.kind !== 'flow') return reply;
  return { kind: 'flow', flows: replies.flatMap((one) => (one.kind === 'flow' ? one.flows : [])) };
}

function changed(vswitchd: Vswitchd, body: OfBody, xid = LATER): string {
  ask(vswitchd, body, xid);
  return '';
}

function ask(vswitchd: Vswitchd, body: OfBody, xid: string): OfBody[] {
  const answers = vswitchd.request(body);
  for (const answer of answers)
    if (answer.type === 'error')
      throw new RefusedError(
        `OFPT_ERROR (OF1.3) (xid=${xid}): ${errorName(answer.errorType, answer.code)}\n${requestText(body, xid)}`,
        body.type === 'multipart_request' ? 0 : 1,
      );
  return answers;
}
