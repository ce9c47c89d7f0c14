import test from 'ava';
import { formatIp4 } from '../../../../protocols/ip4.ts';
import { validateIpv4 } from '../../../../protocols/ipv4.ts';
import { OpenFlowError } from '../../../../protocols/openflow/constants.ts';
import { decodeTcp } from '../../../../protocols/tcp/segment.ts';
import { FakeSwitch, ip, tcp } from './fake-switch.ts';

const A = ip('10.0.0.1');
const B = ip('10.0.0.2');

test('the highest priority takes a packet, and what none takes is dropped', (t) => {
  const s = new FakeSwitch();
  t.deepEqual(s.send(tcp(A, B, 80)), []);
  s.add(
    'priority=10,ip,actions=output:2',
    'priority=20,tcp,tp_dst=80,actions=output:3',
    'priority=5,actions=output:4',
  );
  t.deepEqual(s.send(tcp(A, B, 80)), [3]);
  t.deepEqual(s.send(tcp(A, B, 81)), [2]);
  t.deepEqual(s.priorities, [20, 10, 5]);
  t.deepEqual(
    s.pipeline.flows().map(({ packets, bytes }) => [packets, bytes]),
    [
      [1, 58],
      [1, 58],
      [0, 0],
    ],
  );
});

test('addresses match by their masks, and a port by its number', (t) => {
  const s = new FakeSwitch();
  s.add(
    'priority=2,ip,nw_dst=10.0.0.0/30,in_port=1,actions=output:2',
    'priority=1,ip,nw_dst=10.0.0.0/8,actions=output:3',
  );
  t.deepEqual(s.send(tcp(A, B, 80)), [2]);
  t.deepEqual(s.send(tcp(A, B, 80), 7), [3]);
  t.deepEqual(s.send(tcp(A, ip('10.0.0.4'), 80)), [3]);
  t.deepEqual(s.send(tcp(A, ip('11.0.0.4'), 80)), []);
});

test('a table miss tells the controller so, another flow says that an action did', (t) => {
  const s = new FakeSwitch();
  s.add(
    'priority=0,actions=CONTROLLER:65535',
    'cookie=0x7,priority=1,tcp,tp_dst=80,actions=CONTROLLER:20,output:2',
  );
  s.send(tcp(A, B, 81));
  t.deepEqual(s.send(tcp(A, B, 80)), [2]);
  t.deepEqual(
    s.packetIns.map(({ reason, table, cookie, maxLen, inPort }) => [reason, table, cookie, maxLen, inPort]),
    [
      ['no_match', 0, 0n, 65_535, 1],
      ['action', 0, 7n, 20, 1],
    ],
  );
});

test('tables follow one another with metadata and an action set', (t) => {
  const s = new FakeSwitch();
  s.add(
    'priority=1,in_port=1,actions=write_actions(output:5),write_metadata:0x1,goto_table:1',
    'priority=1,in_port=2,actions=write_actions(output:5),write_metadata:0x2,goto_table:1',
    'table=1,metadata=0x1,actions=write_actions(set_field:10.0.0.9->ipv4_dst,output:6)',
    'table=1,metadata=0x2,actions=clear_actions',
  );
  t.deepEqual(s.send(tcp(A, B, 80), 1), [6]);
  const { frame } = s.sent[0]!;
  t.is(formatIp4(ip('10.0.0.9')), '10.0.0.9');
  t.is(validateIpv4(frame, 14, frame.length - 14), 'ok');
  t.not(decodeTcp(frame, 34, frame.length - 34, A, ip('10.0.0.9')), null);
  t.deepEqual(s.send(tcp(A, B, 80), 2), []);
  t.throws(() => s.add('table=1,actions=goto_table:1'), { instanceOf: OpenFlowError });
});

test('what is sent before a change is without it', (t) => {
  const s = new FakeSwitch();
  s.add(
    'actions=output:1,set_field:10.0.0.7->ipv4_src,set_field:99->tcp_dst,output:2,push_vlan:0x8100,set_field:4101->vlan_vid,output:3,pop_vlan,output:4',
  );
  t.deepEqual(s.send(tcp(A, B, 80)), [1, 2, 3, 4]);
  const [first, second, third, fourth] = s.sent.map(({ frame }) => frame);
  t.is(decodeTcp(first!, 34, first!.length - 34, A, B)?.dstPort, 80);
  t.is(decodeTcp(second!, 34, second!.length - 34, ip('10.0.0.7'), B)?.dstPort, 99);
  t.deepEqual([...third!.subarray(12, 18)], [0x81, 0, 0, 5, 8, 0]);
  t.deepEqual(fourth, second);
});

test('a TTL that is used up goes to the controller and no further', (t) => {
  const s = new FakeSwitch();
  s.add('actions=dec_ttl,output:2');
  const frame = tcp(A, B, 80);
  t.deepEqual(s.send(frame.slice()), [2]);
  t.is(s.sent[0]!.frame[22], 63);
  frame[22] = 1;
  t.deepEqual(s.send(frame), []);
  t.deepEqual(
    s.packetIns.map(({ reason }) => reason),
    ['invalid_ttl'],
  );
});

test('adding replaces the same flow with its counters, and refuses to overlap where asked', (t) => {
  const s = new FakeSwitch();
  s.add('priority=5,ip,actions=output:1');
  s.send(tcp(A, B, 80));
  s.add('priority=5,ip,actions=output:2');
  t.deepEqual(
    s.pipeline.flows().map(({ packets }) => packets),
    [0],
  );
  t.throws(() => s.add('priority=5,tcp,check_overlap,actions=output:3'), { instanceOf: OpenFlowError });
  s.add('priority=6,tcp,check_overlap,actions=output:3');
  t.deepEqual(s.priorities, [6, 5]);
  t.deepEqual(s.removed, []);
});

test('modify changes the instructions of what it covers, modify-strict of the one flow', (t) => {
  const s = new FakeSwitch();
  s.add(
    'priority=5,tcp,actions=output:1',
    'priority=6,tcp,tp_dst=80,actions=output:1',
    'priority=1,arp,actions=output:1',
  );
  s.send(tcp(A, B, 80));
  s.mod('modify', 'tcp,actions=output:9');
  const outs = () => s.pipeline.flows().map((flow) => flow.outputs(9));
  t.deepEqual(outs(), [true, true, false]);
  t.is(s.pipeline.flows()[0]!.packets, 1);
  s.mod('modify_strict', 'priority=5,tcp,actions=output:1');
  t.deepEqual(outs(), [true, false, false]);
  s.mod('modify', 'udp,actions=output:1');
  t.is(s.pipeline.flows().length, 3);
});

test('delete takes what it covers, by cookie and by port too', (t) => {
  const s = new FakeSwitch();
  const fill = () =>
    s.add(
      'cookie=1,priority=5,tcp,send_flow_rem,actions=output:1',
      'cookie=2,priority=6,tcp,tp_dst=80,actions=output:2',
      'table=3,priority=7,arp,actions=output:1',
    );
  fill();
  s.mod('delete_strict', 'table=0,priority=5,ip');
  t.is(s.priorities.length, 3);
  s.mod('delete_strict', 'table=0,priority=5,tcp');
  t.deepEqual(s.priorities, [6, 7]);
  t.deepEqual(
    s.removed.map(([, reason]) => reason),
    ['delete'],
  );
  fill();
  s.mod('delete', 'cookie=2/-1');
  t.deepEqual(s.priorities, [5, 7]);
  s.mod('delete', 'out_port=1,tcp');
  t.deepEqual(s.priorities, [7]);
  fill();
  s.mod('delete', '');
  t.deepEqual(s.priorities, []);
});

test('flows go when they are idle, and when their time is over', (t) => {
  const s = new FakeSwitch();
  s.add('priority=1,idle_timeout=10,actions=output:1', 'priority=2,hard_timeout=15,arp,actions=output:1');
  s.world.advance(6_000);
  s.send(tcp(A, B, 80));
  s.world.advance(8_999);
  t.is(s.priorities.length, 2);
  s.world.advance(1);
  t.deepEqual(
    s.removed.map(([{ priority }, reason]) => [priority, reason]),
    [[2, 'hard_timeout']],
  );
  s.world.advance(999);
  t.is(s.priorities.length, 1);
  s.world.advance(1);
  t.deepEqual(
    s.removed.map(([, reason]) => reason),
    ['hard_timeout', 'idle_timeout'],
  );
});
