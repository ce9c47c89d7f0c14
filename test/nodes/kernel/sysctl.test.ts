import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import { SysctlError } from '../../../nodes/kernel/sysctl.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

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
      { dev: '', name: 'ip_forward', value: 1 },
      { dev: 'd0', name: 'proxy_arp', value: 1 },
    ],
    pod: [],
  });
  t.true(root.ipForward);
  root.ipForward = false;
  t.false(root.ipForward);
  t.like(check(t), { '': [{ name: 'ip_forward', value: 0 }, { name: 'proxy_arp' }] });
});

test('a device takes its variables with it', (t) => {
  const { root, check } = host();
  root.setProxyArp('d0', 'on');
  root.removeDevice('d0');
  t.deepEqual(check(t), { '': [] });
  root.addDummy({ name: 'd0', mac: 2, mtu: 1500 });
  t.false(root.device('d0')?.proxyArp);
  t.deepEqual(check(t), { '': [] });
});

test('a variable that is not there, and a value that is none, change nothing', (t) => {
  const { kernel, root, check } = host();
  t.throws(() => root.setProxyArp('d1', 'on'), { instanceOf: NetlinkError });
  for (const [dev, name, value] of [
    ['', 'ip_forward', 2],
    ['', 'ip_forward', -1],
    ['', 'ip_forward', 0.5],
    ['', 'neigh.default.gc_thresh3', 2 ** 31],
    ['', 'no_such', 1],
    ['d0', 'ip_forward', 1],
    ['d1', 'proxy_arp', 1],
  ] as const)
    t.throws(
      () => root.sysctls.set(dev, name, value),
      { instanceOf: SysctlError },
      `${dev} ${name} ${value}`,
    );
  // The limits of the neighbour table are the node's, not a pod's.
  const pod = kernel.addNetns('pod');
  t.throws(() => pod.sysctls.set('', 'neigh.default.gc_thresh3', 5), { instanceOf: SysctlError });
  t.deepEqual(check(t), { '': [], pod: [] });
});
