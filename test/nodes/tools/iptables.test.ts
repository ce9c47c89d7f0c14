import { readFileSync } from 'node:fs';
import test from 'ava';
import type { KernelEvent } from '../../../nodes/events/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { runIptables, saveTables } from '../../../nodes/tools/iptables/iptables.ts';
import { type RestoreOptions, restoreText, split } from '../../../nodes/tools/iptables/restore.ts';
import { type Host, Network } from '../../support/network.ts';

const PLAIN: RestoreOptions = { flush: 'flush', counters: 'ignore', commit: 'commit' };

function host(): Host {
  return new Network().host('a');
}

/** Asserts that the fold of the events is the kernel's state. */
function folds(t: { deepEqual(a: unknown, b: unknown): void }, { rt, kernel }: Host): void {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as KernelEvent);
  t.deepEqual(fold.view(), kernel.snapshot());
}

test('a session of iptables 1.8.9 (legacy), to the byte', (t) => {
  const recorded = readFileSync(new URL('./iptables-1.8.9.session.txt', import.meta.url), 'utf8');
  const steps = recorded.split(/^(?=\$ iptables )/m);
  t.true(steps.length > 200);
  const a = host();
  for (const step of steps) {
    const line = step.slice(0, step.indexOf('\n'));
    const { code, stdout, stderr } = runIptables(a.kernel.root, split(line.slice('$ iptables '.length)));
    t.is(`${line}\n${stdout}${stderr}rc=${code}\n`, step);
  }
  folds(t, a);
});

const RULES = `*filter
:INPUT DROP [7:8]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:WEB - [0:0]
[3:4] -A INPUT -p tcp -m tcp --dport 80 -j WEB
[0:0] -A WEB -m comment --comment "say \\"hi\\"" -j ACCEPT
[5:6] -A WEB -j LOG --log-prefix "a b "
COMMIT
`;

function saved({ kernel }: Host, counters: 'with' | 'without'): string {
  return saveTables(kernel.root.xtables, kernel.rt.now, 'filter', counters).replace(/^#.*\n/gm, '');
}

test('what is saved is restored, with its counters where they are asked for', (t) => {
  const a = host();
  t.deepEqual(restoreText(a.kernel.root.xtables, RULES, { ...PLAIN, counters: 'restore' }), {
    code: 0,
    stderr: '',
  });
  t.is(saved(a, 'with'), RULES);
  restoreText(a.kernel.root.xtables, RULES, PLAIN);
  t.is(saved(a, 'with'), RULES.replace('[7:8]', '[0:0]').replace('[3:4]', '[0:0]').replace('[5:6]', '[0:0]'));
  folds(t, a);
});

test('--noflush adds, and empties the chains that the text names', (t) => {
  const a = host();
  const { xtables } = a.kernel.root;
  restoreText(xtables, RULES, PLAIN);
  const more = '*filter\n:WEB - [0:0]\n:NEW - [0:0]\n-A WEB -j NEW\n-A NEW -s 10.0.0.0/8 -j DROP\nCOMMIT\n';
  t.is(restoreText(xtables, more, { ...PLAIN, flush: 'noflush' }).code, 0);
  t.is(
    saved(a, 'without').replace(/\[\d+:\d+\]/g, '[]'),
    `*filter
:INPUT DROP []
:FORWARD ACCEPT []
:OUTPUT ACCEPT []
:NEW - []
:WEB - []
-A INPUT -p tcp -m tcp --dport 80 -j WEB
-A NEW -s 10.0.0.0/8 -j DROP
-A WEB -j NEW
COMMIT
`,
  );
  folds(t, a);
});

test('a table is changed wholly or not at all, and the line at fault is named', (t) => {
  const a = host();
  const { xtables } = a.kernel.root;
  restoreText(xtables, RULES, PLAIN);
  const before = saved(a, 'without');
  const fails = (text: string, code: number, stderr: RegExp, options = PLAIN) => {
    const result = restoreText(xtables, text, options);
    t.is(result.code, code, text);
    t.regex(result.stderr, stderr);
    t.is(saved(a, 'without'), before);
  };
  fails('*filter\n-A INPUT -j ACCEPT\n-A NOPE -j DROP\nCOMMIT\n', 1, /^iptables-restore: line 3 failed\n$/);
  fails(
    '*filter\n-A INPUT -j NOPE\nCOMMIT\n',
    2,
    /Couldn't load target `NOPE'.*\n\nError occurred at line: 2\nTry `iptables-restore -h'/,
  );
  fails('*filter\n-A INPUT -j ACCEPT\n', 1, /^iptables-restore: COMMIT expected at line 3\n$/);
  fails('nonsense\n', 1, /^iptables-restore: line 1 failed\n$/);
  fails(
    '*filter\n:INPUT FOO [0:0]\nCOMMIT\n',
    1,
    /Can't set policy `FOO' on `INPUT' line 2: Bad policy name/,
  );
  fails('*nope\nCOMMIT\n', 2, /unable to initialize table 'nope'\nError occurred at line: 1/);
  fails('*filter\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A B -j A\n-A INPUT -j A\nCOMMIT\n', 1, /line 7 failed/);
  fails('*filter\n-A INPUT -j ACCEPT\nCOMMIT\n', 0, /^$/, { ...PLAIN, commit: 'test' });
});

test('a chain that is renamed keeps its rules and those that lead to it', (t) => {
  const a = host();
  restoreText(a.kernel.root.xtables, RULES, PLAIN);
  t.is(runIptables(a.kernel.root, ['-E', 'WEB', 'HTTP']).code, 0);
  t.regex(saved(a, 'without'), /--dport 80 -j HTTP\n-A HTTP -m comment/);
  folds(t, a);
});

test('a table costs nothing before its first use', (t) => {
  const a = host();
  t.false(a.kernel.root.netfilter.active);
  t.is(runIptables(a.kernel.root, ['-A', 'NOPE', '-j', 'ACCEPT']).code, 1);
  t.is(runIptables(a.kernel.root, ['-V']).stdout, 'iptables v1.8.9 (legacy)\n');
  t.is(runIptables(a.kernel.root, ['-t', 'raw', '-A', 'PREROUTING', '-j', 'TRACE']).code, 0);
  t.true(a.kernel.root.netfilter.active);
});
