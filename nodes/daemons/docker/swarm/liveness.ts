import type { Runtime, TimerHandle } from '../../../runtime.ts';
import type { Members } from './members.ts';
import type { NodeRow } from './rows.ts';
import type { Sessions } from './sessions.ts';

/** ms without a heartbeat that make a node one that is down: three periods (swarmkit's dispatcher). */
const DOWN = 15_000;
/** ms that a manager goes on without its leader, and what is put on it at random (Raft's election tick of ten). */
const ELECTION = 10_000;
/** ms that an agent goes on taking orders after it last heard of the leader: less than the leader waits. */
const ORDERS = 12_000;

export interface LivenessOptions {
  readonly node: string;
  readonly members: Pick<Members, 'all' | 'get' | 'lead' | 'leader' | 'managers' | 'setStatus' | 'statusOf'>;
  readonly sessions: Pick<Sessions, 'heard'>;
  /** Role of this node, null while it is in no swarm. */
  readonly role: () => 'manager' | 'worker' | null;
  /** The leader has found a node to be down. */
  readonly onDown: (node: NodeRow) => void;
  /** Who leads, or whether they can be heard, has changed. */
  readonly onChanged: () => void;
}

/** Who of the members lives and who leads them, by what is heard of them (swarmkit's dispatcher, and in place of Raft the store). */
export class Liveness {
  readonly #rt: Runtime;
  readonly #options: LivenessOptions;
  /** Nobody is held to have been silent before. */
  #since: number;
  /** Since when each member is known. */
  readonly #known = new Map<string, number>();
  #patience: number;
  #timer: TimerHandle | null = null;
  #ledLast = false;
  #orderedLast = false;

  constructor(rt: Runtime, options: LivenessOptions) {
    this.#rt = rt;
    this.#options = options;
    this.#since = rt.now;
    this.#patience = ELECTION;
  }

  /** Whether more than half of the managers, this one among them, can be heard. */
  get hasQuorum(): boolean {
    const { node, members } = this.#options;
    const { managers } = members;
    const heard = managers.filter(({ hostname }) => hostname === node || this.#silence(hostname) <= ELECTION);
    return heard.length * 2 > managers.length;
  }

  /** Whether this node sees to the services. */
  get isLeader(): boolean {
    const { node, members, role } = this.#options;
    return role() === 'manager' && members.leader === node && this.hasQuorum;
  }

  /** Whether the leader's orders come through: what is cut off goes on with what it has. */
  get takesOrders(): boolean {
    const { node, members, sessions } = this.#options;
    if (members.leader === node) return this.isLeader;
    const heard = sessions.heard(members.leader);
    return heard !== null && this.#rt.now - heard <= ORDERS;
  }

  /** Whether there is a leader that a manager's questions can be answered by. */
  get hasLeader(): boolean {
    if (this.isLeader) return true;
    const { leader } = this.#options.members;
    const other = leader !== '' && leader !== this.#options.node;
    return other && this.hasQuorum && this.#silence(leader) <= ORDERS;
  }

  heard(hostname: string): void {
    const { members } = this.#options;
    const row = members.get(hostname);
    if (row === null) return;
    const down = this.isLeader && members.statusOf(row).state === 'down';
    if (down) members.setStatus(row, 'ready', '');
    if (down || this.takesOrders !== this.#orderedLast || this.isLeader !== this.#ledLast) this.look();
  }

  /** Something may have changed: nodes are found to be down, the lead is taken. */
  look(): void {
    const { node, members, role, onDown, onChanged } = this.#options;
    if (this.#timer !== null) this.#rt.timers.cancel(this.#timer);
    this.#timer = null;
    if (role() === null) {
      this.#known.clear();
      return;
    }
    const { now } = this.#rt;
    let wake = now + ORDERS;
    for (const { hostname } of members.all) if (!this.#known.has(hostname)) this.#known.set(hostname, now);
    const leads = this.isLeader;
    if (leads && !this.#ledLast) this.#since = now;
    if (leads) {
      for (const row of members.all) {
        if (row.hostname === node || members.statusOf(row).state === 'down') continue;
        const deadline = this.#heardAt(row.hostname) + DOWN;
        if (deadline > now) wake = Math.min(wake, deadline);
        else {
          members.setStatus(row, 'down', 'heartbeat failure');
          onDown(row);
        }
      }
    } else if (role() === 'manager') {
      const deadline = members.leader === '' ? now : this.#heardAt(members.leader) + this.#patience;
      if (deadline > now) wake = Math.min(wake, deadline);
      else if (this.hasQuorum && members.leader !== node) {
        this.#patience = ELECTION + this.#rt.random.int(0, ELECTION);
        this.#since = now;
        members.lead(node);
      } else wake = Math.min(wake, now + 1000);
    }
    const ordered = this.takesOrders;
    const changed = leads !== this.#ledLast || ordered !== this.#orderedLast;
    this.#ledLast = leads;
    this.#orderedLast = ordered;
    this.#timer = this.#rt.timers.set(wake, () => this.look());
    if (changed) onChanged();
  }

  /** How long nothing was heard of a member, ms. */
  #silence(hostname: string): number {
    return this.#rt.now - this.#heardAt(hostname);
  }

  /**
   * Since when nothing was heard of a member. What is waited for is this and a time: what is left of the time can be too
   * little for a clock of doubles to move by, and would be waited for again and again.
   */
  #heardAt(hostname: string): number {
    const heard = this.#options.sessions.heard(hostname) ?? 0;
    return Math.max(heard, this.#known.get(hostname) ?? this.#rt.now, this.#since);
  }
}
