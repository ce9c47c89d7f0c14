import test from 'ava';
import { NetlinkError } from '../../../nodes/kernel/netlink.ts';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { type Host, Network } from '../../support/network.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

function addVxlan(ns: Netns, name: string, vni: number, local: string, dstPort = 8472): void {
  ns.addVxlan({
    name,
    mac: ns.device('eth0')!.mac + vni,
    mtu: 1400,
    vni,
    local: ip(local),
    dstPort,
    learning: 'on',
  });
}

/** Two hosts with a VXLAN device for each of some VNIs, all on one port. */
function tunnelled(vnis: readonly number[]) {
  const net = new Network();
  const hosts = [net.host('a'), net.host('b')] as const;
  for (const [i, host] of hosts.entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    for (const vni of vnis) {
      const name = `vx${vni}`;
      addVxlan(host.kernel.root, name, vni, `10.0.0.${i + 1}`);
      host.kernel.root.addVxlanFdb(name, 0, ip(`10.0.0.${2 - i}`), 'static');
      host.kernel.root.setUp(name);
      host.kernel.root.addAddress(name, `10.${vni}.0.${i + 1}/24`);
    }
  }
  const replies = (host: Host, dst: string) => {
    let count = 0;
    const socket = host.kernel.root.openIcmp({ onReply: () => count++, onError: () => {} });
    socket.sendEcho(ip(dst), { id: 1, seq: 1, size: 8 });
    net.advance(100);
    socket.close();
    return count;
  };
  return { net, a: hosts[0], b: hosts[1], replies };
}

test('devices of several VNIs share a UDP port', (t) => {
  const { a, b, replies } = tunnelled([5, 6]);
  t.is(replies(a, '10.5.0.2'), 1);
  t.is(replies(b, '10.6.0.1'), 1);
  // What came by one VNI was learned by its own device only.
  const learned = a.kernel.root.fdb().filter((row) => row.kind === 'learned');
  t.deepEqual(learned.map((row) => row.dev).sort(), ['vx5', 'vx6']);
});

test('the port stays open while one of its devices is up', (t) => {
  const { a, b, replies } = tunnelled([5, 6]);
  b.kernel.root.removeDevice('vx5');
  t.is(replies(a, '10.5.0.2'), 0);
  t.is(b.kernel.drops.get('vxlan-unknown-vni'), 1);
  t.is(replies(a, '10.6.0.2'), 1);
  b.kernel.root.setDown('vx6');
  t.is(replies(a, '10.6.0.2'), 0);
  t.is(b.kernel.drops.get('udp-no-socket'), 1);
  b.kernel.root.setUp('vx6');
  t.is(replies(a, '10.6.0.2'), 1);
});

test('one VNI is one device a port', (t) => {
  const { a } = tunnelled([5]);
  const { root } = a.kernel;
  t.throws(() => addVxlan(root, 'again', 5, '10.0.0.1'), {
    instanceOf: NetlinkError,
    message: 'Error: A VXLAN device with the specified VNI already exists.',
  });
  t.is(root.device('again'), undefined);
  t.notThrows(() => addVxlan(root, 'elsewhere', 5, '10.0.0.1', 4789));
});

test('a device whose port another socket has does not come up', (t) => {
  const { a } = tunnelled([]);
  const { root } = a.kernel;
  const other = root.bindUdp({ addr: 0, port: 8472 }, () => {});
  addVxlan(root, 'vx5', 5, '10.0.0.1');
  t.throws(() => root.setUp('vx5'), {
    instanceOf: NetlinkError,
    message: 'RTNETLINK answers: Address already in use',
  });
  t.false(root.device('vx5')?.up);
  other.close();
  root.setUp('vx5');
  t.true(root.device('vx5')?.up);
});
