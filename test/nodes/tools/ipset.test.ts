import { readFileSync } from 'node:fs';
import test from 'ava';
import type { KernelEvent } from '../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { runIpset } from '../../../nodes/tools/ipset/ipset.ts';
import { runIptables } from '../../../nodes/tools/iptables/iptables.ts';
import { split } from '../../../nodes/tools/iptables/restore.ts';
import { type Host, Network } from '../../support/network.ts';
import { routed, udpClient, udpEcho } from '../kernel/netfilter/lab.ts';

function folds(t: { deepEqual(a: unknown, b: unknown): void }, { rt, kernel }: Host): void {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as KernelEvent);
  t.deepEqual(fold.view(), kernel.snapshot());
}

/**
 * Without what chance decides: the seed of a hash, by it the order of elements, and the second in
 * which a time was looked at.
 */
function settled(text: string): string {
  const lines = text
    .replaceAll(/initval 0x[0-9a-f]{8}/g, 'initval SEED')
    .replaceAll(/ timeout (\d+)/g, (_, seconds) => ` timeout ${Math.ceil(Number(seconds) / 10) * 10}`)
    .split('\n');
  const isElement = (line: string) => line.startsWith('add ') || /^[\d:]/.test(line);
  for (let from = 0; from < lines.length; from++) {
    let to = from;
    while (to < lines.length && isElement(lines[to]!)) to++;
    lines.splice(from, to - from, ...lines.slice(from, to).sort());
    from = Math.max(from, to - 1);
  }
  return lines.join('\n');
}

const replays = test.macro((t, file: string, least: number) => {
  const recorded = readFileSync(new URL(file, import.meta.url), 'utf8');
  const steps = recorded.split(/^(?=\$ ipset )/m);
  t.true(steps.length > least);
  const a = new Network().host('a');
  for (const step of steps) {
    const line = step.slice(0, step.indexOf('\n'));
    const { code, stdout, stderr } = runIpset(a.kernel.root, split(line.slice('$ ipset '.length)));
    t.is(settled(`${line}\n${stdout}${stderr}rc=${code}\n`), settled(step));
    folds(t, a);
  }
});

test('a session of ipset 7.17', replays, './ipset-7.17.session.txt', 100);
test('a session of ipset 7.17 about IPv6', replays, './ipset-7.17.ipv6-session.txt', 45);

test('what is saved is restored; an error names its line', (t) => {
  const a = new Network().host('a');
  const ns = a.kernel.root;
  const text = 'create x hash:net comment\nadd x 10.0.0.0/8\nadd x 10.9.0.0/16 nomatch comment "not here"\n';
  t.is(runIpset(ns, ['restore'], text).code, 0);
  const b = new Network().host('b');
  const { stdout } = runIpset(ns, ['save']);
  t.is(runIpset(b.kernel.root, ['restore'], stdout).code, 0);
  t.is(settled(runIpset(b.kernel.root, ['save']).stdout), settled(stdout));
  t.deepEqual(runIpset(ns, ['restore'], '# again\nadd x 10.0.0.0/8\n'), {
    code: 1,
    stdout: '',
    stderr: "ipset v7.17: Error in line 2: Element cannot be added to the set: it's already added\n",
  });
  t.is(runIpset(ns, ['restore', '-exist'], text).code, 0);
  folds(t, b);
});

test('elements go when their time is over', (t) => {
  const net = new Network();
  const a = net.host('a');
  const ns = a.kernel.root;
  for (const line of ['create x hash:ip timeout 5', 'add x 10.0.0.1', 'add x 10.0.0.2 timeout 60'])
    runIpset(ns, line.split(' '));
  net.advance(4_000);
  t.is(runIpset(ns, ['-exist', 'add', 'x', '10.0.0.1', 'timeout', '9']).code, 0);
  net.advance(8_000);
  t.is(runIpset(ns, ['test', 'x', '10.0.0.1']).code, 0);
  net.advance(2_000);
  t.is(runIpset(ns, ['test', 'x', '10.0.0.1']).code, 1);
  t.is(runIpset(ns, ['test', 'x', '10.0.0.2']).code, 0);
  folds(t, a);
});

/** A router whose FORWARD drops what a set holds; which of some destinations and ports are reached. */
function forwarding(type: string, elements: readonly string[], match: string) {
  const { net, a, r, b, c } = routed();
  const ns = r.kernel.root;
  runIpset(ns, ['create', 'x', ...type.split(' ')]);
  for (const element of elements) runIpset(ns, ['add', 'x', ...element.split(' ')]);
  const { code, stderr } = runIptables(ns, `-A FORWARD ${match} -j DROP`.split(' '));
  if (code !== 0) throw new Error(stderr);
  const seen = [b, c].map(({ kernel }) => [53, 54].map((port) => udpEcho(kernel.root, port).seen));
  const client = udpClient(a.kernel.root, 40_000);
  for (const dst of ['10.0.2.2', '10.0.2.3'])
    for (const port of [53, 54]) {
      client.send(dst, port, 'x');
      net.advance(2_000);
    }
  const reached = ['10.0.2.2', '10.0.2.3'].flatMap((dst, i) =>
    [53, 54].flatMap((port, j) => (seen[i]![j]!.length > 0 ? [`${dst}:${port}`] : [])),
  );
  return { reached, r, ns };
}

const SETS: readonly [string, string[], string, string[]][] = [
  ['hash:ip', ['10.0.2.2'], '-m set --match-set x dst', ['10.0.2.3:53', '10.0.2.3:54']],
  ['hash:ip', ['10.0.2.2'], '-m set --match-set x src', ALL()],
  ['hash:ip', ['10.0.2.2'], '-m set ! --match-set x dst', ['10.0.2.2:53', '10.0.2.2:54']],
  ['hash:ip netmask 24', ['10.0.1.0'], '-m set --match-set x src', []],
  [
    'hash:net',
    ['10.0.2.0/24', '10.0.2.3 nomatch'],
    '-m set --match-set x dst',
    ['10.0.2.3:53', '10.0.2.3:54'],
  ],
  [
    'hash:net',
    ['10.0.2.0/24', '10.0.2.3 nomatch'],
    '-m set --match-set x dst --return-nomatch',
    ['10.0.2.2:53', '10.0.2.2:54'],
  ],
  [
    'hash:ip,port',
    ['10.0.2.2,udp:53'],
    '-m set --match-set x dst,dst',
    ['10.0.2.2:54', '10.0.2.3:53', '10.0.2.3:54'],
  ],
  ['hash:ip,port', ['10.0.2.2,tcp:53'], '-m set --match-set x dst,dst', ALL()],
  ['hash:ip,port', ['10.0.2.2,udp:53'], '-m set --match-set x dst', ALL()],
  [
    'hash:ip,port,ip',
    ['10.0.2.2,udp:54,10.0.1.2'],
    '-m set --match-set x dst,dst,src',
    ['10.0.2.2:53', '10.0.2.3:53', '10.0.2.3:54'],
  ],
  [
    'hash:ip,port,net',
    ['10.0.1.2,udp:54,10.0.2.2/31'],
    '-m set --match-set x src,dst,dst',
    ['10.0.2.2:53', '10.0.2.3:53'],
  ],
  ['hash:net,iface', ['10.0.1.0/24,eth0'], '-m set --match-set x src,src', []],
  ['hash:net,iface', ['10.0.1.0/24,eth0'], '-m set --match-set x src,dst', ALL()],
  ['bitmap:port range 50-60', ['54'], '-m set --match-set x dst', ['10.0.2.2:53', '10.0.2.3:53']],
  ['bitmap:ip range 10.0.2.0/24', ['10.0.2.3'], '-m set --match-set x dst', ['10.0.2.2:53', '10.0.2.2:54']],
];

function ALL(): string[] {
  return ['10.0.2.2:53', '10.0.2.2:54', '10.0.2.3:53', '10.0.2.3:54'];
}

for (const [type, elements, match, expected] of SETS)
  test(`${type} of ${elements.join(' and ')}: ${match}`, (t) => {
    const { reached, r } = forwarding(type, elements, match);
    t.deepEqual(reached, expected);
    folds(t, r);
  });

test('a set counts what it held; rules keep it from going', (t) => {
  const { ns, r } = forwarding('hash:ip counters', ['10.0.2.2'], '-m set --match-set x dst');
  t.regex(runIpset(ns, ['list', 'x']).stdout, /References: 1\n(.*\n)*10\.0\.2\.2 packets 2 bytes 58\n/);
  t.is(runIpset(ns, ['destroy', 'x']).code, 1);
  runIptables(ns, ['-F']);
  t.is(runIpset(ns, ['destroy', 'x']).code, 0);
  t.deepEqual(runIptables(ns, '-A INPUT -m set --match-set x src'.split(' ')).code, 2);
  folds(t, r);
});

test('a set of sets holds what any of them holds; swapping names changes what rules see', (t) => {
  const { kernel } = new Network().host('a');
  const ns = kernel.root;
  for (const line of [
    'create x hash:ip',
    'create y hash:ip',
    'create all list:set',
    'add all x',
    'add all y',
    'add y 10.0.0.9',
  ])
    t.is(runIpset(ns, line.split(' ')).code, 0);
  t.is(ns.ipsets.references('y'), 1);
  t.is(runIpset(ns, ['swap', 'x', 'y']).code, 0);
  t.is(runIpset(ns, ['test', 'x', '10.0.0.9']).code, 0);
  t.is(runIpset(ns, ['destroy', 'x']).code, 1);
});
