import type { OpenFlowRequest } from '../../nodes/commands.ts';
import { parsePort } from '../../protocols/openflow/match-text.ts';
import type { RunningLab } from '../running-lab.ts';
import { write } from './output.ts';

export class OpenFlowUsageError extends Error {
  override readonly name = 'OpenFlowUsageError';
}

const USAGE =
  'switches, role equal|master|slave, flows SWITCH, add-flow SWITCH FLOW, mod-flows SWITCH FLOW, del-flows SWITCH [FLOW], packet-out SWITCH IN_PORT ACTIONS FRAME; FLOW and ACTIONS are as for ovs-ofctl, FRAME is hexadecimal';

/** `reroute openflow CONTROLLER …`: exit code. `which`: whether a change is for one flow, or for all that it covers. */
export async function openflow(
  lab: RunningLab,
  controller: string,
  words: readonly string[],
  which: 'strict' | 'covered',
): Promise<number> {
  const request = requestOf(words, which);
  const reply = await lab.command(controller, { type: 'openflow', request });
  if (reply.type === 'error') {
    process.stderr.write(`reroute: ${controller}: ${reply.message}\n`);
    return 1;
  }
  if (reply.type === 'value' && Array.isArray(reply.value))
    for (const row of reply.value as readonly unknown[]) write(`${lineOf(row)}\n`);
  return 0;
}

function lineOf(row: unknown): string {
  if (typeof row === 'string') return row;
  const { name, datapathId, address } = row as Readonly<Record<string, string>>;
  return `${name}  ${datapathId}  ${address}`;
}

/** @throws OpenFlowUsageError */
export function requestOf(words: readonly string[], which: 'strict' | 'covered'): OpenFlowRequest {
  const [op = '', one = '', flow = '', ...more] = words;
  if (op === 'packet-out') return packetOut(words.slice(1));
  if (op === 'switches' && one === '') return { op };
  if (op === 'role' && flow === '' && (one === 'equal' || one === 'master' || one === 'slave'))
    return { op, role: one };
  if (one === '' || more.length > 0) throw new OpenFlowUsageError(`it is: ${USAGE}`);
  const strict = which === 'strict' ? '_strict' : '';
  if (op === 'flows' && flow === '') return { op, switch: one };
  if (op === 'del-flows') return { op: 'flow-mod', switch: one, command: `delete${strict}`, flow };
  if (flow === '' || (op !== 'add-flow' && op !== 'mod-flows'))
    throw new OpenFlowUsageError(`it is: ${USAGE}`);
  if (!/actions?=/.test(flow))
    throw new OpenFlowUsageError(`'${flow}' has no actions=; write it like in_port=1,actions=output:2`);
  return { op: 'flow-mod', switch: one, command: op === 'add-flow' ? 'add' : `modify${strict}`, flow };
}

function packetOut(words: readonly string[]): OpenFlowRequest {
  const [one, port, actions, hex, ...more] = words;
  if (
    one === undefined ||
    port === undefined ||
    actions === undefined ||
    hex === undefined ||
    more.length > 0
  )
    throw new OpenFlowUsageError(`it is: ${USAGE}`);
  const inPort = parsePort(port);
  if (inPort === null)
    throw new OpenFlowUsageError(
      `'${port}' is no port to come from: its number, as in 'ovs-ofctl show br0', LOCAL or CONTROLLER`,
    );
  if (!/^([0-9a-f]{2})+$/i.test(hex))
    throw new OpenFlowUsageError(`'${hex}' is no frame: two hexadecimal digits a byte`);
  return { op: 'packet-out', switch: one, inPort, actions, data: Uint8Array.from(Buffer.from(hex, 'hex')) };
}
