import test from 'ava';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { Network } from '../../../support/network.ts';
import { run, sh } from './ipvs-lab.ts';
import { foldOf, ip, udpClient, udpEcho } from './lab.ts';

/** A load balancing sandbox as libnetwork makes one, a client and two tasks on one bridge. */
function balanced() {
  const net = new Network();
  const host = net.host('n1');
  const { root } = host.kernel;
  root.addBridge({ name: 'br0', mac: 0x0242_0000_0001, mtu: 1450 });
  root.setUp('br0');
  const join = (name: string, number: number): Netns => {
    const ns = host.kernel.addNetns(name);
    const peer = { ns, name: 'eth0', mac: 0x0242_0a00_0100 + number };
    root.addVeth({ name: `veth${number}`, mac: 0x0200_0000_0000 + number, mtu: 1450, peer });
    root.setUp(`veth${number}`);
    root.setMaster(`veth${number}`, 'br0');
    ns.setUp('eth0');
    ns.addAddress('eth0', `10.0.1.${number}/24`);
    return ns;
  };
  const lb = join('lb', 9);
  sh(
    lb,
    'ip addr add 10.0.1.2/32 dev eth0',
    'sysctl -w net.ipv4.ip_forward=1',
    'sysctl -w net.ipv4.vs.conntrack=1',
    'iptables -t nat -A POSTROUTING -d 10.0.1.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.1.9',
    'iptables -t mangle -A INPUT -d 10.0.1.2/32 -j MARK --set-xmark 0x100/0xffffffff',
    'ipvsadm -A -f 256 -s rr',
    'ipvsadm -a -f 256 -r 10.0.1.3:0 -m',
    'ipvsadm -a -f 256 -r 10.0.1.4:0 -m',
  );
  return { net, host, lb, client: join('client', 5), tasks: [join('one', 3), join('two', 4)] as const };
}

test('a virtual address by mark: balanced one after the other, with the source of the sandbox', (t) => {
  const { net, host, client, tasks } = balanced();
  const servers = tasks.map((ns) => udpEcho(ns, 80));
  for (const port of [40_000, 40_001, 40_002, 40_003]) {
    const asking = udpClient(client, port);
    asking.send('10.0.1.2', 80, 'x');
    net.advance(50);
    t.deepEqual(
      asking.replies.map(({ src, srcPort }) => [src, srcPort]),
      [[ip('10.0.1.2'), 80]],
    );
  }
  for (const { seen } of servers)
    t.deepEqual(
      seen.map(({ src }) => src),
      [ip('10.0.1.9'), ip('10.0.1.9')],
    );
  t.deepEqual(foldOf(host.rt), host.kernel.snapshot());
});

test('-m ipvs: what it takes, prints and refuses, as iptables 1.8.9 has it', (t) => {
  const { root } = new Network().host('n1').kernel;
  for (const [given, saved] of [
    ['--ipvs', '--ipvs'],
    ['! --ipvs', '! --ipvs'],
    ['--vproto tcp', '--vproto 6'],
    ['! --vproto udp', '! --vproto 17'],
    ['--vaddr 1.2.3.4', '--vaddr 1.2.3.4'],
    ['! --vaddr 1.2.3.0/24', '! --vaddr 1.2.3.0/24'],
    ['! --vport http', '! --vport 80'],
    ['--vdir reply', '--vdir REPLY'],
    ['! --vmethod gate', '! --vmethod GATE'],
    ['--vportctl 21', '--vportctl 21'],
    ['--ipvs --vport 80', '--vport 80'],
  ] as const) {
    sh(root, `iptables -A INPUT -m ipvs ${given} -j ACCEPT`);
    t.is(sh(root, 'iptables -S INPUT').split('\n').at(-2), `-A INPUT -m ipvs ${saved} -j ACCEPT`, given);
    const listed = sh(root, 'iptables -nL INPUT').trimEnd().split('\n').at(-1);
    t.true(listed?.trimEnd().endsWith(` ${saved.replaceAll('--', '')}`), listed);
    sh(root, 'iptables -F INPUT');
  }
  for (const [given, says] of [
    ['', 'IPVS: At least one option is required'],
    ['--vmethod foo', 'ipvs: Bad value for "--vmethod" option: "foo"'],
    ['--vdir x', 'ipvs: Bad value for "--vdir" option: "x"'],
    ['! --vdir REPLY', 'ipvs: option "--vdir" cannot be inverted.'],
    ['! --ipvs --vport 80', '! --ipvs cannot be together with other options'],
    ['--vport 80 --vport 81', 'ipvs: option "--vport" can only be used once.'],
  ] as const) {
    const { code, stderr } = run(root, `iptables -A INPUT -m ipvs ${given} -j ACCEPT`.replace('  ', ' '));
    t.is(code, 2, given);
    t.true(stderr.includes(says), stderr);
  }
});

test('-m ipvs: on the way to its server a packet is known by its connection', (t) => {
  const { net, lb, client, tasks } = balanced();
  for (const ns of tasks) udpEcho(ns, 80);
  const conditions = {
    '--ipvs --vproto udp': 1,
    '--vproto tcp': 0,
    '--vaddr 10.0.1.0/30 --vport 80': 1,
    '! --vaddr 10.0.1.2': 0,
    '--vport 81': 0,
    '--vdir ORIGINAL': 1,
    '--vdir REPLY': 0,
    '--vmethod MASQ': 1,
    '--vmethod GATE': 0,
    '--vportctl 21': 0,
    // The answer has its client's address here, and is no server's any more; IPVS has seen to it all the same.
    '! --ipvs': 0,
    '--ipvs': 2,
  };
  for (const condition of Object.keys(conditions))
    sh(lb, `iptables -t mangle -A POSTROUTING -m ipvs ${condition}`);
  const asking = udpClient(client, 40_000);
  asking.send('10.0.1.2', 80, 'x');
  net.advance(50);
  t.is(asking.replies.length, 1);
  const counted = sh(lb, 'iptables -t mangle -nvL POSTROUTING')
    .split('\n')
    .flatMap((line) => (/^ +\d+ +\d+ /.test(line) ? [Number(line.trim().split(/\s+/)[0])] : []));
  t.deepEqual(
    Object.fromEntries(Object.keys(conditions).map((condition, i) => [condition, counted[i]])),
    conditions,
  );
});
