import test from 'ava';
import { CalicoCni } from '../../../nodes/daemons/calico/cni.ts';
import { CalicoIpam } from '../../../nodes/daemons/calico/ipam.ts';
import {
  CNI_INTERNAL,
  CNI_TRY_AGAIN_LATER,
  type CniOutcome,
  type CniPlugin,
} from '../../../nodes/daemons/cni.ts';
import { FlannelCni } from '../../../nodes/daemons/flannel/cni.ts';
import { Flanneld } from '../../../nodes/daemons/flannel/flanneld.ts';
import { HostGwBackend } from '../../../nodes/daemons/flannel/host-gw.ts';
import { IpamLedger } from '../../../nodes/daemons/ipam-ledger.ts';
import { StoreClient } from '../../../nodes/daemons/store-client.ts';
import { SimStore } from '../../../orchestrator/simulate/store.ts';
import { parsePrefix } from '../../../protocols/ip4.ts';
import type { Host } from '../../support/network.ts';
import { Network } from '../../support/network.ts';
import { timings } from '../../support/runtime.ts';

interface Bench {
  readonly net: Network;
  readonly host: Host;
  readonly plugin: CniPlugin;
  readonly ledger: IpamLedger;
  readonly originated: Set<string>;
}

const pool = parsePrefix('10.244.0.0/16')!;

function bench(type: 'calico' | 'flannel', options: { borrowing?: 'strict-affinity' } = {}): Bench {
  const net = new Network();
  const host = net.host('n1');
  net.attach(host, 'lan', 'eth0', '192.168.0.11/24');
  const { rt, kernel } = host;
  const shared = new SimStore();
  rt.onStore = (op) => shared.apply(op, rt.cause);
  const store = new StoreClient(rt);
  const ledger = new IpamLedger(rt, null);
  const originated = new Set<string>();
  const originator = {
    originate: (p: string) => originated.add(p),
    withdraw: (p: string) => originated.delete(p),
  };
  if (type === 'calico') {
    const ipam = new CalicoIpam(
      rt,
      store,
      ledger,
      { node: 'n1', pool, blockSize: 26, borrowing: options.borrowing ?? 'allowed', maxBlocks: 1 },
      { synced: () => {}, blockConfirmed: () => {}, blockLost: () => {} },
    );
    shared.watch('ipam.>', (change) => net.world.after(0, () => ipam.storeChanged(change)));
    ipam.start();
    return {
      net,
      host,
      ledger,
      originated,
      plugin: new CalicoCni(rt, kernel, [ipam], originator, { mtu: 1440 }),
    };
  }
  const iface = { name: 'eth0', address: '192.168.0.11', mtu: 1500 };
  const flanneld = new Flanneld(rt, store, {
    node: 'n1',
    network: pool,
    subnetLen: 24,
    publicIP: iface.address,
    backend: new HostGwBackend(rt, kernel.root, iface, 10_000),
    ipv6: null,
    timings: timings.flannel,
    disk: null,
    onStateChange: () => {},
  });
  shared.watch('flannel.>', (change) => net.world.after(0, () => flanneld.storeChanged(change)));
  flanneld.start();
  return {
    net,
    host,
    ledger,
    originated,
    plugin: new FlannelCni(rt, kernel, flanneld, ledger, { network: '10.244.0.0/16', network6: null }),
  };
}

function add({ net, host, plugin }: Bench, containerId: string, pod = 'nginx'): CniOutcome {
  const netns = host.kernel.netns(containerId) ?? host.kernel.addNetns(containerId);
  let answer: CniOutcome | null = null;
  plugin.add({ containerId, ifname: 'eth0', namespace: 'default', pod, netns }, (outcome) => {
    answer = outcome;
  });
  net.advance(5);
  if (answer === null) throw new Error('ADD did not answer');
  return answer;
}

function del({ net, host, plugin }: Bench, containerId: string, pod = 'nginx'): void {
  let done = false;
  const netns = host.kernel.netns(containerId) ?? null;
  plugin.del({ containerId, ifname: 'eth0', namespace: 'default', pod, netns }, () => {
    done = true;
  });
  net.advance(5);
  if (!done) throw new Error('DEL did not answer');
}

for (const type of ['calico', 'flannel'] as const) {
  test(`${type}: STATUS says try again later until the plug-in can serve`, (t) => {
    const it = bench(type);
    t.is(it.plugin.status()?.code, CNI_TRY_AGAIN_LATER);
    it.net.advance(5);
    t.is(it.plugin.status(), null);
  });

  test(`${type}: a second ADD for one container and interface fails and changes nothing`, (t) => {
    const it = bench(type);
    it.net.advance(5);
    const first = add(it, 'c1');
    t.is(first.type, 'result');
    const before = [it.host.kernel.snapshot(), it.ledger.view()];
    const second = add(it, 'c1');
    t.is(second.type === 'error' ? second.error.code : 0, CNI_INTERNAL);
    t.deepEqual([it.host.kernel.snapshot(), it.ledger.view()], before);
  });

  test(`${type}: DEL undoes ADD, and succeeds again when there is nothing left`, (t) => {
    const it = bench(type);
    it.net.advance(5);
    add(it, 'c0', 'other');
    del(it, 'c0', 'other');
    const before = it.host.kernel.snapshot();
    add(it, 'c1');
    t.is(it.ledger.view().assigned.length, 1);
    del(it, 'c1');
    del(it, 'c1');
    del(it, 'never-added');
    t.deepEqual(it.ledger.view().assigned, []);
    t.deepEqual(it.host.kernel.snapshot().links[''], before.links['']);
    t.deepEqual(it.host.kernel.snapshot().routes[''], before.routes['']);
    t.is(add(it, 'c1').type, 'result');
  });

  test(`${type}: GC releases what no valid container holds`, (t) => {
    const it = bench(type);
    it.net.advance(5);
    add(it, 'c1', 'one');
    it.ledger.assign(0x0af40909, 'gone');
    it.plugin.gc(new Set(['c1']));
    it.net.advance(5);
    t.deepEqual(
      it.ledger.view().assigned.map((entry) => entry.handle),
      ['c1'],
    );
  });

  test(`${type}: the result names interfaces, addresses and routes as they are`, (t) => {
    const it = bench(type);
    it.net.advance(5);
    const outcome = add(it, 'c1');
    if (outcome.type === 'error') return t.fail(outcome.error.msg);
    const { result } = outcome;
    t.is(result.cniVersion, '1.1.0');
    const views = it.host.kernel.snapshot();
    for (const iface of result.interfaces) {
      const link = views.links[iface.sandbox]?.find((candidate) => candidate.name === iface.name);
      t.is(link?.mac, iface.mac);
    }
    const [ip] = result.ips;
    const iface = result.interfaces[ip!.interface]!;
    t.is(iface.sandbox, 'c1');
    t.true(views.addresses.c1!.some((entry) => entry.dev === iface.name && entry.address === ip!.address));
    for (const route of result.routes) {
      const actual = it.host.kernel.netns('c1')!.routes.get(route.dst);
      t.is(actual?.nexthops[0]?.via, route.gw);
    }
  });
}

test('calico: with strict affinity and no block to be had, ADD fails in the words of Calico', (t) => {
  const it = bench('calico', { borrowing: 'strict-affinity' });
  it.net.advance(5);
  for (let i = 0; i < 64; i++) t.is(add(it, `c${i}`, `pod-${i}`).type, 'result');
  const outcome = add(it, 'c64', 'pod-64');
  t.is(outcome.type, 'error');
  const message = outcome.type === 'error' ? outcome.error.msg : '';
  t.regex(message, /^failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 addresses; /);
  del(it, 'c5', 'pod-5');
  t.is(add(it, 'c64', 'pod-64').type, 'result');
});
