import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** A kernel with two dummy devices that are up. */
function host() {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  const { root } = kernel;
  for (const name of ['d0', 'd1']) {
    root.addDummy({ name, mac: 2, mtu: 1500 });
    root.setUp(name);
  }
  return {
    root,
    kernel,
    addresses: (dev = 'd0') =>
      kernel
        .snapshot()
        .addresses['']!.filter((facts) => facts.dev === dev)
        .map((facts) => `${facts.address}${facts.secondary === true ? ' secondary' : ''}`),
    routes: () => root.routes.list().map(({ dst, src, nexthops }) => `${dst} ${nexthops[0]?.dev} ${src}`),
    folded: () => {
      const fold = new KernelFold();
      for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
      return fold.view();
    },
  };
}

test('a second address of a subnet is secondary, and the route keeps the first as its source', (t) => {
  const { root, kernel, addresses, routes, folded } = host();
  root.addAddress('d0', '10.0.0.1/24');
  root.addAddress('d0', '10.0.0.2/24');
  t.deepEqual(addresses(), ['10.0.0.1/24', '10.0.0.2/24 secondary']);
  t.deepEqual(routes(), ['10.0.0.0/24 d0 10.0.0.1']);
  t.is(root.sourceFor(root.device('d0')!, ip('10.0.0.9')), ip('10.0.0.1'));
  t.true(root.isLocal(ip('10.0.0.2')));
  t.deepEqual(folded(), kernel.snapshot());
});

test('the same address with another prefix length is an address of its own', (t) => {
  const { root, addresses, routes } = host();
  root.addAddress('d0', '10.0.0.1/24');
  root.addAddress('d0', '10.0.0.2/25');
  root.addAddress('d0', '10.0.0.1/16');
  t.deepEqual(addresses(), ['10.0.0.1/16', '10.0.0.1/24', '10.0.0.2/25']);
  t.deepEqual(routes(), ['10.0.0.0/16 d0 10.0.0.1', '10.0.0.0/24 d0 10.0.0.1', '10.0.0.0/25 d0 10.0.0.2']);
});

test('the first address of a subnet takes the secondaries with it, the second goes alone', (t) => {
  const { root, kernel, addresses, routes, folded } = host();
  root.addAddress('d0', '10.0.0.1/24');
  root.addAddress('d0', '10.0.0.2/24');
  root.addAddress('d0', '10.0.0.3/24');
  root.addAddress('d0', '10.1.0.1/24');
  root.removeAddress('d0', '10.0.0.3/24');
  t.deepEqual(addresses(), ['10.0.0.1/24', '10.0.0.2/24 secondary', '10.1.0.1/24']);
  t.deepEqual(routes(), ['10.0.0.0/24 d0 10.0.0.1', '10.1.0.0/24 d0 10.1.0.1']);
  root.removeAddress('d0', '10.0.0.1/24');
  t.deepEqual(addresses(), ['10.1.0.1/24']);
  t.deepEqual(routes(), ['10.1.0.0/24 d0 10.1.0.1']);
  t.false(root.isLocal(ip('10.0.0.2')));
  t.false(root.isBroadcast(ip('10.0.0.255')));
  t.deepEqual(folded(), kernel.snapshot());
});

test('with promote_secondaries the next address takes the place of the first', (t) => {
  const { root, kernel, addresses, routes, folded } = host();
  root.sysctls.set('ipv4.conf.*.promote_secondaries', 1, 'all');
  for (const last of [1, 2, 3]) root.addAddress('d0', `10.0.0.${last}/24`);
  root.removeAddress('d0', '10.0.0.1/24');
  t.deepEqual(addresses(), ['10.0.0.2/24', '10.0.0.3/24 secondary']);
  t.deepEqual(routes(), ['10.0.0.0/24 d0 10.0.0.2']);
  t.deepEqual(folded(), kernel.snapshot());
});

test('routes that name an address as their source go with it, on whatever device', (t) => {
  const { root, routes } = host();
  root.addAddress('d0', '10.0.0.1/24');
  root.addAddress('d1', '10.1.0.1/24');
  root.routes.set({
    dst: '10.9.0.0/16',
    type: 'unicast',
    protocol: 'static',
    scope: 'link',
    metric: 0,
    src: '10.0.0.1',
    nexthops: [{ via: '', dev: 'd1', onlink: false, weight: 1 }],
  });
  root.removeAddress('d0', '10.0.0.1/24');
  t.deepEqual(routes(), ['10.1.0.0/24 d1 10.1.0.1']);
});

test('of two devices in one subnet the first has the route, until its address goes', (t) => {
  for (const go of ['address', 'down', 'remove'] as const) {
    const { root, routes } = host();
    root.addAddress('d0', '10.0.0.1/24');
    root.addAddress('d1', '10.0.0.2/24');
    t.deepEqual(routes(), ['10.0.0.0/24 d0 10.0.0.1']);
    if (go === 'address') root.removeAddress('d0', '10.0.0.1/24');
    if (go === 'down') root.setDown('d0');
    if (go === 'remove') root.removeDevice('d0');
    t.deepEqual(routes(), ['10.0.0.0/24 d1 10.0.0.2'], go);
  }
});

test('an address without prefix route gets none when its device comes up either', (t) => {
  const { root, routes } = host();
  root.addAddress('d0', '10.0.0.1/24', { prefixRoute: 'none' });
  root.addAddress('d0', '10.1.0.1/24');
  root.setDown('d0');
  t.deepEqual(routes(), []);
  root.setUp('d0');
  t.deepEqual(routes(), ['10.1.0.0/24 d0 10.1.0.1']);
});

test('addresses of one subnet have one scope', (t) => {
  const { root, addresses } = host();
  root.addAddress('d0', '10.0.0.1/24');
  t.throws(() => root.addAddress('d0', '10.0.0.2/24', { scope: 'link' }), { instanceOf: NetlinkError });
  t.throws(() => root.addAddress('d0', '10.0.0.1/24'), { instanceOf: NetlinkError });
  t.deepEqual(addresses(), ['10.0.0.1/24']);
});
