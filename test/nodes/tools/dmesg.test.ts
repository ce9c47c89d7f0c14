import test from 'ava';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

/** A router that logs and traces what is sent to its port 99, and what has been sent there a second and a half after its boot. */
function logged() {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  run(['iptables', '-A', 'INPUT', '-p', 'udp', '-j', 'LOG', '--log-prefix', 'in: '], root);
  run('iptables -A INPUT -p tcp -j LOG --log-level info', root);
  run('iptables -t raw -A PREROUTING -p tcp -j TRACE', root);
  net.advance(1_500);
  run('nc -u -z -p 4000 10.0.1.1 99', a.kernel.root);
  run('nc -z -p 4000 10.0.1.1 99', a.kernel.root);
  net.advance(100);
  return { net, root };
}

test('dmesg has the lines of LOG and TRACE with the seconds since the boot', (t) => {
  const { root } = logged();
  const lines = run('dmesg', root).text.split('\n');
  const first = lines.find((line) => line.includes('in: '));
  t.regex(
    first ?? '',
    /^\[ {4}1\.[0-9]{6}\] in: IN=eth0 OUT= MAC=\S+ SRC=10\.0\.1\.2 DST=10\.0\.1\.1 .*PROTO=UDP SPT=4000 DPT=99/,
  );
  t.true(
    lines.some((line) => /\] TRACE: raw:PREROUTING:policy:2 IN=eth0 .*PROTO=TCP/.test(line)),
    lines.join('\n'),
  );
});

test('levels, as util-linux shows and picks them', (t) => {
  const { root } = logged();
  t.regex(run('dmesg -x -t -l info', root).text, /^kern {2}:info {2}: IN=eth0 .*PROTO=TCP.*\n$/);
  t.regex(run('dmesg --raw -l info', root).text, /^<6>\[ {4}1\./);
  t.is(run('dmesg -l foo', root).text, "dmesg: unknown level 'foo'\n");
  t.is(
    run('dmesg --foo', root).text,
    "dmesg: unrecognized option '--foo'\nTry 'dmesg --help' for more information.\n",
  );
});

test('-c shows and forgets', (t) => {
  const { root } = logged();
  t.not(run('dmesg -c', root).text, '');
  t.is(run('dmesg', root).text, '');
});
