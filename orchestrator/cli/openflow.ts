import type { OpenFlowRequest } from '../../nodes/commands.ts';
import type { RunningLab } from '../running-lab.ts';
import { write } from './output.ts';

export class OpenFlowUsageError extends Error {
  override readonly name = 'OpenFlowUsageError';
}

const USAGE =
  'switches, role equal|master|slave, flows SWITCH, add-flow SWITCH FLOW, mod-flows SWITCH FLOW, del-flows SWITCH [FLOW]; FLOW is as for ovs-ofctl';

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

function requestOf(words: readonly string[], which: 'strict' | 'covered'): OpenFlowRequest {
  const [op = '', one = '', flow = '', ...more] = words;
  if (op === 'switches' && one === '') return { op };
  if (op === 'role' && flow === '' && (one === 'equal' || one === 'master' || one === 'slave'))
    return { op, role: one };
  if (one === '' || more.length > 0) throw new OpenFlowUsageError(`it is: ${USAGE}`);
  const strict = which === 'strict' ? '_strict' : '';
  if (op === 'flows' && flow === '') return { op, switch: one };
  if (op === 'del-flows') return { op: 'flow-mod', switch: one, command: `delete${strict}`, flow };
  if (!/actions?=/.test(flow) || (op !== 'add-flow' && op !== 'mod-flows'))
    throw new OpenFlowUsageError(`it is: ${USAGE}`);
  return { op: 'flow-mod', switch: one, command: op === 'add-flow' ? 'add' : `modify${strict}`, flow };
}
