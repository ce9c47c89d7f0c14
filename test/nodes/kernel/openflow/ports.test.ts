import test from 'ava';
import { Vswitchd } from '../../../../nodes/daemons/openflow/vswitchd.ts';
import { Kernel } from '../../../../nodes/kernel/kernel.ts';
import { NetlinkError } from '../../../../nodes/kernel/netlink.ts';
import { writeEthernet } from '../../../../protocols/ethernet.ts';
import { FakeWorld, timings } from '../../../support/runtime.ts';

/** A switch of p0 and p1 that floods, and what leaves by each. */
function switched() {
  const sent: number[] = [];
  const kernel = new Kernel(new FakeWorld().runtime(), { timings, transmit: (port) => sent.push(port) });
  const { root } = kernel;
  for (const port of [0, 1]) {
    root.addPort({ name: `p${port}`, mac: port + 1, mtu: 1500, port });
    root.setUp(`p${port}`);
  }
  const vswitchd = new Vswitchd(kernel.rt, root, {
    ...{ bridge: 'ovs0', datapathId: '0000000000000001', ports: ['p0', 'p1'], controller: '' },
    ...{ failMode: 'standalone', inactivityProbe: 5000, backoff: 1000, maxBackoff: 8000 },
  });
  vswitchd.start();
  const receive = (port: number) => {
    const frame = new Uint8Array(60);
    writeEthernet(frame, 0xffff_ffff_ffff, 9, 0x88b5);
    kernel.receive(port, frame);
    return sent.splice(0);
  };
  return { kernel, root, vswitchd, receive };
}

test('a port of Open vSwitch is given to no other master, nor taken from it', (t) => {
  const { root, receive } = switched();
  root.addBridge({ name: 'br0', mac: 7, mtu: 1500 });
  for (const master of ['br0', null])
    t.throws(() => root.setMaster('p0', master), {
      instanceOf: NetlinkError,
      message: /Operation not supported/,
    });
  t.deepEqual(receive(0), [1]);
  t.is(root.device('p0')?.master?.name, 'ovs-system');
});

test('a device that leaves the namespace leaves its switch too', (t) => {
  const { kernel, root, vswitchd, receive } = switched();
  const pod = kernel.addNetns('pod');
  root.links.move('p0', pod);
  pod.setUp('p0');
  t.is(pod.device('p0')?.master, null);
  t.deepEqual(receive(0), [], 'its frames are its own');
  t.deepEqual(receive(1), [], 'nothing goes out by it');
  t.is(kernel.drops.get('unknown-ethertype'), 1);
  const port = vswitchd.bridge.port(1)!;
  t.deepEqual([vswitchd.bridge.describe(port).config & 1, vswitchd.bridge.describe(port).state], [1, 1]);
});

test('a port that is renamed stays one', (t) => {
  const { root, receive } = switched();
  root.setDown('p0');
  root.links.rename('p0', 'uplink');
  root.setUp('uplink');
  t.is(root.device('uplink')?.master?.name, 'ovs-system');
  t.deepEqual(receive(1), [0]);
  t.deepEqual(receive(0), [1]);
});
