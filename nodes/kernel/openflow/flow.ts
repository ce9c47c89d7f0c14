import type { Instruction } from '../../../protocols/openflow/action.ts';
import { FLOW_FLAGS } from '../../../protocols/openflow/constants.ts';
import type { FlowSpec } from '../../../protocols/openflow/flow-text.ts';
import type { Match } from '../../../protocols/openflow/oxm.ts';
import type { Rule } from './classifier.ts';
import { type CompiledMatch, compileMatch } from './compiled-match.ts';

/** A flow in a table, with what it has counted. */
export class Flow implements Rule<Flow> {
  readonly table: number;
  readonly priority: number;
  readonly match: Match;
  readonly cookie: bigint;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly compiled: CompiledMatch;
  readonly created: number;
  instructions: readonly Instruction[];
  /** Time of the last packet, ms. */
  used: number;
  order = 0;
  next: Flow | null = null;
  packets = 0;
  bytes = 0;

  constructor(spec: Omit<FlowSpec, 'cookieMask' | 'outPort' | 'outGroup'>, now: number) {
    this.table = spec.table;
    this.priority = spec.priority;
    this.match = spec.match;
    this.cookie = spec.cookie;
    this.idleTimeout = spec.idleTimeout;
    this.hardTimeout = spec.hardTimeout;
    this.flags = spec.flags & ~FLOW_FLAGS.CHECK_OVERLAP;
    this.instructions = inOrder(spec.instructions);
    this.compiled = compileMatch(spec.match);
    this.created = now;
    this.used = now;
  }

  /** The lowest priority with nothing to match: what becomes of the rest (§5.4). */
  get isTableMiss(): boolean {
    return this.priority === 0 && this.match.length === 0;
  }

  /** When it goes, unless a packet comes before; `Infinity` for never. */
  get expires(): number {
    const hard = this.hardTimeout === 0 ? Number.POSITIVE_INFINITY : this.created + 1000 * this.hardTimeout;
    const idle = this.idleTimeout === 0 ? Number.POSITIVE_INFINITY : this.used + 1000 * this.idleTimeout;
    return Math.min(hard, idle);
  }

  count(bytes: number, now: number): void {
    this.used = now;
    if ((this.flags & FLOW_FLAGS.NO_PKT_COUNTS) === 0) this.packets++;
    if ((this.flags & FLOW_FLAGS.NO_BYT_COUNTS) === 0) this.bytes += bytes;
  }

  outputs(port: number): boolean {
    return this.instructions.some(
      (one) =>
        (one.type === 'apply_actions' || one.type === 'write_actions') &&
        one.actions.some((action) => action.type === 'output' && action.port === port),
    );
  }

  /** How often it sends to a group. */
  sendsTo(group: number): number {
    let count = 0;
    for (const one of this.instructions)
      if (one.type === 'apply_actions' || one.type === 'write_actions')
        for (const action of one.actions) if (action.type === 'group' && action.group === group) count++;
    return count;
  }

  isMetered(meter: number): boolean {
    return this.instructions.some((one) => one.type === 'meter' && one.meter === meter);
  }
}

/** In which a flow's instructions are carried out, however they were sent (§5.9). */
const ORDER = [
  'meter',
  'apply_actions',
  'clear_actions',
  'write_actions',
  'write_metadata',
  'goto_table',
] as const;

export function inOrder(instructions: readonly Instruction[]): Instruction[] {
  return [...instructions].sort((a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type));
}
