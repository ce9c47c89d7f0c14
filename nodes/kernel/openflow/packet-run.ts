import { copyFrame } from '../../../protocols/frame-buffer.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import { RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import type { PacketInReason } from '../../../protocols/openflow/message.ts';
import { FIELDS, KEY_WORDS } from '../../../protocols/openflow/oxm.ts';
import { tagged, untagged, vlanProtocol } from '../../../protocols/vlan.ts';
import { ActionSet } from './action-set.ts';
import type { Flow } from './flow.ts';
import type { Group } from './group-table.ts';
import { flowHash, type Offsets, readKey } from './packet-key.ts';
import type { PacketPath } from './pipeline.ts';
import { decTtl, remarkDscp, setField, setTtl } from './rewrite.ts';

const NO_FRAME = new Uint8Array(0);

/** One packet on its way through the tables, and after it another one. */
export class PacketRun {
  readonly key = new Uint32Array(KEY_WORDS);
  readonly #path: PacketPath;
  readonly #at: Offsets = { network: 0, type: 0, transport: -1, proto: -1 };
  readonly #set = new ActionSet();
  inPort = 0;
  #frame: Uint8Array = NO_FRAME;
  /** Bytes that it came with. */
  length = 0;
  /** Where it goes once nothing more is done to it: the last of all is spared a copy. */
  #pending = -1;

  constructor(path: PacketPath) {
    this.#path = path;
  }

  begin(frame: Uint8Array, inPort: number, length: number): void {
    this.#frame = frame;
    this.inPort = inPort;
    this.length = length;
    this.#pending = -1;
    this.#set.clear();
    this.key[FIELDS.metadata.word] = 0;
    this.key[FIELDS.metadata.word + 1] = 0;
    readKey(frame, inPort, this.key, this.#at);
  }

  /** Carries out a flow's instructions; the table that comes next, if any. */
  take(flow: Flow): number | 'last' | 'ended' {
    let next: number | 'last' = 'last';
    for (const one of flow.instructions) {
      switch (one.type) {
        case 'meter':
          if (this.#meter(one.meter) === 'ended') return 'ended';
          break;
        case 'apply_actions':
          // As Open vSwitch: without a TTL no table follows, but the action set is carried out.
          if (this.apply(one.actions, flow) === 'ended') return 'last';
          break;
        case 'write_actions':
          this.#set.write(one.actions);
          break;
        case 'clear_actions':
          this.#set.clear();
          break;
        case 'write_metadata':
          this.#writeMetadata(one.value, one.mask);
          break;
        case 'goto_table':
          next = one.table;
      }
    }
    return next;
  }

  /** The action set, and what waits to be sent. */
  end(): void {
    // As Open vSwitch, which then tells of no flow, and of table 0.
    if (!this.#set.isEmpty) this.#set.run((action) => this.#carryOut(action, null));
    this.flush();
  }

  /** What waits to be sent. */
  flush(): void {
    if (this.#pending >= 0) this.#path.host.output(this.#pending, this.#frame, this.inPort);
    this.#pending = -1;
  }

  /** A bucket's actions are carried out as a set is (§5.10). */
  bucket(from: PacketRun, actions: readonly Action[], flow: Flow | null): void {
    const { word } = FIELDS.metadata;
    this.key[word] = from.key[word]!;
    this.key[word + 1] = from.key[word + 1]!;
    this.#set.write(actions);
    this.#set.run((action) => this.#carryOut(action, flow));
    this.flush();
  }

  /** `flow` is null for a packet-out. */
  apply(actions: readonly Action[], flow: Flow | null): 'done' | 'ended' {
    for (let i = 0; i < actions.length; i++)
      if (this.#carryOut(actions[i]!, flow) === 'ended') return 'ended';
    return 'done';
  }

  #carryOut(action: Action, flow: Flow | null): 'done' | 'ended' {
    if (this.#pending >= 0) {
      this.#path.host.output(this.#pending, copyFrame(this.#frame), this.inPort);
      this.#pending = -1;
    }
    switch (action.type) {
      case 'output':
        if (action.port === RESERVED_PORTS.CONTROLLER) this.#toController(action.maxLen, flow, 'action');
        else if (action.port === RESERVED_PORTS.TABLE) this.#path.again(copyFrame(this.#frame), this.inPort);
        else this.#pending = action.port;
        break;
      case 'group':
        this.#group(action.group, flow);
        break;
      case 'push_vlan':
        // VLAN 0 and priority 0, as Open vSwitch pushes it, whatever the tag below says.
        this.#replaced(tagged(this.#frame, action.ethertype === 0x88a8 ? 0x88a8 : 0x8100, 0));
        break;
      case 'pop_vlan':
        if (vlanProtocol(this.#frame) !== null) this.#replaced(untagged(this.#frame));
        break;
      case 'dec_ttl':
        if (decTtl(this.#frame, this.#at) === 'done') break;
        this.#toController(0xffff, flow, 'invalid_ttl');
        return 'ended';
      case 'set_nw_ttl':
        setTtl(this.#frame, this.#at, action.ttl);
        break;
      case 'set_queue':
        // Ports have one queue.
        break;
      case 'set_field':
        setField(this.#frame, this.#at, action.oxm);
        readKey(this.#frame, this.inPort, this.key, this.#at);
    }
    return 'done';
  }

  #group(number: number, flow: Flow | null): void {
    const group = this.#path.groups.get(number);
    if (group === undefined) {
      this.#path.host.dropped('openflow-no-group');
      return;
    }
    if (group.spec.groupType === 'all') {
      group.count(null, this.length);
      for (const { actions } of group.spec.buckets)
        this.#path.bucket(this, copyFrame(this.#frame), actions, flow);
      return;
    }
    const chosen = this.#chosen(group);
    const bucket = group.spec.buckets[chosen];
    if (bucket === undefined) {
      this.#path.host.dropped('openflow-no-bucket');
      return;
    }
    group.count(chosen, this.length);
    this.#path.bucket(this, copyFrame(this.#frame), bucket.actions, flow);
  }

  #chosen(group: Group): number {
    return this.#path.groups.choose(group, group.spec.groupType === 'select' ? flowHash(this.key) : 0);
  }

  #meter(number: number): 'done' | 'ended' {
    const { meters, host } = this.#path;
    const verdict = meters.get(number)?.run(this.length, host.now) ?? 'pass';
    if (verdict === 'pass') return 'done';
    if (verdict === 'drop') {
      host.dropped('openflow-meter');
      return 'ended';
    }
    remarkDscp(this.#frame, this.#at, verdict.precedence);
    readKey(this.#frame, this.inPort, this.key, this.#at);
    return 'done';
  }

  #replaced(frame: Uint8Array): void {
    this.#frame = frame;
    readKey(frame, this.inPort, this.key, this.#at);
  }

  #toController(maxLen: number, flow: Flow | null, reason: PacketInReason): void {
    this.#path.host.packetIn({
      frame: copyFrame(this.#frame),
      inPort: this.inPort,
      metadata: this.#metadata,
      reason: reason === 'action' && flow?.isTableMiss === true ? 'no_match' : reason,
      table: flow?.table ?? 0,
      cookie: flow?.cookie ?? 0xffffffffffffffffn,
      maxLen,
    });
  }

  get #metadata(): bigint {
    const { word } = FIELDS.metadata;
    return (BigInt(this.key[word]!) << 32n) | BigInt(this.key[word + 1]!);
  }

  #writeMetadata(value: bigint, mask: bigint): void {
    const { word } = FIELDS.metadata;
    const metadata = (this.#metadata & ~mask) | (value & mask);
    this.key[word] = Number((metadata >> 32n) & 0xffffffffn);
    this.key[word + 1] = Number(metadata & 0xffffffffn);
  }
}
