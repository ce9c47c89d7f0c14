import { parseIp } from '../protocols/ip.ts';
import { parseIp4 } from '../protocols/ip4.ts';
import type { BgpRequest, CommandReply, NodeCommand } from './commands.ts';
import type { NodeConfig } from './config.ts';
import { Capturer } from './daemons/capturer.ts';
import { openflowWords } from './daemons/openflow/request.ts';
import { ProbeError, Prober } from './daemons/prober.ts';
import { Executor } from './exec.ts';
import { impair, impairmentWords } from './impair.ts';
import type { Netns } from './kernel/netns.ts';
import type { NodeOutputs, NodeReport } from './machine-io.ts';
import type { Runtime } from './runtime.ts';
import type { NodeSystem } from './system.ts';
import { sendTraced } from './traced-packet.ts';

/** What commands ask of the machine. */
interface CommandedMachine {
  readonly system: NodeSystem;
  /** Sequence number of the last event. */
  readonly lastSeq: number;
  report(): NodeReport;
  /** The node ends; `answer` is called before. */
  end(how: 'halt' | 'exit', answer: () => void): void;
}

/** Does what the orchestrator commands a node. */
export class CommandHandler {
  readonly #rt: Runtime;
  readonly #config: NodeConfig;
  readonly #out: Pick<NodeOutputs, 'reply'>;
  readonly #machine: CommandedMachine;
  readonly #executor: Executor;
  readonly #prober: Prober;
  readonly #capturer: Capturer;

  constructor(rt: Runtime, config: NodeConfig, out: Pick<NodeOutputs, 'reply'>, machine: CommandedMachine) {
    this.#rt = rt;
    this.#config = config;
    this.#out = out;
    this.#machine = machine;
    this.#executor = new Executor(rt, (id, reply) => out.reply(id, reply));
    this.#prober = new Prober(rt);
    this.#capturer = new Capturer(rt);
  }

  /** Answers by the outputs, at once or when it is done. */
  take(id: string, command: NodeCommand): void {
    const { kernel, bgpd, openflow } = this.#machine.system;
    const answer = (reply: CommandReply) => this.#out.reply(id, reply);
    switch (command.type) {
      case 'report':
        answer({ type: 'value', value: this.#machine.report() });
        return;
      case 'sync':
        answer({ type: 'value', value: null });
        return;
      case 'snapshot':
        answer({
          type: 'value',
          value: { seq: this.#machine.lastSeq, view: this.#machine.system.snapshot() },
        });
        return;
      case 'exec':
        this.#exec(id, command);
        return;
      case 'interrupt':
        this.#executor.interrupt(command.target);
        answer({ type: 'value', value: null });
        return;
      case 'carrier': {
        const iface = this.#config.interfaces.find((candidate) => candidate.name === command.device);
        if (iface === undefined) {
          answer({ type: 'error', message: `no interface ${command.device}` });
          return;
        }
        this.#rt.emit({
          type: 'command.received',
          command: 'carrier',
          detail: `${command.device} ${command.carrier}`,
        });
        kernel.setCarrier(iface.port, command.carrier);
        answer({ type: 'value', value: null });
        return;
      }
      case 'impair':
        this.#rt.emit({
          type: 'command.received',
          command: 'impair',
          detail: `${command.device} ${impairmentWords(command.change)}`,
        });
        answer(impair(kernel.root, command.device, command.change));
        return;
      case 'trace':
        answer(this.#trace(command));
        return;
      case 'probe.start':
      case 'probe.target':
      case 'probe.stop':
        answer(this.#probe(command));
        return;
      case 'capture.start':
        this.#capturer.command(command, this.#namespaceOf(command.pod), answer);
        return;
      case 'capture.read':
      case 'capture.stop':
        this.#capturer.command(command, undefined, answer);
        return;
      case 'bgp': {
        if (bgpd === null) {
          answer({ type: 'error', message: 'this node speaks no BGP' });
          return;
        }
        this.#rt.emit({ type: 'command.received', command: 'bgp', detail: detailOf(command.request) });
        const { request } = command;
        const problem = request.op === 'restart' ? this.#machine.system.restartBgp() : bgpd.control(request);
        answer(problem === null ? { type: 'value', value: null } : { type: 'error', message: problem });
        return;
      }
      case 'openflow':
        if (command.request.op !== 'switches' && command.request.op !== 'flows')
          this.#rt.emit({
            type: 'command.received',
            command: 'openflow',
            detail: openflowWords(command.request),
          });
        openflow.command(command.request, answer);
        return;
      case 'crash':
        this.#rt.emit({ type: 'command.received', command: 'crash', detail: command.how });
        if (command.how === 'reset') kernel.abortAll();
        this.#machine.end('halt', () => answer({ type: 'value', value: null }));
        return;
      case 'stop':
        this.#machine.system.shutdown();
        this.#rt.emit({ type: 'node.stopped', reason: command.reason });
        this.#machine.end('exit', () => answer({ type: 'value', value: null }));
    }
  }

  /** What ran in a namespace has gone with it. */
  namespaceRemoved(ns: Netns): void {
    this.#prober.namespaceRemoved(ns);
    this.#executor.namespaceRemoved(ns);
  }

  #exec(id: string, { pod, argv, stdin }: Extract<NodeCommand, { type: 'exec' }>): void {
    const { system } = this.#machine;
    const { kernel, bgpd, bfdd, dockerd, openflow } = system;
    const container = pod !== '' && system.cluster?.namespaceOf(pod) === undefined;
    const ns = this.#namespaceOf(pod);
    if (ns === undefined) {
      this.#out.reply(id, {
        type: 'error',
        message: `no pod or container ${pod} runs on ${this.#config.name}`,
      });
      return;
    }
    this.#rt.emit({ type: 'command.received', command: 'exec', detail: `${pod} ${argv.join(' ')}`.trim() });
    const place = {
      kernel,
      ns,
      pod: container ? '' : pod,
      node: this.#config.name,
      bgpd,
      bfdd,
      dockerd,
      vswitchd: openflow.vswitchd,
      ...(stdin === undefined ? {} : { stdin }),
    };
    const docker = ['docker', 'exec', ...(stdin === undefined ? [] : ['-i']), pod];
    this.#executor.start(id, container ? [...docker, ...argv] : argv, place);
  }

  #namespaceOf(pod: string): Netns | undefined {
    return this.#machine.system.namespaceOf(pod);
  }

  #trace({ pod, target, packet }: Extract<NodeCommand, { type: 'trace' }>): CommandReply {
    const ns = this.#namespaceOf(pod);
    const addr = parseIp(target);
    if (ns === undefined)
      return { type: 'error', message: `no pod or container ${pod} runs on ${this.#config.name}` };
    if (addr === null) return { type: 'error', message: `${target} is no address` };
    const detail = `${pod} -> ${target} ${packet.proto}${packet.proto === 'icmp' ? '' : ` ${packet.port}`}`;
    const start = this.#rt.emit({ type: 'command.received', command: 'trace', detail: detail.trim() });
    this.#machine.system.kernel.tracer.begin(ns);
    const problem = sendTraced(ns, addr, packet);
    return problem === null ? { type: 'value', value: start } : { type: 'error', message: problem };
  }

  #probe(command: Extract<NodeCommand, { type: `probe.${string}` }>): CommandReply {
    try {
      if (command.type === 'probe.stop') return { type: 'value', value: this.#prober.stop(command.probe) };
      const target = parseIp4(command.target);
      if (target === null) return { type: 'error', message: `${command.target} is no IPv4 address` };
      if (command.type === 'probe.target') this.#prober.retarget(command.probe, target);
      else {
        const ns = this.#namespaceOf(command.pod);
        if (ns === undefined)
          return { type: 'error', message: `no pod or container ${command.pod} runs here` };
        this.#prober.start({ id: command.probe, ns, target, interval: command.interval });
      }
      return { type: 'value', value: null };
    } catch (error) {
      if (error instanceof ProbeError) return { type: 'error', message: error.message };
      throw error;
    }
  }
}

function detailOf(request: BgpRequest): string {
  return request.op === 'load' ? `load ${request.messages.length} UPDATEs` : JSON.stringify(request);
}
