import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, send, show } from './case.ts';
import { icmpEcho, packet4 } from './frames4.ts';
import { PORTS } from './stacked.ts';

const ping = packet4({ src: '10.0.0.2', dst: '10.0.0.1', to: PORTS[0]!.mac, upper: icmpEcho('request', 58) });

/** Without handles, which the kernel numbers, how often the device was busy, and tc's usage. */
function ofTc(text: string): string {
  return text
    .replaceAll(/ 8[\da-f]{3}:/g, ' 8000:')
    .replaceAll(/ requeues \d+/g, '')
    .replaceAll(/^(Usage:|\t| {3,}).*\n?/gm, '')
    .replaceAll(/ +$/gm, '')
    .trim();
}

/** Commands one after the other in one shell. */
const script = (...lines: readonly string[]): CaseStep => show(`sh -c "${lines.join('; ')}"`, ofTc);
/** The settings after each change. */
const changes = (...words: readonly string[]): CaseStep =>
  script(
    ...words.flatMap((change) => [`tc qdisc change dev p0 root netem ${change}`, 'tc qdisc show dev p0']),
  );
const HOST = [
  'ip addr add 10.0.0.1/24 dev p0',
  'ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev p0 nud permanent',
];

/** What netem does that is no matter of chance or time, and what tc says of it. */
export const netemCases: CaseGroup = {
  name: 'netem',
  kernel: 'guest',
  ports: PORTS.slice(0, 1),
  settle: settleIpId,
  cases: [
    {
      name: 'tc shows what netem is to do, and of what a change does not name some stays',
      setUp: ['tc qdisc add dev p0 root netem'],
      steps: [
        changes(
          '',
          'delay 10ms 2ms 25%',
          'loss 1%',
          'loss 1% 25%',
          'loss 2%',
          'loss gemodel 1% 10% 70% 0.1%',
          'loss gemodel 1%',
          'loss state 1% 10%',
          'loss state 1%',
          'duplicate 1% 50% corrupt 0.1% 3%',
          'duplicate 2%',
        ),
        changes(
          'corrupt 12.345%',
          'delay 10ms reorder 25% 50%',
          'delay 10ms reorder 25% gap 5',
          'rate 10mbit',
          'rate 1000kbit limit 50',
          'limit 7',
          'delay 10ms 2ms distribution normal',
          'delay 1.5s',
          'delay 250us 100',
          'loss 100%',
          'loss random 33.3%',
          'loss 0.001%',
        ),
      ],
    },
    {
      name: 'tc refuses what it cannot read, and what is there or is not',
      setUp: [],
      steps: [
        script(
          'tc qdisc change dev p0 root netem limit 7',
          'tc qdisc del dev p0 root',
          'tc qdisc replace dev p0 root netem limit 7',
          'tc qdisc add dev p0 root netem',
          'tc qdisc replace dev p0 root netem delay 3ms',
          'tc qdisc show dev p0',
          'tc q s dev p0',
          'tc -s qdisc show dev p0',
          'tc qdisc add dev p9 root netem',
          'tc qdisc add root netem',
          'tc qdisc add dev p0',
          'tc qdisc add dev p0 netem delay 3ms',
          'tc qdisc add dev p0 root nonsense',
        ),
        script(
          ...[
            ...['reorder 25%', 'gap 3', 'distribution normal', 'loss', 'loss x', 'loss 101%', 'loss -1%'],
            ...['delay x', 'delay', 'rate x', 'limit x', 'foo', 'duplicate', 'corrupt x', 'gap x'],
          ].map((words) => `tc qdisc change dev p0 root netem ${words}`),
          'tc qdisc del dev p0 root netem',
          'tc qdisc del dev p0 root netem',
          'tc qdisc foo',
          'tc foo',
        ),
      ],
    },
    {
      name: 'netem loses all or nothing, doubles, and drops what there is no room for',
      setUp: [...HOST, 'tc qdisc add dev p0 root netem'],
      steps: [
        '',
        'loss 100%',
        'loss 0%',
        'duplicate 100%',
        'duplicate 100% loss 100%',
        'limit 0',
        'delay 100s reorder 100%',
        'delay 100s reorder 100% gap 2',
      ]
        .flatMap((words) => [
          show(`tc qdisc change dev p0 root netem ${words}`.trim(), ofTc),
          send(0, ping, ping, ping),
          show('tc -s qdisc show dev p0', ofTc),
        ])
        .concat(
          show('tc qdisc del dev p0 root', ofTc),
          send(0, ping),
          show('tc qdisc add dev p0 root netem rate 8bit limit 2', ofTc),
          send(0, ping, ping, ping),
          show('tc -s qdisc show dev p0', ofTc),
        ),
    },
  ],
};
