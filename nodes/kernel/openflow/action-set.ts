import type { Action } from '../../../protocols/openflow/action.ts';
import { FIELDS, type FieldName } from '../../../protocols/openflow/oxm.ts';

/** In which the actions of a set are carried out (§5.10); fields come one after the other. */
const ORDER = [
  'pop_vlan',
  'push_vlan',
  'dec_ttl',
  'set_field',
  'set_nw_ttl',
  'set_queue',
  'output',
  'group',
] as const;
const FIELD_SLOTS = Object.fromEntries(Object.keys(FIELDS).map((field, i) => [field, i])) as Record<
  FieldName,
  number
>;
const FIELD_COUNT = Object.keys(FIELDS).length;
const FIRST_FIELD = ORDER.indexOf('set_field');
const SLOTS = ORDER.length + FIELD_COUNT - 1;
const OUTPUT = SLOTS - 2;
const GROUP = SLOTS - 1;

function slotOf(action: Action): number {
  if (action.type === 'set_field') return FIRST_FIELD + FIELD_SLOTS[action.oxm.field];
  const at = ORDER.indexOf(action.type);
  return at < FIRST_FIELD ? at : at + FIELD_COUNT - 1;
}

/** What is done to a packet once no table is left: at most one action of each kind. */
export class ActionSet {
  readonly #slots: (Action | null)[] = new Array(SLOTS).fill(null);
  #used = false;

  get isEmpty(): boolean {
    return !this.#used;
  }

  clear(): void {
    if (this.#used) this.#slots.fill(null);
    this.#used = false;
  }

  write(actions: readonly Action[]): void {
    for (const action of actions) this.#slots[slotOf(action)] = action;
    this.#used = true;
  }

  /** In the order that they are carried out. With a group there is no output. */
  run(carryOut: (action: Action) => 'done' | 'ended'): 'done' | 'ended' {
    for (let slot = 0; slot < SLOTS; slot++) {
      const action = this.#slots[slot];
      if (action === null || action === undefined) continue;
      if (slot === OUTPUT && this.#slots[GROUP] !== null) continue;
      if (carryOut(action) === 'ended') return 'ended';
    }
    return 'done';
  }
}
