import { copyFrame } from '../../../protocols/frame-buffer.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import { RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import type { PacketInReason } from '../../../protocols/openflow/message.ts';
import { FIELDS, KEY_WORDS } from '../../../protocols/openflow/oxm.ts';
import { tagged, untagged, vlanProtocol } from '../../../protocols/vlan.ts';
import type { Flow } from './flow.ts';
import { type Offsets, readKey } from './packet-key.ts';
import type { PipelineHost } from './pipeline.ts';
import { decTtl, setField } from './rewrite.ts';

/** In which the actions of a set are carried out (§5.10); fields by their place in it, output last. */
const SET_ORDER = ['pop_vlan', 'push_vlan', 'dec_ttl', 'set_field', 'output'] as const;

const NO_FRAME = new Uint8Array(0);

/** One packet on its way through the tables, and after it another one. */
export class PacketRun {
  readonly key = new Uint32Array(KEY_WORDS);
  readonly #host: PipelineHost;
  readonly #at: Offsets = { network: 0, type: 0, transport: -1, proto: -1 };
  #inPort = 0;
  #frame: Uint8Array = NO_FRAME;
  /** Where it goes once nothing more is done to it: the last of all is spared a copy. */
  #pending = -1;
  #set: Map<string, Action> | null = null;
  #last: Flow | null = null;

  constructor(host: PipelineHost) {
    this.#host = host;
  }

  begin(frame: Uint8Array, inPort: number): void {
    this.#frame = frame;
    this.#inPort = inPort;
    this.#pending = -1;
    this.#set = null;
    this.#last = null;
    this.key[FIELDS.metadata.word] = 0;
    this.key[FIELDS.metadata.word + 1] = 0;
    readKey(frame, inPort, this.key, this.#at);
  }

  /** Carries out a flow's instructions; the table that comes next, if any. */
  take(flow: Flow): number | 'last' | 'ended' {
    this.#last = flow;
    let next: number | 'last' = 'last';
    for (const one of flow.instructions) {
      switch (one.type) {
        case 'apply_actions':
          if (this.apply(one.actions, flow) === 'ended') return 'ended';
          break;
        case 'write_actions':
          this.#set ??= new Map();
          for (const action of one.actions)
            this.#set.set(
              action.type === 'set_field' ? `set_field ${action.oxm.field}` : action.type,
              action,
            );
          break;
        case 'clear_actions':
          this.#set = null;
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
    if (this.#set !== null) {
      const actions = [...this.#set.values()].sort(
        (a, b) => SET_ORDER.indexOf(a.type) - SET_ORDER.indexOf(b.type),
      );
      if (this.apply(actions, this.#last) === 'ended') return;
    }
    if (this.#pending >= 0) this.#host.output(this.#pending, this.#frame, this.#inPort);
    this.#pending = -1;
  }

  /** `flow` is null for a packet-out. */
  apply(actions: readonly Action[], flow: Flow | null): 'done' | 'ended' {
    for (const action of actions) {
      if (this.#pending >= 0) {
        this.#host.output(this.#pending, copyFrame(this.#frame), this.#inPort);
        this.#pending = -1;
      }
      switch (action.type) {
        case 'output':
          if (action.port === RESERVED_PORTS.CONTROLLER) this.#toController(action.maxLen, flow, 'action');
          else this.#pending = action.port;
          break;
        case 'push_vlan': {
          const tag = action.ethertype === 0x88a8 ? 0x88a8 : 0x8100;
          const old = vlanProtocol(this.#frame) === null ? 0 : this.key[FIELDS.vlan_vid.word]! & 0xfff;
          this.#replaced(tagged(this.#frame, tag, old, this.key[FIELDS.vlan_pcp.word]));
          break;
        }
        case 'pop_vlan':
          if (vlanProtocol(this.#frame) !== null) this.#replaced(untagged(this.#frame));
          break;
        case 'dec_ttl':
          if (decTtl(this.#frame, this.#at) === 'done') break;
          this.#toController(0xffff, flow, 'invalid_ttl');
          return 'ended';
        case 'set_field':
          setField(this.#frame, this.#at, action.oxm);
          readKey(this.#frame, this.#inPort, this.key, this.#at);
      }
    }
    return 'done';
  }

  #replaced(frame: Uint8Array): void {
    this.#frame = frame;
    readKey(frame, this.#inPort, this.key, this.#at);
  }

  #toController(maxLen: number, flow: Flow | null, reason: PacketInReason): void {
    this.#host.packetIn({
      frame: copyFrame(this.#frame),
      inPort: this.#inPort,
      reason: reason === 'action' && flow?.isTableMiss === true ? 'no_match' : reason,
      table: flow?.table ?? 0,
      cookie: flow?.cookie ?? 0xffffffffffffffffn,
      maxLen,
    });
  }

  #writeMetadata(value: bigint, mask: bigint): void {
    const { word } = FIELDS.metadata;
    const old = (BigInt(this.key[word]!) << 32n) | BigInt(this.key[word + 1]!);
    const metadata = (old & ~mask) | (value & mask);
    this.key[word] = Number((metadata >> 32n) & 0xffffffffn);
    this.key[word + 1] = Number(metadata & 0xffffffffn);
  }
}
