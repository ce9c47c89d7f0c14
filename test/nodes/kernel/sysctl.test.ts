import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import { SysctlError } from '../../../nodes/kernel/sysctl.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';
import { run } from '../tools/support/run.ts';
import { routed } from '../tools/support/topology.ts';

function host() {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  const { root } = kernel;
  root.addDummy({ name: 'd0', mac: 2, mtu: 1500 });
  const check = (t: { deepEqual(a: unknown, b: unknown): unknown }) => {
    const fold = new KernelFold();
    for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
    t.deepEqual(fold.view(), kernel.snapshot());
    return kernel.snapshot().sysctls;
  };
  const written = () => rt.events.filter((event) => event.type === 'sysctl.set').length;
  return { kernel, root, check, written };
}

test('what is written is in the log and in the view, once a change', (t) => {
  const { kernel, root, check, written } = host();
  const pod = kernel.addNetns('pod');
  t.deepEqual(check(t), { '': [], pod: [] });
  root.ipForward = true;
  root.ipForward = true;
  root.setProxyArp('d0', 'on');
  pod.ipForward = false;
  t.is(written(), 2);
  t.deepEqual(check(t), {
    '': [
      { dev: '', name: 'ipv4.ip_forward', value: 1 },
      { dev: 'd0', name: 'ipv4.conf.*.proxy_arp', value: 1 },
    ],
    pod: [],
  });
  t.true(root.ipForward);
  root.ipForward = false;
  t.false(root.ipForward);
  t.like(check(t), { '': [{ name: 'ipv4.ip_forward', value: 0 }, { name: 'ipv4.conf.*.proxy_arp' }] });
});

test('a device takes its variables with it', (t) => {
  const { root, check } = host();
  root.setProxyArp('d0', 'on');
  root.removeDevice('d0');
  t.deepEqual(check(t), { '': [] });
  root.addDummy({ name: 'd0', mac: 2, mtu: 1500 });
  t.is(root.device('d0')?.conf.proxy_arp, 0);
  t.deepEqual(check(t), { '': [] });
});

test('a variable that is not there, and a value that is none, change nothing', (t) => {
  const { kernel, root, check } = host();
  t.throws(() => root.setProxyArp('d1', 'on'), { instanceOf: NetlinkError });
  for (const [dev, name, value] of [
    ['', 'ipv4.ip_forward', 2 ** 31],
    ['', 'ipv4.ip_forward', 0.5],
    ['', 'ipv4.ip_forward', '1'],
    ['', 'ipv4.ip_default_ttl', 0],
    ['', 'ipv4.ip_default_ttl', 256],
    ['', 'ipv4.icmp_echo_ignore_all', 2],
    ['', 'ipv4.ip_local_port_range', '3000\t2000'],
    ['', 'ipv4.neigh.default.gc_thresh3', 2 ** 31],
    ['', 'ipv4.no_such', 1],
    ['', 'ipv4.toString', 1],
    ['', 'ip_forward', 1],
    ['d0', 'ipv4.conf.*.ip_forward', 1],
    ['d1', 'ipv4.conf.*.proxy_arp', 1],
    ['', 'ipv4.conf.*.proxy_arp', 1],
  ] as const)
    t.throws(
      () => root.sysctls.set(name, value, dev),
      { instanceOf: SysctlError },
      `${dev} ${name} ${value}`,
    );
  // The limits of the neighbour table are the node's, not a pod's.
  const pod = kernel.addNetns('pod');
  t.throws(() => pod.sysctls.set('ipv4.neigh.default.gc_thresh3', 5), { instanceOf: SysctlError });
  t.deepEqual(check(t), { '': [], pod: [] });
});

test('a host that becomes a router does so on all devices, and stops to believe redirects (inet_forward_change)', (t) => {
  const { root, check } = host();
  const { sysctls } = root;
  const of = (name: string, dev: string) => sysctls.get(`ipv4.conf.*.${name}`, dev);
  sysctls.set('ipv4.conf.*.forwarding', 1, 'd0');
  root.ipForward = true;
  t.deepEqual(
    ['all', 'default', 'lo', 'd0'].map((dev) => of('forwarding', dev)),
    [1, 1, 1, 1],
  );
  t.deepEqual([of('accept_redirects', 'all'), of('accept_redirects', 'd0')], [0, 1]);
  root.addDummy({ name: 'd1', mac: 3, mtu: 1500 });
  t.is(of('forwarding', 'd1'), 1);
  // One variable by two names.
  sysctls.set('ipv4.conf.*.forwarding', 0, 'all');
  t.false(root.ipForward);
  t.is(of('forwarding', 'd1'), 0);
  t.deepEqual(
    check(t)['']?.map(({ dev, name, value }) => `${dev} ${name} ${value}`),
    [' ipv4.ip_forward 0', 'd0 ipv4.conf.*.forwarding 0'],
  );
});

test('the default goes for new devices, and for those that have not been configured by themselves', (t) => {
  const { root, check } = host();
  const { sysctls } = root;
  const filter = (dev: string) => sysctls.get('ipv4.conf.*.rp_filter', dev);
  root.addDummy({ name: 'd1', mac: 3, mtu: 1500 });
  root.addDummy({ name: 'd2', mac: 4, mtu: 1500 });
  sysctls.set('ipv4.conf.*.rp_filter', 2, 'd1');
  root.addAddress('d2', '10.0.0.1/24');
  sysctls.set('ipv4.conf.*.rp_filter', 1, 'default');
  root.addDummy({ name: 'd3', mac: 5, mtu: 1500 });
  t.deepEqual(['all', 'd0', 'd1', 'd2', 'd3'].map(filter), [0, 1, 2, 0, 1]);
  check(t);
});

test('a new namespace begins with the conf of the first (devconf_inherit_init_net = 0), not with the rest', (t) => {
  const { kernel, root } = host();
  root.ipForward = true;
  root.sysctls.set('ipv4.conf.*.rp_filter', 2, 'default');
  root.sysctls.set('ipv4.ip_default_ttl', 32);
  const pod = kernel.addNetns('pod');
  t.true(pod.ipForward);
  t.is(pod.lo.conf.rp_filter, 2);
  t.is(pod.sysctls.ipv4.ip_default_ttl, 64);
  root.sysctls.set('ipv4.conf.*.rp_filter', 1, 'default');
  t.is(pod.sysctls.defaults.rp_filter, 2);
});

test('logs from before there were variables beside net.ipv4 are understood', (t) => {
  const fold = new KernelFold();
  const write = (dev: string, name: string, value: number) =>
    fold.apply({ type: 'sysctl.set', ns: '', sysctl: { dev, name, value } });
  fold.apply({ type: 'netns.added', ns: '' });
  write('', 'ip_forward', 1);
  write('d0', 'proxy_arp', 1);
  write('', 'conf.all.promote_secondaries', 1);
  write('', 'neigh.default.gc_thresh3', 7);
  t.deepEqual(
    fold.view().sysctls['']?.map(({ dev, name, value }) => [dev, name, value]),
    [
      ['', 'ipv4.ip_forward', 1],
      ['', 'ipv4.neigh.default.gc_thresh3', 7],
      ['all', 'ipv4.conf.*.promote_secondaries', 1],
      ['d0', 'ipv4.conf.*.proxy_arp', 1],
    ],
  );
});

test('a text is read as proc_dointvec reads it', (t) => {
  const { root } = host();
  const { sysctls } = root;
  const write = (text: string) => {
    sysctls.write('ipv4.ip_forward', text);
    return sysctls.get('ipv4.ip_forward');
  };
  t.deepEqual(['2', '0x10', '-1', ' 1 7', '010'].map(write), [2, 16, -1, 1, 8]);
  for (const text of ['', 'yes', '1x', '99999999999', '08', '--1'])
    t.throws(() => write(text), { instanceOf: SysctlError }, text);
  sysctls.write('ipv4.ip_local_port_range', '3000');
  t.is(sysctls.get('ipv4.ip_local_port_range'), '3000\t60999');
});

test('sockets get ports of ip_local_port_range, and none where all are taken', (t) => {
  const { root } = host();
  root.sysctls.write('ipv4.ip_local_port_range', '4000 4002');
  const bind = () => root.bindUdp({ addr: 0, port: 0 }, () => {}).port;
  t.deepEqual([bind(), bind(), bind()].sort(), [4000, 4001, 4002]);
  t.throws(bind, { name: 'PortInUseError' });
});

test('echoes are answered as icmp_echo_ignore_all and icmp_echo_ignore_broadcasts have it; the TTL is ip_default_ttl', (t) => {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  const ping = (target: string) => {
    const got = run(`ping -n -c 1 -W 1 ${target}`, a.kernel.root);
    net.advance(2_000);
    return got.text.split('\n')[1] ?? '';
  };
  t.true(ping('10.0.1.1').includes('ttl=64'));
  root.sysctls.set('ipv4.ip_default_ttl', 99);
  t.true(ping('10.0.1.1').includes('ttl=99'));
  root.sysctls.set('ipv4.icmp_echo_ignore_all', 1);
  t.is(ping('10.0.1.1'), '');
  root.sysctls.set('ipv4.icmp_echo_ignore_all', 0);
  const drops = () => root.kernel.drops.get('icmp-echo-ignored') ?? 0;
  const before = drops();
  ping('-b 10.0.1.255');
  t.is(drops(), before + 1);
  root.sysctls.set('ipv4.icmp_echo_ignore_broadcasts', 0);
  ping('-b 10.0.1.255');
  t.is(drops(), before + 1);
});
