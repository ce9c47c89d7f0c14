import { type Command, Option } from 'commander';
import { portsOf } from '../ports.ts';
import { exits, labOption, PLAIN } from './arguments.ts';
import { withLab } from './attach.ts';
import { liveViews } from './get.ts';
import { write } from './output.ts';
import { changePorts, netemChanges, showPorts, type TcOptions } from './tc.ts';

/** `reroute link` and `reroute tc`: what is done to wires. */
export function addWireCommands(program: Command): void {
  const link = program
    .command('link')
    .description('pull a cable, plug it in again; carry nothing in a direction');
  for (const carrier of ['down', 'up'] as const) {
    link
      .command(carrier)
      .description(carrier === 'down' ? 'pull the cable: both ends lose their carrier' : 'plug it in again')
      .argument('<end>', 'node:interface, as n1:eth0')
      .addOption(labOption())
      .action(
        exits((end: string, options: { lab?: string }) =>
          withLab(options.lab, async (lab) => {
            const [node = '', device = ''] = end.split(':');
            if (node === '' || device === '') {
              process.stderr.write(`reroute: '${end}' is no end of a link; write it like n1:eth0\n`);
              return PLAIN;
            }
            await lab.act({ type: 'link', node, device, carrier });
            write(`${end} is ${carrier}\n`);
            return 0;
          }),
        ),
      );
  }

  link
    .command('cut')
    .description(
      'carry nothing in a direction, with the cable in: what a broken transceiver or a firewall does',
    )
    .argument('<port>', 'node:interface, a link, or a node for all of its interfaces')
    .addOption(
      new Option('--direction <direction>', 'seen from the port')
        .choices(['in', 'out', 'both'])
        .default('both'),
    )
    .addOption(labOption())
    .action(
      exits((target: string, options: { lab?: string; direction: 'in' | 'out' | 'both' }) =>
        withLab(options.lab, (lab, home) =>
          changePorts(lab, home.compiled(), target, { op: 'cut', cut: options.direction }),
        ),
      ),
    );
  link
    .command('mend')
    .description('carry both directions again')
    .argument('<port>')
    .addOption(labOption())
    .action(
      exits((target: string, options: { lab?: string }) =>
        withLab(options.lab, (lab, home) =>
          changePorts(lab, home.compiled(), target, { op: 'cut', cut: 'none' }),
        ),
      ),
    );

  const tc = program
    .command('tc')
    .description("delay, lose, double, spoil, slow down what ports send: tc's netem");
  tc.command('set')
    .description('change some of it; what is not named stays')
    .argument('<port>', 'node:interface, a link for both of its ends, or a node for all of its interfaces')
    .argument(
      '[netem...]',
      'in words of tc-netem(8): netem delay 100ms 10ms distribution normal loss gemodel 1% 10%',
    )
    .option('--delay <duration>')
    .option('--jitter <duration>')
    .option('--distribution <name>', 'of the jitter: uniform, normal, pareto, paretonormal')
    .option('--loss <share>', '10 or 10%, or a model: "gemodel 1% 10%", "state 1%"')
    .option('--duplicate <share>')
    .option('--reorder <share>')
    .option('--corrupt <share>', 'a flipped bit (containerlab: --corruption)')
    .addOption(new Option('--corruption <share>').hideHelp())
    .option('--rate <rate>', '10mbit; a bare number is kbit/s')
    .option('--limit <packets>', 'that may wait')
    .addOption(labOption())
    .action(
      exits((target: string, words: string[], options: TcOptions & { lab?: string }) =>
        withLab(options.lab, async (lab, home) => {
          const changes = netemChanges(options, words);
          await changePorts(lab, home.compiled(), target, { op: 'netem', changes });
        }),
      ),
    );
  tc.command('show')
    .description('what is set, and what is cut')
    .argument('[port]', 'all without one')
    .addOption(labOption())
    .action(
      exits((target: string | undefined, options: { lab?: string }) =>
        withLab(options.lab, async (lab, home) => {
          const compiled = home.compiled();
          const all = compiled.nodes.flatMap(({ name }) => portsOf(compiled, name));
          showPorts(target === undefined ? all : portsOf(compiled, target), await liveViews(lab, {}));
        }),
      ),
    );
  tc.command('reset')
    .description('no netem, whatever the lab file says')
    .argument('<port>')
    .addOption(labOption())
    .action(
      exits((target: string, options: { lab?: string }) =>
        withLab(options.lab, (lab, home) => changePorts(lab, home.compiled(), target, { op: 'reset' })),
      ),
    );
}
