import { Command, Option } from 'commander';
import { LabHome } from '../home.ts';
import { baseline, waitConverged } from '../observe/quiescence.ts';
import { atLeastOne, count, duration, exits, labOption, logLevel, PLAIN, rate, seed } from './arguments.ts';
import { withLab } from './attach.ts';
import { type BgpCliOptions, bgp } from './bgp.ts';
import { capture } from './capture.ts';
import type { CaptureCliOptions } from './capture-common.ts';
import { chaosRun, churnCommand } from './chaos.ts';
import { demo } from './demo.ts';
import { dockerStdin } from './docker-stdin.ts';
import { type DumpOptions, dump } from './dump.ts';
import { type GetOptions, get, getPast, KINDS, parseKind } from './get.ts';
import { down, ls } from './labs.ts';
import { type LogOptions, log } from './log.ts';
import { openflow } from './openflow.ts';
import { write } from './output.ts';
import { type PolicyTestOptions, policyTest } from './policy.ts';
import { execIn, readStdin, resolveTarget, withAddresses } from './target.ts';
import { type TraceOptions, trace } from './trace.ts';
import { oscillationLines, supervise, type UpOptions, up } from './up.ts';
import { verify } from './verify.ts';
import { waitText } from './wait.ts';
import { warmUp } from './warm-up.ts';
import { addWireCommands } from './wires.ts';

/** The command line: every command with its arguments, options and what it does. */
export const program = new Command('reroute')
  .description('What does my cluster network do when things break?')
  .version('0.1.0')
  .showHelpAfterError('(reroute --help lists the commands)')
  .showSuggestionAfterError()
  .enablePositionalOptions();

program
  .command('up')
  .description('launch a lab and wait until it has converged')
  .argument('[file]', 'lab file (YAML) or GraphML topology')
  .option('-d, --detach', 'leave it running')
  .option('--graphml <file>', 'a topology as the Internet Topology Zoo writes it')
  .option('--simulate', 'in one process under a virtual clock')
  .option('--bus <url>', 'an existing NATS server with JetStream (or REROUTE_BUS)')
  .addOption(
    new Option('--within <duration>', 'give up waiting after').argParser(duration).default(120_000, '2m'),
  )
  .addOption(new Option('--seed <number>', "in the place of the lab's own").argParser(count))
  .addOption(logLevel())
  .action(exits((file: string | undefined, options: UpOptions) => up(file, options)));

program
  .command('supervise', { hidden: true })
  .argument('<file>')
  .option('--bus <url>')
  .addOption(new Option('--seed <number>').argParser(count))
  .addOption(logLevel())
  .action(
    exits((file: string, options: { bus?: string; seed?: number; logLevel: string }) =>
      supervise(file, options),
    ),
  );

program.command('warm-up', { hidden: true }).action(exits(() => warmUp()));

program
  .command('down')
  .description('take a lab down; its log stays')
  .argument('[lab]')
  .addOption(labOption())
  .action(exits((name: string | undefined, options: { lab?: string }) => down(name ?? options.lab)));

program
  .command('ls')
  .description('list the labs')
  .addOption(new Option('-o, --output <format>').choices(['table', 'wide', 'json', 'yaml']).default('table'))
  .action(exits((options: { output: GetOptions['output'] }) => ls(options.output)));

program
  .command('get')
  .description(`show ${KINDS.join(', ')}`)
  .argument('<kind>', KINDS.join('|'))
  .argument('[node]', 'only of this node')
  .addOption(labOption())
  .addOption(new Option('-o, --output <format>').choices(['table', 'wide', 'json', 'yaml']).default('table'))
  .option(
    '--at <moment>',
    'as it was: after an event (n1:42), at a time (+2.5s since the start, or ISO 8601)',
  )
  .option('-l, --selector <labels>', 'pods with these labels')
  .option('--show-labels', 'with the labels of pods')
  .action(
    exits(async (kind: string, node: string | undefined, options: GetOptions) => {
      const all = node === undefined ? options : { ...options, node };
      const { at } = options;
      if (at === undefined) await get(parseKind(kind), all);
      else await getPast(parseKind(kind), LabHome.choose(options.lab, 'any'), { ...all, at });
    }),
  );

program
  .command('exec')
  .description('run a command on a node, in a pod or in a container: ping, curl, ip, iptables, …')
  .argument('<target>', 'node, pod, namespace/pod or node/container')
  .argument('<command...>', 'after --; @NAME stands for the address of a pod, container or node')
  .option('-i, --stdin', 'let it read the standard input, to its end: iptables-restore, nc, sh, …')
  .addOption(labOption())
  .passThroughOptions()
  .action(
    exits((target: string, argv: string[], options: { lab?: string; stdin?: true }) =>
      withLab(options.lab, async (lab) => {
        const words = argv[0] === '--' ? argv.slice(1) : argv;
        const place = await resolveTarget(lab, target);
        const line = await withAddresses(lab, words, place);
        return execIn(lab, place, line, options.stdin ? await readStdin() : undefined);
      }),
    ),
  );

program
  .command('docker')
  .description('the docker client of a node: run, ps, rm, exec, inspect, port, network …')
  .argument('<node>')
  .argument('[command...]', 'after --, as in: reroute docker n1 -- run -d -p 8080:80 nginx')
  .addOption(labOption())
  .passThroughOptions()
  .action(
    exits((node: string, argv: string[], options: { lab?: string }) =>
      withLab(options.lab, async (lab) => {
        const words = argv[0] === '--' ? argv.slice(1) : argv;
        const place = await resolveTarget(lab, node);
        const line = ['docker', ...(await withAddresses(lab, words, place))];
        return execIn(lab, place, line, await dockerStdin(words));
      }),
    ),
  );

program
  .command('openflow')
  .description(
    'ask an OpenFlow controller: switches, role, flows SWITCH, add-flow|mod-flows|del-flows SWITCH FLOW, packet-out SWITCH IN_PORT ACTIONS FRAME',
  )
  .argument('<controller>')
  .argument('<words...>', "as in: reroute openflow ctl add-flow s1 'priority=10,in_port=1,actions=output:2'")
  .option('--strict', 'change or delete the one flow of this priority and match')
  .addOption(labOption())
  .action(
    exits((controller: string, words: string[], options: { lab?: string; strict?: true }) =>
      withLab(options.lab, (lab) => openflow(lab, controller, words, options.strict ? 'strict' : 'covered')),
    ),
  );

program
  .command('show')
  .description("show a node's BGP and BFD: summary, neighbors, why a route won, and birdc's own words")
  .argument('<node>')
  .argument(
    '<what...>',
    'bgp summary|neighbors [PEER]|route PREFIX|protocols|route|status …; bfd; calico for calicoctl node status',
  )
  .addOption(labOption())
  .passThroughOptions()
  .action(
    exits((node: string, what: string[], options: { lab?: string }) =>
      withLab(options.lab, async (lab) => {
        const [topic, ...words] = what;
        if (topic !== 'bgp' && topic !== 'bfd' && topic !== 'calico') {
          process.stderr.write(`reroute: show knows bgp, bfd and calico, not '${topic}'\n`);
          return PLAIN;
        }
        // One prefix alone asks why: birdc's own `show route PREFIX` is there with `exec NODE -- birdc`.
        const why = words[0] === 'route' && words.length === 2 ? ['why', words[1] ?? ''] : words;
        const bird = ['birdc', 'show', ...(why.length === 0 ? ['protocols'] : why)];
        const bfd = ['birdc', 'show', 'bfd', ...(words.length === 0 ? ['sessions'] : words)];
        const argv = topic === 'calico' ? ['calicoctl', 'node', 'status'] : topic === 'bfd' ? bfd : bird;
        return execIn(lab, await resolveTarget(lab, node), argv);
      }),
    ),
  );

program
  .command('trace')
  .description('follow one packet and its answer: hooks, rules, routes, neighbours, tunnels, on every node')
  .argument(
    '<ends...>',
    'SOURCE TARGET[:PORT]: a node, pod or node/container, and an address, pod or node/container; without a port a ping',
  )
  .option('--udp', 'a datagram in the place of a SYN')
  .option('--icmp', 'an echo request, whatever the port')
  .option('--all', 'with the copies of broadcasts that end elsewhere')
  .option('-6, --ipv6', 'to the IPv6 address that a pod has')
  .addOption(
    new Option('--within <duration>', 'give up waiting after').argParser(duration).default(5_000, '5s'),
  )
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .addOption(labOption())
  .action(
    exits((words: string[], options: TraceOptions & { lab?: string }) =>
      withLab(options.lab, (lab) => trace(lab, words, options)),
    ),
  );

program
  .command('kill')
  .description("end a node's process; peers see their connections reset")
  .argument('<node>')
  .option('--silent', 'as a power cut: no reset, the hold timers decide')
  .addOption(labOption())
  .action(
    exits((node: string, options: { lab?: string; silent?: true }) =>
      withLab(options.lab, async (lab) => {
        await lab.act({ type: 'kill', node, how: options.silent ? 'silent' : 'reset' });
        write(`node ${node} is down\n`);
      }),
    ),
  );

program
  .command('start')
  .description('start a node that is down, with what its disk holds')
  .argument('<node>')
  .addOption(labOption())
  .action(
    exits((node: string, options: { lab?: string }) =>
      withLab(options.lab, async (lab) => {
        await lab.act({ type: 'start', node });
        write(`node ${node} is running\n`);
      }),
    ),
  );

addWireCommands(program);

program
  .command('wait')
  .description('wait until the lab is quiescent')
  .option('--converged', 'what there is to wait for')
  .addOption(new Option('--within <duration>', 'fail after').argParser(duration).default(60_000, '1m'))
  .addOption(labOption())
  .action(
    exits((options: { lab?: string; within: number }) =>
      withLab(options.lab, async (lab) => {
        const result = await waitConverged(lab, { within: options.within, since: await baseline(lab) });
        write(waitText(result, options.within));
        if (!result.converged) write((await oscillationLines(lab)).map((line) => `${line}\n`).join(''));
        return result.converged ? 0 : PLAIN;
      }),
    ),
  );

program
  .command('churn')
  .description('replace pods at a steady rate while probes run between pods')
  .requiredOption('--pods <selector>', 'pods to replace, as app=web')
  .addOption(new Option('--rate <rate>', 'replacements').argParser(rate).default(5, '5/s'))
  .addOption(new Option('--for <duration>', 'how long').argParser(duration).default(30_000, '30s'))
  .addOption(new Option('--probes <count>', 'probes that run meanwhile').argParser(count).default(8))
  .addOption(
    new Option('--every <duration>', 'time between packets of a probe')
      .argParser(duration)
      .default(50, '50ms'),
  )
  .addOption(seed())
  .addOption(labOption())
  .action(
    exits(
      (options: {
        lab?: string;
        pods: string;
        rate: number;
        for: number;
        probes: number;
        every: number;
        seed: number;
      }) => churnCommand({ ...options, duration: options.for, interval: options.every }),
    ),
  );

program
  .command('chaos')
  .description('run a file of faults, probes and expectations')
  .command('run')
  .argument('<file>')
  .option('--simulate <lab>', 'on a simulated lab of this file')
  .addOption(seed())
  .addOption(labOption())
  .action(
    exits((file: string, options: { lab?: string; simulate?: string; seed: number }) =>
      chaosRun(file, options),
    ),
  );

program
  .command('log')
  .description('print the events of a lab, also of one that is down')
  .argument('[lab]')
  .option('--node <node>', 'only of this node; orchestrator for what was done to the lab')
  .option('-f, --follow', 'go on as they come')
  .addOption(new Option('-o, --output <format>').choices(['table', 'json']).default('table'))
  .addOption(labOption())
  .action(
    exits((name: string | undefined, options: LogOptions & { lab?: string }) =>
      log(name ?? options.lab, options),
    ),
  );

program
  .command('capture')
  .description('write what passes links and devices to a pcapng file, for Wireshark')
  .argument('[target...]', 'a link (reroute get links), node:device or pod:device; all links without one')
  .requiredOption('-w, --write <file>', 'where to; - is standard output, as in -w - | tshark -r -')
  .option('-f, --filter <filter>', "what to keep, in tcpdump's words: tcp port 179 and host @web-1", '')
  .addOption(new Option('--for <duration>', 'end after').argParser(duration))
  .addOption(new Option('-c, --count <packets>', 'end after so many').argParser(atLeastOne))
  .addOption(
    new Option('-s, --snap-length <bytes>', 'most to keep of a frame').argParser(atLeastOne).default(262_144),
  )
  .option('--causes', 'with the event that caused each frame, as its comment')
  .option(
    '--exec <command>',
    'run it meanwhile and end after it, as in "web-1 ping -c 3 @web-2"; may be repeated',
    (line: string, lines: readonly string[]) => [...lines, line],
    [],
  )
  .option('--simulate <lab>', 'of a simulated lab of this file, from its boot on')
  .option('--recorded', 'what the lab has recorded, running or down; its lab file says `record: frames`')
  .option(
    '--from <moment>',
    'with --recorded: from a time (+1s since the start, or ISO 8601) or an event (n1:42) on',
  )
  .option('--to <moment>', 'with --recorded: up to a moment')
  .addOption(labOption())
  .action(exits((targets: string[], options: CaptureCliOptions) => capture(targets, options)));

program
  .command('bgp')
  .description("tell a node's BGP: announce, withdraw, refresh, reset, disable, enable, import, export")
  .argument('<node>')
  .argument('<what...>', 'announce PREFIX; export PEER [POLICY…], without a policy for none; …')
  .option('--message <text>', "with disable: for the peer's operator (RFC 9003)")
  .addOption(new Option('--family <family>', 'with refresh').choices(['ipv4', 'ipv6']).default('ipv4'))
  .addOption(labOption())
  .action(exits((node: string, what: string[], options: BgpCliOptions) => bgp(node, what, options)));

program
  .command('dump')
  .description("write a node's BGP tables, or its messages, as MRT (RFC 6396)")
  .argument('<node>')
  .requiredOption('--mrt <file>', 'where to; compressed if it ends in .gz')
  .option('--updates', 'every message and change of state (BGP4MP_ET) in the place of the table')
  .addOption(labOption())
  .action(exits((node: string, options: DumpOptions) => dump(node, options)));

program
  .command('policy')
  .description('what import and export policies do')
  .command('test')
  .description('a dry run: which terms match a route, what they set, whether it is accepted')
  .argument('<file>', 'lab file')
  .argument('<node>')
  .argument('<peer>')
  .argument('<direction>', 'in or out')
  .argument('<prefix>')
  .option('--as-path <path>', "'65001 65002'; the peer's AS if not given")
  .option('--communities <list>', '65000:1,no-export,65000:1:2,rt:65000:1')
  .option('--med <n>')
  .option('--local-pref <n>')
  .option('--next-hop <address>')
  .option('--origin <origin>', 'igp, egp or incomplete')
  .option('--from <peer>', 'for out: the peer that it was learned from')
  .action(
    exits(
      (
        file: string,
        node: string,
        peer: string,
        direction: string,
        prefix: string,
        options: PolicyTestOptions,
      ) => policyTest(file, node, peer, direction, prefix, options),
    ),
  );

program
  .command('verify')
  .description("fold every node's log and compare it with the live state")
  .argument('[lab]')
  .addOption(labOption())
  .action(exits((name: string | undefined, options: { lab?: string }) => verify(name ?? options.lab)));

program
  .command('demo')
  .description('the demo lab: launch, ping, kill a node, reconverge, end')
  .action(exits(() => demo()));

/** Who used a command wrongly is sent to its own help. */
function pointToHelp(parent: Command, path: string): void {
  for (const command of parent.commands) {
    const name = `${path} ${command.name()}`;
    command.showHelpAfterError(`(${name} --help tells how it is used)`);
    pointToHelp(command, name);
  }
}
pointToHelp(program, 'reroute');
