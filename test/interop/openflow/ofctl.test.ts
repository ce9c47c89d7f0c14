import type { ExecutionContext } from 'ava';
import { needing } from '../../support/needs.ts';
import { OurSwitch } from './ours.ts';
import { OpenVswitch, ofctl, type Result } from './ovs.ts';

const testWithOvs = needing('ovs-vsctl', 'openvswitch-switch');
const PORTS = ['p1', 'p2', 'p3'];

/** Without times, transaction ids, addresses and logs; lists in an order, which nobody promises. */
function normal({ text, code }: Result): string[] {
  const [head = '', ...lines] = text
    .replaceAll(/duration[=:][\d.]+s/g, 'duration=Ns')
    .replaceAll(/xid=0x[0-9a-f]+/g, 'xid=X')
    .replaceAll(/addr:[0-9a-f:]{17}/g, 'addr:M')
    .replaceAll(/tcp:[\d.]+:\d+/g, 'br0')
    .replaceAll(/^\d{4}-\d\d-\d\dT.*\|.*\n/gm, '')
    .replaceAll(/\n+/g, '\n')
    .split(/\n(?! *type=| *\d: )/)
    .filter((line) => line !== '');
  return [`exit ${code}`, head, ...(head.startsWith('OFPST_') ? lines.sort() : lines)];
}

/** Gives the same commands to Open vSwitch, by the real ovs-ofctl to a switch of ours, and by our ovs-ofctl to another one of ours. */
async function compare(t: ExecutionContext, lines: readonly string[]): Promise<void> {
  const ovs = await OpenVswitch.start(PORTS);
  const served = new OurSwitch(PORTS);
  const own = new OurSwitch(PORTS);
  const real: Record<string, readonly string[]> = {};
  const onOurs: Record<string, readonly string[]> = {};
  const ours: Record<string, readonly string[]> = {};
  try {
    const port = await served.listen();
    for (const [i, line] of lines.entries()) {
      const words = line.split(' ');
      const target = words.map((word) => (word === 'br0' ? `tcp:127.0.0.1:${port}` : word));
      const name = `${i} ${line}`;
      const [fromReal, fromOurs] = await Promise.all([ovs.ofctl(words), ofctl(target, ovs.folder)]);
      real[name] = normal(fromReal);
      onOurs[name] = normal(fromOurs);
      ours[name] = normal(own.ofctl(words));
    }
  } finally {
    served.close();
    await ovs.stop();
  }
  const differing = (shown: typeof real) =>
    Object.keys(real).filter((name) => shown[name]?.join('\n') !== real[name]?.join('\n'));
  const only = (shown: typeof real, names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, shown[name]]));
  t.deepEqual(
    only(onOurs, differing(onOurs)),
    only(real, differing(onOurs)),
    'what the real ovs-ofctl shows of our switch',
  );
  t.deepEqual(
    only(ours, differing(ours)),
    only(real, differing(ours)),
    'what our ovs-ofctl shows of our switch',
  );
}

testWithOvs('ovs-ofctl shows flows as Open vSwitch does', async (t) => {
  await compare(t, [
    'add-flow br0 priority=7,tcp,tp_dst=80,actions=output:2,controller',
    'add-flow br0 in_port=1,dl_src=02:00:00:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=flood',
    'add-flow br0 ip,nw_src=10.0.0.0/8,nw_dst=10.0.0.1/255.0.255.0,actions=output:77',
    'add-flow br0 arp,arp_op=1,arp_tpa=10.0.0.0/8,actions=flood,controller:128,local',
    'add-flow br0 arp,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02,arp_spa=1.2.3.4,actions=all',
    'add-flow br0 ip,nw_ecn=1,ip_dscp=4,actions=normal',
    'add-flow br0 icmp,icmp_type=8,icmp_code=0,actions=in_port',
    'add-flow br0 tcp6,tcp_dst=80,actions=normal',
    'add-flow br0 ipv6,ipv6_src=fe80::1,ipv6_dst=2001:db8::/32,actions=1,2,3',
    'add-flow br0 dl_vlan=5,dl_vlan_pcp=3,actions=pop_vlan,output:1',
    'add-flow br0 dl_vlan=0xffff,actions=push_vlan:0x8100,set_field:4101->vlan_vid,output:1',
    'add-flow br0 vlan_vid=0x1000/0x1000,actions=drop',
    'add-flow br0 tcp,tcp_src=9,actions=set_field:5->tcp_dst,set_field:1.2.3.4->ip_dst,mod_nw_ttl:9,dec_ttl,output:2',
    'add-flow br0 udp,udp_src=9,actions=set_field:9->ip_dscp,set_field:02:00:00:00:00:09->eth_src,output:2',
    'add-flow br0 metadata=5,actions=write_metadata:0x1/0xf,goto_table:3',
    'add-flow br0 metadata=6/0xff,actions=clear_actions,write_actions(output:1),goto_table:3',
    'add-flow br0 table=3,in_port=4,actions=set_queue:1,output:1',
    'add-flow br0 cookie=0x5,idle_timeout=60,hard_timeout=70,send_flow_rem,no_packet_counts,priority=3,actions=drop',
    'add-flow br0 dl_type=0x88cc,actions=controller',
    'add-flow br0 in_port=LOCAL,actions=output:1',
    'dump-flows br0',
    'dump-flows br0 tcp',
    'dump-flows br0 table=3',
    'dump-flows br0 out_port=1',
    'dump-flows br0 cookie=0x5/-1',
    'dump-aggregate br0',
    'dump-aggregate br0 table=0,ip',
    'dump-tables br0',
    'mod-flows br0 tcp,actions=output:3',
    '--strict mod-flows br0 priority=7,tcp,tp_dst=80,actions=output:1',
    'dump-flows br0 tcp',
    '--strict del-flows br0 priority=7,tcp',
    'del-flows br0 out_port=3',
    'dump-flows br0',
    'del-flows br0 cookie=0x5/-1',
    'del-flows br0 table=3',
    'dump-flows br0',
    'del-flows br0',
    'dump-flows br0',
  ]);
});

testWithOvs('ovs-ofctl shows groups and meters as Open vSwitch does', async (t) => {
  await compare(t, [
    'add-group br0 group_id=1,type=select,bucket=weight:2,actions=output:1,bucket=actions=output:2',
    'add-group br0 group_id=2,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_port:2,actions=output:2',
    'add-group br0 group_id=6,type=all,bucket=actions=group:6',
    'add-group br0 group_id=23,type=select,bucket=weight:0,actions=output:1',
    'add-group br0 group_id=24,type=all',
    'add-group br0 group_id=25,type=select,bucket=output:1,output:2,bucket=output:3',
    'add-group br0 group_id=26,type=fast_failover,bucket=watch_group:25,output:1',
    'add-group br0 group_id=29,type=indirect,bucket=actions=drop',
    'add-group br0 group_id=4294967040,type=all,bucket=set_field:9->ip_dscp,output:local',
    'dump-groups br0',
    'dump-group-stats br0',
    'dump-group-stats br0 group_id=25',
    'mod-group br0 group_id=25,type=all,bucket=output:1',
    'add-flow br0 tcp,actions=group:25',
    'add-flow br0 udp,actions=write_actions(group:25)',
    'add-flow br0 arp,actions=output:1',
    'dump-group-stats br0 group_id=25',
    'dump-flows br0',
    'del-groups br0 group_id=25',
    'del-groups br0 group_id=99',
    'dump-flows br0',
    'dump-groups br0',
    'add-meter br0 meter=1,kbps,band=type=drop,rate=1000',
    'add-meter br0 meter=5,pktps,burst,stats,band=type=drop,rate=1000,burst_size=10',
    'add-meter br0 meter=13,kbps,stats,burst,bands=type=drop,rate=3,burst_size=7,type=drop,rate=6,burst_size=5',
    'dump-meters br0',
    'dump-meter br0 meter=13',
    'add-flow br0 ip,actions=meter:5,output:2',
    'meter-stats br0 meter=5',
    'mod-meter br0 meter=5,pktps,burst,band=type=drop,rate=2000,burst_size=10',
    'meter-stats br0',
    'del-meter br0 meter=5',
    'dump-flows br0',
    'del-meters br0',
    'dump-meters br0',
    'del-groups br0',
    'dump-groups br0',
  ]);
});

testWithOvs('ovs-ofctl is refused what Open vSwitch refuses, in its words', async (t) => {
  await compare(t, [
    'add-flow br0 actions=group:9',
    'add-flow br0 actions=meter:9,output:1',
    'add-flow br0 tcp',
    'add-flow br0 tcp,actions=foo',
    'add-flow br0 nonsense,actions=drop',
    'add-flow br0 nonsense=1,actions=drop',
    'add-flow br0 priority=70000,actions=drop',
    'add-flow br0 table=254,actions=drop',
    'add-flow br0 table=3,actions=goto_table:2',
    'add-flow br0 in_port=1,actions=set_field:4101->vlan_vid,output:2',
    'add-flow br0 in_port=1,actions=set_field:0x800->eth_type',
    'add-flow br0 ip,actions=set_field:6->ip_proto',
    'add-flow br0 in_port=1,actions=set_field:1->nothing',
    'add-flow br0 in_port=1,actions=set_field:1',
    'add-flow br0 in_port=3,actions=output:1,meter:1',
    'add-flow br0 actions=drop,output:1',
    'add-flow br0 priority=7,ip,actions=output:1',
    'add-flow br0 check_overlap,priority=7,tcp,actions=drop',
    'add-group br0 group_id=1,type=all,bucket=actions=output:1',
    'add-group br0 group_id=1,type=all,bucket=actions=output:1',
    'mod-group br0 group_id=5,type=all,bucket=actions=output:1',
    'add-group br0 group_id=3,type=indirect,bucket=actions=output:1,bucket=actions=output:2',
    'add-group br0 group_id=4,type=foo,bucket=actions=output:1',
    'add-group br0 type=all,bucket=actions=output:1',
    'add-group br0 group_id=4,bucket=actions=output:1',
    'add-group br0 group_id=21,type=all,bucket=weight:3,actions=output:1',
    'add-group br0 group_id=22,type=ff,bucket=actions=output:1',
    'add-group br0 group_id=30,type=all,bucket=bad:3,output:1',
    'add-group br0 group_id=4294967041,type=all',
    'add-meter br0 meter=1,kbps,band=type=drop,rate=1000',
    'add-meter br0 meter=1,kbps,band=type=drop,rate=1000',
    'mod-meter br0 meter=3,kbps,band=type=drop,rate=1000',
    'del-meter br0 meter=9',
    'add-meter br0 meter=6,band=type=drop,rate=3',
    'add-meter br0 kbps,band=type=drop,rate=3',
    'add-meter br0 meter=7,kbps',
    'add-meter br0 meter=8,kbps,band=type=drop',
    'add-meter br0 meter=9,kbps,band=rate=3',
    'add-meter br0 meter=11,kbps,burst,band=type=drop,rate=3',
    'add-meter br0 meter=12,kbps,band=type=drop,rate=3,burst_size=7',
    'add-meter br0 meter=0,kbps,band=type=drop,rate=3',
    'add-meter br0 meter=14,foo,kbps,band=type=drop,rate=3',
    'meter-stats br0 meter=77',
    'dump-meter br0 meter=77',
    'nosuch br0',
    'dump-flows',
  ]);
});

testWithOvs(
  'ports, features and packets of our switch are the same to the real ovs-ofctl and to ours',
  async (t) => {
    const served = new OurSwitch(PORTS);
    const own = new OurSwitch(PORTS);
    t.teardown(() => served.close());
    const port = await served.listen();
    const frame = `ffffffffffff0200000000010806${'00'.repeat(46)}`;
    for (const line of [
      'show br0',
      'mod-port br0 1 down',
      'mod-port br0 2 no-forward',
      'mod-port br0 9 down',
      'dump-ports-desc br0',
      'mod-port br0 2 forward',
      'mod-port br0 1 up',
      'show br0',
      `packet-out br0 in_port=controller,packet=${frame},actions=flood`,
      `packet-out br0 in_port=2,packet=${frame},actions=1,3,local`,
      'dump-ports br0',
      'dump-ports br0 1',
      'queue-stats br0',
      'dump-desc br0',
      'dump-group-features br0',
      'meter-features br0',
      'dump-tables br0',
      'get-frags br0',
    ]) {
      const words = line.split(' ');
      const target = words.map((word) => (word === 'br0' ? `tcp:127.0.0.1:${port}` : word));
      t.deepEqual(normal(own.ofctl(words)), normal(await ofctl(target, '/nonexistent')), line);
    }
  },
);
