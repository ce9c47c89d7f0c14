import type { Instruction } from '../../../protocols/openflow/action.ts';
import {
  ERROR,
  FLOW_FLAGS,
  FLOW_MOD_FAILED,
  OpenFlowError,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import type { FlowSpec } from '../../../protocols/openflow/flow-text.ts';
import type { FlowMod } from '../../../protocols/openflow/message.ts';
import { type Match, matchCovers, matchesOverlap, sameMatch } from '../../../protocols/openflow/oxm.ts';
import { compileMatch, matchesKey } from './packet-key.ts';

/** A flow in a table, with what it has counted. */
export class Flow {
  readonly table: number;
  readonly priority: number;
  readonly match: Match;
  readonly cookie: bigint;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly flags: number;
  readonly compiled: Uint32Array;
  readonly created: number;
  instructions: readonly Instruction[];
  /** Time of the last packet, ms. */
  used: number;
  packets = 0;
  bytes = 0;

  constructor(spec: Omit<FlowSpec, 'cookieMask' | 'outPort'>, now: number) {
    this.table = spec.table;
    this.priority = spec.priority;
    this.match = spec.match;
    this.cookie = spec.cookie;
    this.idleTimeout = spec.idleTimeout;
    this.hardTimeout = spec.hardTimeout;
    this.flags = spec.flags & ~FLOW_FLAGS.CHECK_OVERLAP;
    this.instructions = spec.instructions;
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
}

/** What picks flows out of a table: to be changed, deleted or told of. */
export interface FlowFilter {
  readonly match: Match;
  /** Null: whatever the flow's, and its match may say more (non-strict, §6.4). */
  readonly priority: number | null;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: number;
}

/** One flow table, the highest priority first. Among equals the one that came first is found first. */
export class FlowTable {
  readonly flows: Flow[] = [];
  lookups = 0;
  matched = 0;

  lookup(key: Uint32Array): Flow | undefined {
    this.lookups++;
    for (const flow of this.flows) {
      if (!matchesKey(flow.compiled, key)) continue;
      this.matched++;
      return flow;
    }
    return undefined;
  }

  /** Puts a flow in, in the place of one of the same match and priority. @throws OpenFlowError where it may not overlap and does. */
  add(flow: Flow, overlap: 'checked' | 'allowed'): void {
    const same = this.flows.findIndex(
      (other) => other.priority === flow.priority && sameMatch(other.match, flow.match),
    );
    if (same >= 0) {
      this.flows[same] = flow;
      return;
    }
    // As Open vSwitch: a flow that is replaced is not one that is overlapped.
    const clash =
      overlap === 'checked' &&
      this.flows.some((other) => other.priority === flow.priority && matchesOverlap(other.match, flow.match));
    if (clash)
      throw new OpenFlowError(
        'it overlaps with a flow that is there',
        ERROR.FLOW_MOD_FAILED,
        FLOW_MOD_FAILED.OVERLAP,
      );
    const after = this.flows.findIndex(({ priority }) => priority < flow.priority);
    this.flows.splice(after < 0 ? this.flows.length : after, 0, flow);
  }

  remove(flow: Flow): void {
    const at = this.flows.indexOf(flow);
    if (at >= 0) this.flows.splice(at, 1);
  }

  select(filter: FlowFilter): Flow[] {
    return this.flows.filter(
      (flow) =>
        (filter.priority === null
          ? matchCovers(filter.match, flow.match)
          : flow.priority === filter.priority && sameMatch(flow.match, filter.match)) &&
        (flow.cookie & filter.cookieMask) === (filter.cookie & filter.cookieMask) &&
        (filter.outPort === RESERVED_PORTS.ANY || flow.outputs(filter.outPort)),
    );
  }
}

/** What a modify or delete picks; `out_port` counts for a delete alone. */
export function filterOf(mod: FlowMod): FlowFilter {
  const { command, match, priority, cookie, cookieMask, outPort } = mod;
  return {
    match,
    priority: command.endsWith('_strict') ? priority : null,
    cookie,
    cookieMask,
    outPort: command.startsWith('delete') ? outPort : RESERVED_PORTS.ANY,
  };
}
