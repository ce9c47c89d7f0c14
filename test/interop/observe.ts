import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LabEvent } from '../../nodes/events/index.ts';
import { NodeFold, type NodeView } from '../../nodes/state/node-fold.ts';
import type { BusLab } from '../../orchestrator/bus-lab.ts';
import type { Capability } from '../../protocols/bgp/capability.ts';
import { decodeOpen } from '../../protocols/bgp/open.ts';

/** A node's state as the fold of its log, which holds every message that came and went. */
export async function foldOf(lab: BusLab, node: string): Promise<NodeView> {
  const fold = new NodeFold();
  for await (const record of lab.records(node)) fold.apply(record.event as LabEvent);
  return fold.view();
}

const TYPE = 18;

export interface Seen {
  readonly direction: 'sent' | 'received';
  readonly message: Uint8Array;
}

/** BGP messages of a type between a node and one peer, as the node's log has them. */
export async function messages(lab: BusLab, node: string, peer: string, type: number): Promise<Seen[]> {
  const seen: Seen[] = [];
  for await (const { event } of lab.records(node)) {
    if (event.type !== 'bgp.sent' && event.type !== 'bgp.received') continue;
    if (event.peer !== peer || event.message[TYPE] !== type) continue;
    seen.push({ direction: event.type === 'bgp.sent' ? 'sent' : 'received', message: event.message });
  }
  return seen;
}

/** What both OPENs of the latest session announce, and what only one does, in the words of this harness. */
export interface Capabilities {
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
  /** s */
  readonly holdTime: number;
}

const NAMES: Partial<Record<Capability['type'], string>> = {
  'route-refresh': 'route-refresh',
  'enhanced-route-refresh': 'enhanced-route-refresh',
  'extended-message': 'extended-message',
  'four-octet-as': 'four-octet-as',
  'graceful-restart': 'graceful-restart',
  'long-lived-graceful-restart': 'long-lived-graceful-restart',
  'add-path': 'add-path',
};

function namesOf(capabilities: readonly Capability[]): string[] {
  return capabilities
    .flatMap((capability) => {
      if (capability.type === 'multiprotocol')
        return [`multiprotocol ${capability.family.afi === 1 ? 'ipv4' : 'ipv6'}`];
      const name = NAMES[capability.type];
      return name === undefined ? [] : [name];
    })
    .toSorted();
}

/** By the OPENs in a node's log. */
export async function capabilitiesOf(lab: BusLab, node: string, peer: string): Promise<Capabilities> {
  const opens = await messages(lab, node, peer, 1);
  const last = (direction: Seen['direction']) => {
    const message = opens.findLast((open) => open.direction === direction)?.message;
    const result = message === undefined ? null : decodeOpen(message.subarray(19));
    if (result === null || !result.ok)
      throw new Error(`${node} has ${direction} no OPEN of ${peer} that can be read`);
    return result.open;
  };
  const [sent, received] = [last('sent'), last('received')];
  return {
    ours: namesOf(sent.capabilities),
    theirs: namesOf(received.capabilities),
    holdTime: Math.min(sent.holdTime, received.holdTime),
  };
}

/** Has a file for as long as `use` takes. */
export async function withFile(
  name: string,
  content: string | Uint8Array,
  use: (path: string) => Promise<unknown>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'reroute-interop-'));
  try {
    const path = join(folder, name);
    writeFileSync(path, content);
    await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs one of a daemon's own tools. */
export async function tool(lab: BusLab, node: string, argv: readonly string[]): Promise<string> {
  let output = '';
  const reply = await lab.command(
    node,
    { type: 'exec', pod: '', argv },
    {
      onReply: (part) => {
        if (part.type === 'stdout' || part.type === 'stderr') output += part.text;
      },
    },
  );
  if (reply.type === 'exit' && reply.code === 0) return output;
  throw new Error(`${argv.join(' ')}: ${reply.type === 'error' ? reply.message : output}`);
}
