import test from 'ava';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

function router() {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  const pod = r.kernel.addNetns('pod');
  root.addDummy({ name: 'flannel.1', mac: 2, mtu: 1450 });
  return { net, a, root, pod };
}

test('reads and writes, by dots or by slashes', (t) => {
  const { root } = router();
  t.is(run('sysctl net.ipv4.ip_forward', root).text, 'net.ipv4.ip_forward = 1\n');
  t.is(run('sysctl -n net/ipv4/ip_forward', root).text, '1\n');
  t.is(run('sysctl -w net.ipv4.ip_forward=0', root).text, 'net.ipv4.ip_forward = 0\n');
  t.false(root.ipForward);
  t.is(run('sysctl -q net.ipv4.ip_forward=1', root).text, '');
  t.true(root.ipForward);
  t.is(run('sysctl -w net.ipv4.conf.flannel/1.proxy_arp=1', root).code, 0);
  t.is(root.device('flannel.1')?.conf.proxy_arp, 1);
  t.is(run('sysctl net/ipv4/conf/flannel.1/proxy_arp', root).text, 'net.ipv4.conf.flannel/1.proxy_arp = 1\n');
});

test('a router whose forwarding is switched off is one no more', (t) => {
  const { net, a, root } = router();
  run('sysctl -w net.ipv4.ip_forward=0', root);
  const ping = run('ping -n -c 1 -W 1 10.0.2.2', a.kernel.root);
  net.advance(5_000);
  t.is(ping.code, 1);
  t.is(root.kernel.drops.get('ip-not-for-us'), 1);
});

test('-a lists what there is; the limits of the neighbour table are the root namespace’s', (t) => {
  const { root, pod } = router();
  const all = run('sysctl -a', root).text.split('\n');
  for (const line of [
    'net.ipv4.conf.all.rp_filter = 0',
    'net.ipv4.conf.default.accept_source_route = 1',
    'net.ipv4.conf.flannel/1.proxy_arp = 0',
    'net.ipv4.conf.lo.disable_policy = 1',
    'net.ipv4.ip_default_ttl = 64',
    'net.ipv4.ip_local_port_range = 32768\t60999',
    'net.ipv4.neigh.default.gc_thresh1 = 128',
  ])
    t.true(all.includes(line), line);
  t.false(run('sysctl -a -N', pod).text.includes('gc_thresh'));
  t.is(
    run('sysctl -a -r conf.(all|lo).rp_filter', root).text,
    'net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.lo.rp_filter = 0\n',
  );
  const directory = run('sysctl net.ipv4.conf.flannel/1', root).text.trim().split('\n');
  t.is(directory.length, 33);
  t.true(directory.every((line) => line.startsWith('net.ipv4.conf.flannel/1.')));
});

test('what cannot be done is said, and the rest is done', (t) => {
  const { root } = router();
  const got = run('sysctl net.ipv4.nope net.ipv4.conf.*.proxy_arp net.ipv4.ip_forward', root);
  t.is(got.code, 1);
  t.is(got.streams.stdout, 'net.ipv4.ip_forward = 1\n');
  t.is(
    got.streams.stderr,
    `sysctl: cannot stat /proc/sys/net/ipv4/nope: No such file or directory
sysctl: cannot stat /proc/sys/net/ipv4/conf/*/proxy_arp: No such file or directory
`,
  );
  t.deepEqual(
    [run('sysctl -e net.ipv4.nope', root).text, run('sysctl -e net.ipv4.nope', root).code],
    ['', 0],
  );
  t.is(run('sysctl -w net.ipv4.ip_forward=0x10', root).text, 'net.ipv4.ip_forward = 0x10\n');
  t.is(run('sysctl -b net.ipv4.ip_forward', root).text, '16');
  t.is(run('sysctl', root).streams.stderr.split('\n')[0], 'sysctl: no variables specified');
  const invalid = run('sysctl -w net.ipv4.ip_forward=yes', root);
  t.is(invalid.text, 'sysctl: setting key "net.ipv4.ip_forward": Invalid argument\n');
  t.is(invalid.code, 1);
  t.is(
    run('sysctl -w net.ipv4.ip_forward', root).text,
    'sysctl: "net.ipv4.ip_forward" must be of the form name=value\n',
  );
  for (const line of ['sysctl', 'sysctl -z']) t.is(run(line, root).code, 1);
});
