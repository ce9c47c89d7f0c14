import test from 'ava';
import type { Netns } from '../../../nodes/kernel/netns.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { mac, Network } from '../../support/network.ts';
import { run } from './support/run.ts';
import { readSession } from './support/session.ts';

/**
 * A session of real iproute2 6.1.0 on Linux 6.18, recorded in a namespace with the devices that `host()` makes (those
 * without queue by `txqueuelen 0`, IPv6 off), replayed here. Left out is what an emulated namespace cannot have: rows
 * of multicast groups, `link-netns` names, the order of hash tables with more than one row.
 */

function host(): { readonly net: Network; readonly ns: Netns } {
  const net = new Network();
  const { kernel } = net.host('h');
  const { root: ns } = kernel;
  const [far, container] = [kernel.addNetns('far'), kernel.addNetns('container')];
  ns.addTun({ name: 'flannel0', mtu: 1472 }, () => {});
  const veth = (name: string, address: string, peer: { ns: Netns; name: string; mac: number }) =>
    ns.addVeth({ name, mac: mac(address), mtu: 1500, peer });
  veth('eth0', '52:54:00:00:00:01', { ns: far, name: 'eth0', mac: 2 });
  ns.addBridge({ name: 'docker0', mac: mac('02:42:98:04:68:a9'), mtu: 1500 });
  veth('veth1', '22:b3:44:bf:da:48', { ns: container, name: 'eth0', mac: mac('02:42:ac:11:00:02') });
  veth('veth2', 'be:44:4f:0f:dd:ea', { ns, name: 'veth3', mac: mac('be:44:4f:0f:dd:eb') });
  ns.addVxlan({
    name: 'flannel.1',
    mac: mac('aa:bb:cc:00:00:01'),
    mtu: 1450,
    vni: 1,
    local: parseIp4('192.168.0.11') ?? 0,
    dstPort: 8472,
    learning: 'off',
  });
  ns.setMaster('veth1', 'docker0');
  ns.setMaster('veth2', 'docker0');
  far.setUp('eth0');
  container.setUp('eth0');
  for (const name of ['eth0', 'docker0', 'veth1', 'veth2', 'flannel.1', 'flannel0']) ns.setUp(name);
  ns.addAddress('eth0', '192.168.0.11/24');
  ns.addAddress('flannel.1', '10.244.0.0/32');
  ns.addAddress('flannel0', '10.245.0.0/16');
  ns.addAddress('docker0', '172.17.0.1/16');
  ns.addAddress('docker0', '172.17.0.9/16');
  ns.addAddress('docker0', '169.254.3.1/24', { scope: 'link' });
  ns.addAddress('lo', '10.9.1.1/32');
  return { net, ns };
}

/** The kernel of the recording was built without VLANs in bridges, which have a row of each. */
function withoutVlans(text: string): string {
  return text.replaceAll(/^.* vlan 1 master .*\n/gm, '');
}

test('a recorded session of iproute2 replays to the byte', (t) => {
  const { net, ns } = host();
  const all = readSession('iproute2-6.1.session.txt');
  t.true(all.length > 250);
  for (const { command, output, code } of all) {
    const got = run(command, ns);
    t.is(`$ ${command}\n${withoutVlans(got.text)}`, `$ ${command}\n${output}`);
    t.is(got.code, code, command);
    net.advance(1);
  }
});

/** Recorded likewise, of a veth whose other end is in a namespace that has 2001:db8::9. */
test('a recorded session of iproute2 with IPv6 replays to the byte', (t) => {
  const net = new Network();
  const { kernel } = net.host('h', 'on');
  const { root: ns } = kernel;
  const far = kernel.addNetns('far');
  const peer = { ns: far, name: 'eth0', mac: mac('52:54:00:00:00:02') };
  ns.addVeth({ name: 'eth0', mac: mac('52:54:00:00:00:01'), mtu: 1500, peer });
  far.setUp('eth0');
  far.ipv6.addresses.add(far.device('eth0')!, '2001:db8::9/64', { dad: 'none' });
  ns.sysctls.set('ipv6.conf.*.router_solicitations', 0, 'all');
  ns.setUp('eth0');
  ns.addAddress('eth0', '192.168.0.11/24');
  const all = readSession('iproute2-6.1.ipv6-session.txt');
  t.true(all.length > 100);
  for (const { command, output, code } of all) {
    const [, seconds] = /^sleep (\d+)$/.exec(command) ?? [];
    if (seconds !== undefined) {
      net.advance(Number(seconds) * 1000);
      continue;
    }
    const got = run(command, ns);
    t.is(`$ ${command}\n${got.text}`, `$ ${command}\n${output}`);
    t.is(got.code, code, command);
    net.advance(1);
  }
});
