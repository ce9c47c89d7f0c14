import { parseActions } from '../../../protocols/openflow/flow-text.ts';
import { FlowSyntaxError } from '../../../protocols/openflow/match-text.ts';
import { flowLine } from '../../../protocols/openflow/message-text.ts';
import type { CommandReply, OpenFlowRequest } from '../../commands.ts';
import type { OpenFlowController } from './controller.ts';

/** What the log says of a request. */
export function openflowWords(request: OpenFlowRequest): string {
  switch (request.op) {
    case 'switches':
      return 'switches';
    case 'role':
      return `role ${request.role}`;
    case 'flows':
      return `flows ${request.switch}`;
    case 'flow-mod':
      return `${request.command} ${request.switch} ${request.flow}`;
    case 'packet-out':
      return `packet-out ${request.switch} ${request.actions}`;
  }
}

/** Answers a request that came over the bus. */
export function handleRequest(
  controller: OpenFlowController,
  request: OpenFlowRequest,
  answer: (reply: CommandReply) => void,
): void {
  if (request.op === 'switches') {
    answer({ type: 'value', value: controller.list() });
    return;
  }
  if (request.op === 'role') {
    controller.setRole(request.role, (error) =>
      answer(error === null ? done : { type: 'error', message: error }),
    );
    return;
  }
  const one = controller.find(request.switch);
  if (one === undefined) {
    const known = controller.list().map(({ name, datapathId }) => name || datapathId);
    const there = known.length === 0 ? 'none has connected' : `there are: ${known.join(', ')}`;
    answer({ type: 'error', message: `no switch ${request.switch} is connected; ${there}` });
    return;
  }
  try {
    switch (request.op) {
      case 'flows':
        controller.flows(request.switch, (flows) => {
          const lines = flows.map((flow) => flowLine(flow));
          answer({ type: 'value', value: lines });
        });
        break;
      case 'flow-mod':
        one.flowMod(request.command, request.flow);
        one.barrier((error) => answer(error === null ? done : { type: 'error', message: error }));
        break;
      case 'packet-out':
        one.packetOut(request.data, request.inPort, parseActions(request.actions));
        answer(done);
    }
  } catch (error) {
    if (!(error instanceof FlowSyntaxError)) throw error;
    answer({ type: 'error', message: error.message });
  }
}

const done: CommandReply = { type: 'value', value: null };
