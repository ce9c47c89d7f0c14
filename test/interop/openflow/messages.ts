import { OFP_NO_BUFFER, RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import { parseFlow } from '../../../protocols/openflow/flow-text.ts';
import { GROUP } from '../../../protocols/openflow/group.ts';
import { parseGroup } from '../../../protocols/openflow/group-text.ts';
import type { OfBody } from '../../../protocols/openflow/message.ts';
import { flowLine } from '../../../protocols/openflow/message-text.ts';
import type { Out } from '../../support/router.ts';

/** A frame, and the port that it comes in by. */
export interface Received {
  readonly inPort: number;
  readonly frame: Uint8Array;
}

/** Groups and flows in the words of ovs-ofctl. */
export interface Tables {
  readonly groups: readonly string[];
  readonly flows: readonly string[];
}

const ANY = RESERVED_PORTS.ANY;
const addFlow = (text: string): OfBody => ({
  type: 'flow_mod',
  command: 'add',
  bufferId: OFP_NO_BUFFER,
  ...parseFlow(text),
});
const addGroup = (text: string): OfBody => ({
  type: 'group_mod',
  command: 'add',
  ...parseGroup(text, 'spec'),
});
/** A packet that goes through the tables as if it had come in by a port. */
export const packetOut = ({ inPort, frame }: Received): OfBody => ({
  type: 'packet_out',
  bufferId: OFP_NO_BUFFER,
  inPort,
  actions: [{ type: 'output', port: RESERVED_PORTS.TABLE, maxLen: 0 }],
  data: frame,
});
const DELETE_FLOWS: OfBody = {
  type: 'flow_mod',
  command: 'delete',
  bufferId: OFP_NO_BUFFER,
  ...parseFlow('', 0xff),
};
const DELETE_GROUPS: OfBody = { type: 'group_mod', command: 'delete', ...parseGroup('', 'id') };

/** Puts groups and flows in the place of all that there are. */
export const tablesOf = ({ groups, flows }: Tables): OfBody[] => [
  DELETE_FLOWS,
  DELETE_GROUPS,
  ...groups.map(addGroup),
  ...flows.map(addFlow),
];

const ALL = { table: 0xff, outPort: ANY, outGroup: ANY, cookie: 0n, cookieMask: 0n, match: [] };
/** Asks for the flows and groups with what they have counted. */
export const COUNTERS: readonly OfBody[] = [
  { type: 'multipart_request', request: { kind: 'flow', ...ALL } },
  { type: 'multipart_request', request: { kind: 'group', group: GROUP.ALL } },
];

/** What came of something. */
export interface Outcome {
  readonly answers: readonly OfBody[];
  readonly frames: readonly Out[];
  readonly unasked: readonly OfBody[];
}

/** As lines, in an order that does not count. */
export function texts({ answers, frames, unasked }: Outcome): string[] {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return [
    ...frames.map(({ port, frame }) => `port ${port}: ${hex(frame)}`),
    ...unasked.map((body) => {
      if (body.type !== 'packet_in') return body.type;
      const { reason, table, cookie, data, match, totalLen } = body;
      const fields = match.map(({ field, value }) => `${field}=${value}`);
      return `packet_in ${reason} table=${table} cookie=${cookie} ${fields} ${totalLen} ${hex(data)}`;
    }),
    ...answers.flatMap((answer) => {
      if (answer.type === 'error') return [`error ${answer.errorType} ${answer.code}`];
      if (answer.type !== 'multipart_reply') return [answer.type];
      const { reply } = answer;
      if (reply.kind === 'flow')
        return reply.flows.map((flow) => flowLine({ ...flow, durationSec: 0, durationNsec: 0 }));
      if (reply.kind !== 'group') return [reply.kind];
      return reply.groups.map(
        ({ group, references, packets, bytes, buckets }) =>
          `group ${group} ${references} ${[{ packets, bytes }, ...buckets].map((one) => `n_packets=${one.packets}, n_bytes=${one.bytes}`)}`,
      );
    }),
  ].sort();
}
