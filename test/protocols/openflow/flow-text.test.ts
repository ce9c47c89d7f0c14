import test from 'ava';
import fc from 'fast-check';
import { formatFlow, formatTail, parseFlow } from '../../../protocols/openflow/flow-text.ts';
import { FlowSyntaxError } from '../../../protocols/openflow/match-text.ts';

/** What ovs-ofctl takes, and what its dump-flows shows of it behind the counters. */
const FLOWS = [
  ['priority=0,actions=CONTROLLER:65535', 'priority=0 actions=CONTROLLER:65535'],
  ['actions=NORMAL', 'actions=NORMAL'],
  ['actions=drop', 'actions=drop'],
  ['table=1,priority=10,in_port=1,actions=output:2', 'priority=10,in_port=1 actions=output:2'],
  ['in_port=1 actions=flood', 'in_port=1 actions=FLOOD'],
  [
    'priority=100,tcp,nw_src=10.0.0.0/8,tp_dst=80,idle_timeout=5,hard_timeout=60,send_flow_rem,actions=2,3',
    'idle_timeout=5, hard_timeout=60, send_flow_rem priority=100,tcp,nw_src=10.0.0.0/8,tp_dst=80 actions=output:2,output:3',
  ],
  [
    'dl_src=02:52:00:01:00:00,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=ALL',
    'dl_src=02:52:00:01:00:00,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=ALL',
  ],
  ['arp,arp_op=1,arp_tpa=10.0.0.2,actions=IN_PORT', 'arp,arp_tpa=10.0.0.2,arp_op=1 actions=IN_PORT'],
  ['dl_type=0x0806,nw_dst=10.0.0.2,actions=LOCAL', 'arp,arp_tpa=10.0.0.2 actions=LOCAL'],
  ['icmp,icmp_type=8,actions=output:1', 'icmp,icmp_type=8 actions=output:1'],
  ['dl_vlan=5,actions=pop_vlan,output:1', 'dl_vlan=5 actions=pop_vlan,output:1'],
  [
    'actions=push_vlan:0x8100,set_field:4101->vlan_vid,dec_ttl,mod_dl_dst:02:52:00:01:00:00,output:1',
    'actions=push_vlan:0x8100,set_field:4101->vlan_vid,dec_ttl,set_field:02:52:00:01:00:00->eth_dst,output:1',
  ],
  [
    'metadata=0x5/0xff,actions=write_metadata:0x1/0xf,goto_table:2',
    'metadata=0x5/0xff actions=write_metadata:0x1/0xf,goto_table:2',
  ],
  [
    'actions=clear_actions,write_actions(set_field:10.0.0.9->ipv4_dst,output:1)',
    'actions=clear_actions,write_actions(set_field:10.0.0.9->ip_dst,output:1)',
  ],
] as const;

for (const [text, shown] of FLOWS)
  test(`ovs-ofctl shows ${text}`, (t) => {
    const flow = parseFlow(text);
    t.is(formatTail(flow), shown);
    t.deepEqual(parseFlow(formatFlow(flow)), flow);
  });

test('what is no flow is said', (t) => {
  for (const text of [
    'priority=70000,actions=drop',
    'foo=1,actions=drop',
    'tp_dst=80,actions=drop',
    'in_port=x,actions=drop',
    'eth_type=0x800/0xff,actions=drop',
    'actions=output:nowhere',
    'actions=drop,output:1',
    'actions=set_field:1->nothing',
    'dl_vlan=70000,actions=drop',
  ])
    t.throws(() => parseFlow(text), { instanceOf: FlowSyntaxError }, text);
});

test('any text is a flow or a FlowSyntaxError', (t) => {
  const words = fc.constantFrom(
    'priority',
    '=',
    ',',
    'actions',
    ':',
    '(',
    ')',
    '/',
    'tcp',
    '10.0.0.1',
    '->',
    '0x',
    'output',
    'cookie',
    '-1',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((all) => all.join('')),
      ),
      (text) => {
        try {
          parseFlow(text);
        } catch (error) {
          if (!(error instanceof FlowSyntaxError)) throw error;
        }
      },
    ),
  );
  t.pass();
});
