import {
  ERROR,
  FLOW_MOD_FAILED,
  OpenFlowError,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { GROUP } from '../../../protocols/openflow/group.ts';
import type { FlowMod } from '../../../protocols/openflow/message.ts';
import type { Match } from '../../../protocols/openflow/oxm.ts';
import { Classifier } from './classifier.ts';
import { compiledCovers, compiledOverlap, compileMatch } from './compiled-match.ts';
import type { Flow } from './flow.ts';

/** What picks flows out of a table: to be changed, deleted or told of. */
export interface FlowFilter {
  readonly match: Match;
  /** Null: whatever the flow's, and its match may say more (non-strict, §6.4). */
  readonly priority: number | null;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: number;
  readonly outGroup: number;
}

/** One flow table. Among flows of the same priority the one that came first is found first. */
export class FlowTable {
  readonly #classifier = new Classifier<Flow>();
  lookups = 0;
  matched = 0;

  get size(): number {
    return this.#classifier.size;
  }

  /** The highest priority first. */
  flows(): Flow[] {
    return inTurn([...this.#classifier.rules()]);
  }

  lookup(key: Uint32Array): Flow | null {
    this.lookups++;
    const flow = this.#classifier.lookup(key);
    if (flow !== null) this.matched++;
    return flow;
  }

  /**
   * Puts a flow in, in the place of one of the same match and priority, which it returns.
   * @throws OpenFlowError where it may not overlap and does.
   */
  add(flow: Flow, overlap: 'checked' | 'allowed'): Flow | null {
    // As Open vSwitch: a flow that is replaced is not one that is overlapped.
    if (overlap === 'checked' && this.#classifier.find(flow.compiled, flow.priority) === null)
      this.#checkOverlap(flow);
    return this.#classifier.insert(flow);
  }

  remove(flow: Flow): void {
    this.#classifier.remove(flow);
  }

  select(filter: FlowFilter): Flow[] {
    const compiled = compileMatch(filter.match);
    const wanted = (flow: Flow) =>
      (flow.cookie & filter.cookieMask) === (filter.cookie & filter.cookieMask) &&
      (filter.outPort === RESERVED_PORTS.ANY || flow.outputs(filter.outPort)) &&
      (filter.outGroup === GROUP.ANY || flow.sendsTo(filter.outGroup) > 0);
    if (filter.priority !== null) {
      const flow = this.#classifier.find(compiled, filter.priority);
      return flow !== null && wanted(flow) ? [flow] : [];
    }
    const selected: Flow[] = [];
    for (const flow of this.#classifier.rules())
      if (compiledCovers(compiled, flow.compiled) && wanted(flow)) selected.push(flow);
    return inTurn(selected);
  }

  #checkOverlap({ priority, compiled }: Flow): void {
    for (const other of this.#classifier.rules())
      if (other.priority === priority && compiledOverlap(other.compiled, compiled))
        throw new OpenFlowError(
          'it overlaps with a flow that is there',
          ERROR.FLOW_MOD_FAILED,
          FLOW_MOD_FAILED.OVERLAP,
        );
  }
}

function inTurn(flows: Flow[]): Flow[] {
  return flows.sort((a, b) => b.priority - a.priority || a.order - b.order);
}

/** What a modify or delete picks; `out_port` and `out_group` count for a delete alone. */
export function filterOf(mod: FlowMod): FlowFilter {
  const { command, match, priority, cookie, cookieMask, outPort, outGroup } = mod;
  const isDelete = command.startsWith('delete');
  return {
    match,
    priority: command.endsWith('_strict') ? priority : null,
    cookie,
    cookieMask,
    outPort: isDelete ? outPort : RESERVED_PORTS.ANY,
    outGroup: isDelete ? outGroup : GROUP.ANY,
  };
}
