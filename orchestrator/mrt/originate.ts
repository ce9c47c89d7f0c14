import type { CommandReply, NodeCommand } from '../../nodes/commands.ts';
import type { NodeConfig } from '../../nodes/config.ts';
import type { EventId } from '../../nodes/events/record.ts';
import { AttributeTable } from '../../protocols/bgp/attribute-table.ts';
import type { PathAttributes } from '../../protocols/bgp/attributes.ts';
import { type PackContext, UpdatePacker } from '../../protocols/bgp/update.ts';
import { parsePeerSelector } from '../../protocols/mrt/routes.ts';
import { ActionError } from '../actions.ts';
import { readMrtRoutes } from './read.ts';

/** Whoever passes commands on to the nodes of a lab. */
interface Commander {
  command(node: string, command: NodeCommand, options?: { readonly cause?: EventId }): Promise<CommandReply>;
}

/** Bytes of one command: a fraction of what the bus takes. */
const BATCH = 512 * 1024;

const CONTEXT: PackContext = {
  asSize: 4,
  pathIds: { ipv4: 'none', ipv6: 'none' },
  maxMessage: 65_535,
};

/**
 * Has nodes originate the routes of the MRT dumps that their configurations name, with the attributes that they have there.
 * They travel as UPDATE messages. Malformed records are told to `warn` by their offset, and passed over.
 * @throws MrtFileError, ActionError
 */
export async function originateDumps(
  host: Commander,
  nodes: readonly NodeConfig[],
  cause: EventId,
  warn: (text: string) => void,
): Promise<void> {
  for (const { name, bgp } of nodes) {
    if (bgp?.originate !== undefined) await originateDump(host, name, bgp.originate, cause, warn);
  }
}

async function originateDump(
  host: Commander,
  node: string,
  { mrt, peer: text }: { readonly mrt: string; readonly peer: string },
  cause: EventId,
  warn: (text: string) => void,
): Promise<void> {
  const peer = parsePeerSelector(text);
  if (peer === null)
    throw new ActionError(`node ${node}: '${text}' is no peer of a dump: first, all, an address or an AS`);
  const table = new AttributeTable();
  const packer = new UpdatePacker();
  let current: PathAttributes | null = null;
  let messages: Uint8Array[] = [];
  let size = 0;
  const finish = () => {
    if (packer.isEmpty) return;
    const message = packer.finish();
    messages.push(message);
    size += message.length;
  };
  const send = async () => {
    if (messages.length === 0) return;
    const reply = await host.command(node, { type: 'bgp', request: { op: 'load', messages } }, { cause });
    if (reply.type === 'error') throw new ActionError(`node ${node}: ${reply.message}`);
    messages = [];
    size = 0;
  };
  for await (const { prefix, attributes } of readMrtRoutes(mrt, { peer, onMalformed: warn })) {
    const interned = table.intern(attributes);
    if (interned !== current || !packer.add(prefix, 0)) {
      finish();
      if (size > BATCH) await send();
      current = interned;
      packer.begin(interned, CONTEXT);
      packer.add(prefix, 0);
    }
  }
  finish();
  await send();
}
