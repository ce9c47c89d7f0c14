import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { BROADCAST_MAC, formatMac } from '../../../protocols/mac.ts';
import { ETHERTYPE_8021Q, tagged, vlanId } from '../../../protocols/vlan.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';
import { run } from '../tools/support/run.ts';

const A = 0x0200000000aa;
const B = 0x0200000000bb;
const BRIDGE = 0x020000000001;

/** A bridge of four ports, up; `receive` tells what leaves by which port: `1:10` is port 1, with the tag of VLAN 10. */
function bridged() {
  const world = new FakeWorld();
  const left: string[] = [];
  const rt = world.runtime();
  const kernel = new Kernel(rt, {
    timings,
    transmit: (port, frame) =>
      left.push(etherType(frame) === ETHERTYPE_8021Q ? `${port}:${vlanId(frame)}` : String(port)),
  });
  const { root } = kernel;
  root.addBridge({ name: 'br0', mac: BRIDGE, mtu: 1500 });
  root.setUp('br0');
  for (const port of [0, 1, 2, 3]) {
    root.addPort({ name: `p${port}`, mac: BRIDGE + 1 + port, mtu: 1500, port });
    root.setMaster(`p${port}`, 'br0');
    root.setUp(`p${port}`);
  }
  const receive = (port: number, dst: number, src: number, vlan = 0) => {
    const plain = new Uint8Array(60);
    writeEthernet(plain, dst, src, 0x88b5);
    kernel.receive(port, vlan === 0 ? plain : tagged(plain, ETHERTYPE_8021Q, vlan));
    return left.splice(0);
  };
  const sh = (line: string) => run(line, root).text;
  const check = (t: { deepEqual(a: unknown, b: unknown): unknown }) => {
    const fold = new KernelFold();
    for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
    t.deepEqual(fold.view(), kernel.snapshot());
  };
  return { world, kernel, root, receive, sh, check };
}

test('without filtering tags pass through as they are', (t) => {
  const { receive } = bridged();
  t.deepEqual(receive(0, BROADCAST_MAC, A, 10), ['1:10', '2:10', '3:10']);
  t.deepEqual(receive(1, A, B), ['0']);
});

test('with filtering a frame stays in its VLAN, with the tag that each port is to see', (t) => {
  const { root, receive, sh, check, kernel } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1');
  t.deepEqual(receive(0, BROADCAST_MAC, A), ['1', '2', '3']);
  // p0 a trunk of 10 and 20, p1 in 10 and p2 in 20 without tags, p3 in 10 with one.
  for (const line of [
    'bridge vlan add dev p0 vid 10-20',
    'bridge vlan add dev p1 vid 10 pvid untagged',
    'bridge vlan add dev p2 vid 20 pvid untagged',
    'bridge vlan add dev p3 vid 10',
    'bridge vlan del dev p1 vid 1',
    'bridge vlan del dev p2 vid 1',
  ])
    t.is(sh(line), '', line);
  t.deepEqual(receive(0, BROADCAST_MAC, A, 10), ['1', '3:10']);
  t.deepEqual(receive(0, BROADCAST_MAC, A, 20), ['2']);
  t.deepEqual(receive(1, BROADCAST_MAC, B), ['0:10', '3:10']);
  t.deepEqual(receive(0, B, A, 10), ['1']);
  t.deepEqual(receive(0, B, A, 20), ['2']);
  t.deepEqual(receive(3, BROADCAST_MAC, 0x020000000055), ['0']);
  t.deepEqual(receive(0, BROADCAST_MAC, A, 30), []);
  t.is(kernel.drops.get('bridge-vlan'), 1);
  t.true(sh('bridge fdb show dev p1').includes(`${formatMac(B)} vlan 10 master br0 \n`));
  check(t);
  t.is(
    sh('bridge -compressvlans vlan'),
    `port              vlan-id  
br0               1 PVID Egress Untagged
p0                1 PVID Egress Untagged
                  10-20
p1                10 PVID Egress Untagged
p2                20 PVID Egress Untagged
p3                1 PVID Egress Untagged
                  10
`,
  );
  t.is(
    sh('bridge -j vlan show dev p3'),
    '[{"ifname":"p3","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]},{"vlan":10}]}]\n',
  );
  t.is(sh('bridge vlan del dev p3 vid 10'), '');
  t.is(sh('bridge vlan del dev p3 vid 10'), '', 'Linux does not mind');
  check(t);
  root.setMaster('p0', null);
  check(t);
});

test('the host itself is in VLANs of its own, and VLAN devices stand on the bridge', (t) => {
  const { root, sh, receive, kernel, check } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1');
  sh('bridge vlan add dev br0 vid 10 self');
  sh('bridge vlan add dev p1 vid 10 pvid untagged');
  sh('ip link add link br0 name br0.10 type vlan id 10');
  sh('ip link set br0.10 up');
  const drops = () => kernel.drops.get('unknown-ethertype') ?? 0;
  const before = drops();
  t.deepEqual(receive(1, BRIDGE, B), []);
  t.is(drops(), before + 1);
  t.is(root.device('br0.10')?.lower()?.name, 'br0');
  // From VLAN 1 nothing comes to the device of VLAN 10; from VLAN 30, which the host is not in, nothing at all.
  sh('bridge vlan add dev p2 vid 30 pvid untagged');
  t.deepEqual(receive(2, BRIDGE, B), []);
  t.is(drops(), before + 1);
  check(t);
});

test('hairpin, isolation, flooding and learning are settings of a port', (t) => {
  const { receive, sh, check } = bridged();
  sh('bridge link set dev p0 hairpin on');
  t.deepEqual(receive(0, BROADCAST_MAC, A), ['0', '1', '2', '3']);
  t.deepEqual(receive(0, A, B), ['0']);
  sh('bridge link set dev p0 hairpin off isolated on');
  sh('bridge link set dev p1 isolated on');
  t.deepEqual(receive(0, BROADCAST_MAC, A), ['2', '3']);
  t.deepEqual(receive(1, A, 0x020000000077), []);
  t.deepEqual(receive(2, A, 0x020000000078), ['0']);
  sh('bridge link set dev p3 flood off');
  t.deepEqual(receive(2, 0x020000000099, 0x020000000078), ['0', '1']);
  t.deepEqual(receive(2, BROADCAST_MAC, 0x020000000078), ['0', '1', '3']);
  sh('bridge link set dev p3 bcast_flood off mcast_flood off');
  t.deepEqual(receive(2, BROADCAST_MAC, 0x020000000078), ['0', '1']);
  t.deepEqual(receive(2, 0x01005e000005, 0x020000000078), ['0', '1']);
  sh('bridge link set dev p2 learning off');
  receive(2, BROADCAST_MAC, 0x020000000042);
  t.false(sh('bridge fdb').includes('02:00:00:00:00:42'));
  check(t);
});

test('frames for the bridges themselves are not forwarded, but for those of the mask', (t) => {
  const { receive, sh, kernel } = bridged();
  const group = (last: number) => receive(0, 0x0180c2000000 + last, A);
  // Without spanning tree its frames are multicasts like others.
  t.deepEqual(group(0), ['1', '2', '3']);
  t.deepEqual(group(14), []);
  t.deepEqual(group(1), []);
  t.is(kernel.drops.get('link-local'), 2);
  sh('ip link set br0 type bridge group_fwd_mask 0x4000');
  t.deepEqual(group(14), ['1', '2', '3']);
  t.deepEqual(group(16), ['1', '2', '3']);
});

test('static rows by hand, of a VLAN too', (t) => {
  const { receive, sh, check } = bridged();
  sh(`bridge fdb add ${formatMac(B)} dev p2 master static`);
  t.deepEqual(receive(0, B, A), ['2']);
  // It goes with its station, as in Linux 6.18 (`br_fdb_update`), and stays static.
  receive(1, BROADCAST_MAC, B);
  t.deepEqual(receive(0, B, A), ['1']);
  sh('ip link set br0 type bridge vlan_filtering 1');
  t.deepEqual(receive(0, B, A), ['2']);
  sh(`bridge fdb replace ${formatMac(B)} dev p3 master static vlan 1`);
  t.deepEqual(receive(0, B, A), ['3']);
  t.true(sh(`bridge fdb show dev p3`).includes(`${formatMac(B)} vlan 1 master br0 static\n`));
  sh(`bridge fdb del ${formatMac(B)} dev p3 master vlan 1`);
  t.deepEqual(receive(0, B, A), ['1', '2', '3']);
  check(t);
});

test('a row of no VLAN said is in each of its port’s as well, and is told of one that the port is not in', (t) => {
  const { receive, sh, check } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1');
  sh('bridge vlan add dev p2 vid 10 pvid untagged');
  t.is(
    sh(`bridge fdb add ${formatMac(B)} dev p2 master static vlan 20`),
    'RTNETLINK answers: Invalid argument\n',
  );
  t.is(sh(`bridge fdb add ${formatMac(B)} dev p2 master static`), '');
  const rows = (dev: string) =>
    sh(`bridge fdb show dev ${dev}`)
      .split('\n')
      .filter((line) => line.startsWith(formatMac(B)));
  t.deepEqual(rows('p2'), [
    `${formatMac(B)} master br0 static`,
    `${formatMac(B)} vlan 1 master br0 static`,
    `${formatMac(B)} vlan 10 master br0 static`,
  ]);
  t.deepEqual(receive(0, B, A), ['2']);
  t.is(sh(`bridge fdb add ${formatMac(B)} dev p2 master static vlan 10`), 'RTNETLINK answers: File exists\n');
  // It leaves a VLAN: what was set stays.
  sh('bridge vlan del dev p2 vid 10');
  t.is(rows('p2').length, 3);
  t.is(sh(`bridge fdb del ${formatMac(B)} dev p1 master`), 'RTNETLINK answers: No such file or directory\n');
  t.is(sh(`bridge fdb del ${formatMac(B)} dev p2 master`), '');
  t.deepEqual(rows('p2'), [`${formatMac(B)} vlan 10 master br0 static`]);
  check(t);
});

test('the addresses of bridge and ports are the host’s own where they are in the VLAN, and rows of their own', (t) => {
  const { receive, sh, kernel } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1');
  sh('bridge vlan add dev p0 vid 10');
  sh('bridge vlan add dev p3 vid 10');
  t.is(
    sh('bridge fdb show dev p3'),
    ['', 'vlan 1 ', 'vlan 10 ']
      .map((vlan) => `${formatMac(BRIDGE + 4)} ${vlan}master br0 permanent\n`)
      .join(''),
  );
  // p1 is not in VLAN 10: nobody's address there.
  t.deepEqual(receive(0, BRIDGE + 2, A, 10), ['3:10']);
  t.deepEqual(receive(0, BRIDGE, A, 10), ['3:10']);
  t.deepEqual(receive(0, BRIDGE + 2, A), []);
  t.is(kernel.drops.get('other-host'), 1);
  // So is a local row.
  sh(`bridge fdb add ${formatMac(B)} dev p3 master local`);
  t.deepEqual(receive(0, B, A), []);
  t.is(kernel.drops.get('other-host'), 2);
});

test('the default PVID may change while VLANs are filtered, and yields to what was set', (t) => {
  const { receive, sh, check } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1');
  sh('bridge vlan add dev p1 vid 10 pvid untagged');
  sh('bridge vlan add dev p2 vid 20');
  receive(0, BROADCAST_MAC, A);
  t.is(sh('ip link set br0 type bridge vlan_default_pvid 20'), '');
  t.is(
    sh('bridge vlan show'),
    `port              vlan-id  
br0               20 PVID Egress Untagged
p0                20 PVID Egress Untagged
p1                1 Egress Untagged
                  10 PVID Egress Untagged
p2                1 PVID Egress Untagged
                  20
p3                20 PVID Egress Untagged
`,
  );
  t.false(sh('bridge fdb show').includes(formatMac(A)));
  check(t);
});

test('a bridge of a provider passes on what is for the bridges of its customers', (t) => {
  const { receive, sh } = bridged();
  sh('ip link set br0 type bridge vlan_filtering 1 vlan_protocol 802.1ad');
  t.deepEqual(receive(0, 0x0180c200000b, A), ['1', '2', '3']);
  t.deepEqual(receive(0, 0x0180c200000e, A), []);
  sh('ip link set br0 type bridge vlan_protocol 802.1Q');
  t.deepEqual(receive(0, 0x0180c200000b, A), []);
});
