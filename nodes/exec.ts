import type { CommandReply } from './commands.ts';
import type { Bfdd } from './daemons/bfdd.ts';
import type { Bgpd } from './daemons/bgpd.ts';
import { runDocker } from './daemons/docker/cli/docker.ts';
import type { Dockerd } from './daemons/docker/dockerd.ts';
import { runOvs } from './daemons/openflow/ovs.ts';
import type { Vswitchd } from './daemons/openflow/vswitchd.ts';
import type { Kernel } from './kernel/kernel.ts';
import type { Netns } from './kernel/netns.ts';
import type { Runtime } from './runtime.ts';
import { startTool } from './tools/start.ts';
import { ENDED, EXIT_KILLED, type RunningTool, type ToolOutput } from './tools/tool.ts';

/** What a tool is run with beside its command line. */
export interface ExecPlace {
  readonly kernel: Kernel;
  readonly ns: Netns;
  /** Whose files it sees (`FileTable`); absent: those of the namespace. */
  readonly mnt?: string;
  /** `namespace/name` of the pod, '' for the node itself. */
  readonly pod: string;
  /** Name of the node. */
  readonly node: string;
  /** The node's BGP daemon, null if none runs. */
  readonly bgpd: Bgpd | null;
  readonly bfdd: Bfdd;
  /** The node's Docker Engine, null if it has none. */
  readonly dockerd: Dockerd | null;
  /** The node's OpenFlow bridge, null if it is no switch. */
  readonly vswitchd: Vswitchd | null;
  /** What it can read from its standard input; absent: nothing. */
  readonly stdin?: string;
}

interface Running {
  readonly ns: Netns;
  readonly tool: RunningTool;
}

/** The tools that run on a node, by the id of the command that started each: `docker exec`, `kubectl exec`, a shell. */
export class Executor {
  readonly #rt: Runtime;
  readonly #reply: (id: string, reply: CommandReply) => void;
  readonly #tools = new Map<string, Running>();

  constructor(rt: Runtime, reply: (id: string, reply: CommandReply) => void) {
    this.#rt = rt;
    this.#reply = reply;
  }

  /** Runs a command line; its output and exit code go out as replies to `id`, from within this call or later. */
  start(id: string, argv: readonly string[], place: ExecPlace): void {
    const { kernel, ns, pod, node, mnt = ns.name, stdin } = place;
    const [name = '', ...args] = argv;
    if (pod === '' && (name === 'birdc' || name === 'calicoctl')) {
      this.#bird(id, name, args, place);
      return;
    }
    if (pod === '' && (name === 'ovs-ofctl' || name === 'ovs-vsctl' || name === 'ovs-appctl')) {
      const { text, code } = runOvs(name, args, place.vswitchd);
      this.#reply(id, { type: code === 0 ? 'stdout' : 'stderr', text });
      this.#reply(id, { type: 'exit', code });
      return;
    }
    let running = true;
    const reply = (part: CommandReply) => {
      if (running) this.#reply(id, part);
    };
    const out = {
      stdout: (text: string) => reply({ type: 'stdout', text }),
      stderr: (text: string) => reply({ type: 'stderr', text }),
      exit: (code: number) => {
        reply({ type: 'exit', code });
        running = false;
        this.#tools.delete(id);
      },
    };
    const hostname = pod === '' ? node : (pod.split('/')[1] ?? pod);
    const files = (path: string) => kernel.files.read(mnt, path);
    const context = { rt: this.#rt, kernel, ns, hostname, files, ...(stdin === undefined ? {} : { stdin }) };
    const tool = pod === '' && name === 'docker' ? docker(args, place, out) : startTool(argv, context, out);
    if (running) this.#tools.set(id, { ns, tool });
  }

  /** SIGINT for a tool, if it still runs. */
  interrupt(id: string): void {
    this.#tools.get(id)?.tool.interrupt();
  }

  /** What runs in a namespace ends with it. */
  namespaceRemoved(ns: Netns): void {
    for (const [id, running] of [...this.#tools]) {
      if (running.ns !== ns) continue;
      this.#tools.delete(id);
      this.#reply(id, { type: 'exit', code: EXIT_KILLED });
    }
  }

  /** birdc and calicoctl, which talk to the node's own routing daemons. */
  #bird(id: string, name: 'birdc' | 'calicoctl', args: readonly string[], place: ExecPlace): void {
    const { bgpd, bfdd, node } = place;
    if (bgpd === null) {
      this.#reply(id, { type: 'stderr', text: `${name}: no BGP daemon runs on ${node}\n` });
      this.#reply(id, { type: 'exit', code: 1 });
      return;
    }
    const status = name === 'calicoctl' && args.join(' ') === 'node status';
    const bfd = name === 'birdc' && args[0] === 'show' && args[1] === 'bfd';
    const bird = () => (bfd ? bfdd.show(args.slice(2)) : bgpd.show(args));
    const { text, code } = status ? { text: bgpd.nodeStatus(), code: 0 } : bird();
    this.#reply(id, { type: code === 0 ? 'stdout' : 'stderr', text });
    this.#reply(id, { type: 'exit', code });
  }
}

/** The docker client, which talks to the node's own daemon. */
function docker(args: readonly string[], { dockerd, node, stdin }: ExecPlace, out: ToolOutput): RunningTool {
  if (dockerd !== null) return runDocker(args, dockerd, out, stdin);
  out.stderr(`docker: ${node} has no Docker; \`docker: {}\` in the lab file gives it one\n`);
  out.exit(1);
  return ENDED;
}
