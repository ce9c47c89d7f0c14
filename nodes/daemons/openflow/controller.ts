import { formatIp4 } from '../../../protocols/ip4.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import {
  ALL_TABLES,
  CONTROLLER_MAX_LEN,
  OFP_NO_BUFFER,
  OFP_PORT,
  RESERVED_PORTS,
} from '../../../protocols/openflow/constants.ts';
import { errorName } from '../../../protocols/openflow/error-names.ts';
import { parseFlow } from '../../../protocols/openflow/flow-text.ts';
import type { FlowMod, FlowStats, OfMessage } from '../../../protocols/openflow/message.ts';
import type { OpenFlowControllerConfig } from '../../config.ts';
import type { OpenFlowRole } from '../../events/openflow.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpListener, TcpSocket } from '../../kernel/tcp.ts';
import type { Runtime } from '../../runtime.ts';
import { hostKey, inOrder, type OpenFlowHostFacts, type OpenFlowView } from '../../state/openflow-view.ts';
import { OpenFlowChannel } from './channel.ts';
import { type Program, type ProgramSwitch, type PuntedPacket, programOf } from './programs.ts';

/** After so long without a word a switch is asked for one, ms. */
const PROBE = 15_000;

/** A switch at the controller. */
class ConnectedSwitch implements ProgramSwitch {
  readonly channel: OpenFlowChannel;
  readonly address: string;
  datapathId = '';
  /** What the switch has agreed to. */
  role: OpenFlowRole = 'equal';
  /** What was refused since the last barrier was sent. */
  refused: string | null = null;
  /** Barriers, and questions by their transaction ids. */
  readonly waiting = new Map<number, (message: OfMessage) => 'more' | 'done'>();

  constructor(address: string, channel: OpenFlowChannel) {
    this.address = address;
    this.channel = channel;
  }

  addFlow(text: string): void {
    this.flowMod('add', text);
  }

  flowMod(command: FlowMod['command'], text: string): void {
    this.channel.send({ type: 'flow_mod', ...flowMod(command, text) });
  }

  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void {
    this.channel.send({ type: 'packet_out', bufferId: OFP_NO_BUFFER, inPort, actions, data: frame });
  }

  /** Asks for a role by the number that comes after the last choice of a master, which the switch is asked for first. */
  askRole(role: OpenFlowRole, done: (error: string | null) => void): void {
    const ask = (generationId: bigint) => {
      const xid = this.channel.send({ type: 'role_request', role, generationId });
      this.waiting.set(xid, ({ body }) => {
        if (body.type === 'role_reply') this.role = role;
        done(body.type === 'role_reply' ? null : this.refused);
        return 'done';
      });
    };
    const xid = this.channel.send({ type: 'role_request', role: 'nochange', generationId: 0n });
    this.waiting.set(xid, ({ body }) => {
      if (body.type === 'role_reply') ask(BigInt.asUintN(64, body.generationId + 1n));
      else done(this.refused);
      return 'done';
    });
  }

  barrier(done: (error: string | null) => void): void {
    const xid = this.channel.send({ type: 'barrier_request' });
    this.refused = null;
    this.waiting.set(xid, () => {
      done(this.refused);
      return 'done';
    });
  }
}

/** @throws FlowSyntaxError */
export function flowMod(command: FlowMod['command'], text: string): FlowMod {
  const spec = parseFlow(text, command.startsWith('delete') ? ALL_TABLES : 0);
  return { ...spec, command, bufferId: OFP_NO_BUFFER };
}

/** An OpenFlow controller: switches connect to its port 6653, a program decides what they do. */
export class OpenFlowController {
  readonly #rt: Runtime;
  readonly #ns: Netns;
  readonly #config: OpenFlowControllerConfig;
  readonly #program: Program;
  /** By datapath id. */
  readonly #switches = new Map<string, ConnectedSwitch>();
  readonly #hosts = new Map<string, OpenFlowHostFacts>();
  readonly #channels = new Set<OpenFlowChannel>();
  #listener: TcpListener | null = null;
  #role: OpenFlowRole;

  constructor(rt: Runtime, ns: Netns, config: OpenFlowControllerConfig) {
    this.#rt = rt;
    this.#ns = ns;
    this.#config = config;
    this.#role = config.role ?? 'equal';
    this.#program = programOf(config.program, {
      learned: (datapathId, host) => this.#learned(datapathId, host),
    });
  }

  /** Handshakes, barriers and questions that are not through. */
  get work(): number {
    let work = 0;
    for (const { waiting } of this.#switches.values()) work += waiting.size;
    return work + this.#channels.size - this.#switches.size;
  }

  start(): void {
    if (this.#role !== 'equal') this.#tellRole();
    this.#listener = this.#ns.listenTcp({ addr: 0, port: OFP_PORT }, (socket) => this.#accept(socket));
  }

  shutdown(): void {
    this.#listener?.close();
    for (const channel of [...this.#channels]) channel.close('shut down');
  }

  view(): Pick<OpenFlowView, 'switches' | 'hosts' | 'role'> {
    const switches = [...this.#switches.values()].map(({ datapathId, address }) => ({ datapathId, address }));
    return {
      switches: inOrder(switches, ({ datapathId }) => datapathId),
      hosts: inOrder(this.#hosts.values(), hostKey),
      role: this.#role,
    };
  }

  /** Asks every switch for a role, and later ones too; calls back once all have answered, and have what they are given by who takes over. */
  setRole(role: OpenFlowRole, done: (error: string | null) => void): void {
    this.#role = role;
    this.#tellRole();
    let left = this.#switches.size;
    let failed: string | null = null;
    if (left === 0) done(null);
    for (const one of this.#switches.values()) {
      const was = one.role;
      const answered = (error: string | null) => {
        failed ??= error;
        if (--left === 0) done(failed);
      };
      one.askRole(role, (error) => {
        if (error === null && was === 'slave' && role !== 'slave') this.#takeOver(one, answered);
        else answered(error);
      });
    }
  }

  #tellRole(): void {
    const { cause } = this.#rt;
    this.#rt.emit({ type: 'openflow.controller', role: this.#role });
    this.#rt.cause = cause;
  }

  /** A switch by its name in the lab, or by its datapath id. */
  find(name: string): ProgramSwitch | undefined {
    const named = Object.entries(this.#config.switches).find(([, other]) => other === name)?.[0];
    return this.#switches.get(named ?? name);
  }

  /** Name, datapath id and address of those that are there. */
  list(): { readonly name: string; readonly datapathId: string; readonly address: string }[] {
    return this.view().switches.map((one) => ({
      name: this.#config.switches[one.datapathId] ?? '',
      ...one,
    }));
  }

  /** Asks a switch for its flows. */
  flows(name: string, done: (flows: readonly FlowStats[]) => void): 'asked' | 'unknown' {
    const found = this.find(name);
    if (!(found instanceof ConnectedSwitch)) return 'unknown';
    const flows: FlowStats[] = [];
    const xid = found.channel.send({
      type: 'multipart_request',
      request: {
        kind: 'flow',
        table: ALL_TABLES,
        outPort: RESERVED_PORTS.ANY,
        outGroup: RESERVED_PORTS.ANY,
        cookie: 0n,
        cookieMask: 0n,
        match: [],
      },
    });
    found.waiting.set(xid, ({ body }) => {
      if (body.type === 'multipart_reply' && body.reply.kind === 'flow') flows.push(...body.reply.flows);
      if (body.type === 'multipart_reply' && body.more === 'more') return 'more';
      done(flows);
      return 'done';
    });
    return 'asked';
  }

  #accept(socket: TcpSocket): void {
    const address = formatIp4(socket.remote.addr);
    const channel = new OpenFlowChannel(this.#rt, socket, PROBE, {
      opened: () => channel.send({ type: 'features_request' }),
      message: (message) => this.#message(one, message),
      closed: () => {
        this.#channels.delete(channel);
        if (this.#switches.get(one.datapathId) !== one) return;
        this.#switches.delete(one.datapathId);
        this.#tell(one, 'down');
      },
    });
    const one = new ConnectedSwitch(address, channel);
    this.#channels.add(channel);
  }

  #tell({ datapathId, address }: ConnectedSwitch, state: 'up' | 'down'): void {
    const { cause } = this.#rt;
    this.#rt.emit({ type: 'openflow.switch', datapathId, address, state });
    if (state === 'down') this.#rt.cause = cause;
  }

  #message(one: ConnectedSwitch, message: OfMessage): void {
    const { body, xid } = message;
    const waiting = one.waiting.get(xid);
    switch (body.type) {
      case 'features_reply':
        this.#arrived(one, body.datapathId.toString(16).padStart(16, '0'));
        break;
      case 'packet_in': {
        if (one.datapathId === '') break;
        const inPort = Number(body.match.find(({ field }) => field === 'in_port')?.value ?? 0n);
        const { data, reason, table } = body;
        this.#punted(one, { frame: data, inPort, reason, table });
        break;
      }
      case 'barrier_reply':
      case 'multipart_reply':
      case 'role_reply':
        if (waiting?.(message) === 'done') one.waiting.delete(xid);
        break;
      case 'error': {
        this.#rt.emit({
          type: 'openflow.error',
          datapathId: one.datapathId,
          errorType: body.errorType,
          code: body.code,
        });
        one.refused = `the switch refused it: ${errorName(body.errorType, body.code)}`;
        if (waiting?.(message) !== undefined) one.waiting.delete(xid);
        break;
      }
      default:
    }
  }

  /** A switch begins with nothing but what the program gives it, whatever it has kept from before; of a slave it keeps what it has. */
  #arrived(one: ConnectedSwitch, datapathId: string): void {
    if (one.datapathId !== '') return;
    this.#switches.get(datapathId)?.channel.close('another connection of the same datapath');
    one.datapathId = datapathId;
    this.#switches.set(datapathId, one);
    this.#tell(one, 'up');
    if (this.#role === 'equal') this.#takeOver(one);
    else
      one.askRole(this.#role, (error) => {
        if (error === null && one.role === 'master') this.#takeOver(one);
      });
  }

  #takeOver(one: ConnectedSwitch, done: (error: string | null) => void = () => {}): void {
    one.channel.send({ type: 'set_config', flags: 0, missSendLen: CONTROLLER_MAX_LEN });
    one.flowMod('delete', '');
    one.barrier(() => {});
    this.#program.connected(one);
    for (const flow of this.#config.flows[one.datapathId] ?? []) one.addFlow(flow);
    one.barrier(done);
  }

  #punted(one: ConnectedSwitch, packet: PuntedPacket): void {
    if (packet.frame.length < 14) return;
    if (this.#config.program === 'bus') {
      const { frame, inPort, reason, table } = packet;
      this.#rt.emit({
        type: 'openflow.packet-in',
        datapathId: one.datapathId,
        inPort,
        reason,
        table,
        data: frame,
      });
      return;
    }
    this.#program.packetIn(one, packet);
  }

  #learned(datapathId: string, host: Omit<OpenFlowHostFacts, 'datapathId'>): void {
    const facts = { datapathId, ...host };
    this.#hosts.set(hostKey(facts), facts);
    this.#rt.emit({ type: 'openflow.host', ...facts });
  }
}
