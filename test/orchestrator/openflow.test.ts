import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { OpenFlowRequest } from '../../nodes/commands.ts';
import type { EventId } from '../../nodes/events/record.ts';
import { render } from '../../orchestrator/cli/trace.ts';
import { followPacket } from '../../orchestrator/observe/packet-path.ts';
import type { SimLab } from '../../orchestrator/simulate/sim-lab.ts';
import { run, verifies } from '../support/lab.ts';
import { temporaryFolder } from '../support/nats.ts';
import { recordsOf, settle, simulate, snapshotOf } from '../support/sim.ts';
import { complaints, testWithTshark, tshark } from '../support/tshark.ts';
import { simulateCapture } from './capture/simulated.ts';

const EXAMPLE = readFileSync('examples/openflow.yaml', 'utf8');

/** Two switches, a host on each, and a controller beside them. */
function lab(
  failMode: string,
  program = 'learning-switch',
  flows: Readonly<Record<string, string>> = {},
): string {
  return `
name: sdn
topology:
  nodes:
    s1: { kind: switch, openflow: { failMode: ${failMode}${flows.s1 ?? ''} } }
    s2: { kind: switch, openflow: { failMode: ${failMode}${flows.s2 ?? ''} } }
    ctl: { kind: controller, controller: { program: ${program} } }
    h1: { kind: host, interfaces: { eth0: { address: 10.1.0.1/24 } } }
    h2: { kind: host, interfaces: { eth0: { address: 10.1.0.2/24 } } }
    h3: { kind: host, interfaces: { eth0: { address: 10.1.0.3/24 } } }
  links:
    - endpoints: ["s1:eth1", "h1:eth0"]
    - endpoints: ["s2:eth1", "h2:eth0"]
    - endpoints: ["s1:eth2", "s2:eth2"]
    - endpoints: ["s1:eth3", "h3:eth0"]
segments:
  mgmt: { subnet: 192.168.100.0/24, nodes: [ctl, s1, s2] }
`;
}

async function ping(sim: SimLab, from: string, to: string): Promise<number> {
  return (await run(sim, from, `ping -n -c 1 -W 1 ${to}`)).code;
}

async function flowsOf(sim: SimLab, node: string): Promise<string[]> {
  const { output } = await run(sim, node, 'ovs-ofctl dump-flows br0');
  return output
    .split('\n')
    .filter((line) => line.startsWith(' cookie='))
    .map((line) => line.replace(/^.*n_bytes=\d+, /, ''));
}

test('hosts reach each other over switches that a controller teaches', async (t) => {
  const sim = await simulate(EXAMPLE);
  for (const [from, to] of [
    ['h1', '10.1.0.2'],
    ['h1', '10.1.0.3'],
    ['h3', '10.1.0.2'],
  ] as const)
    t.is(await ping(sim, from, to), 0, `${from} ${to}`);
  const flows = await flowsOf(sim, 's1');
  t.is(flows.at(-1), 'priority=0 actions=CONTROLLER:65535');
  t.true(
    flows.includes(
      'idle_timeout=60, priority=1,in_port=1,dl_src=02:52:00:05:00:00,dl_dst=02:52:00:06:00:00 actions=output:2',
    ),
    flows.join('\n'),
  );
  const { openflow } = (await snapshotOf(sim, 'ctl')).view;
  t.deepEqual(openflow.switches, [
    { datapathId: '0000000000000001', address: '192.168.100.2' },
    { datapathId: '0000000000000002', address: '192.168.100.3' },
    { datapathId: '0000000000000003', address: '192.168.100.4' },
  ]);
  t.true(
    openflow.hosts.some(
      ({ datapathId, ip, port }) => datapathId.endsWith('3') && ip === '10.1.0.1' && port === 2,
    ),
  );
  await settle(sim);
  await verifies(t, sim);
  // Without packets the learned flows go, and the table-miss flow stays.
  await sim.sleep(90_000);
  t.deepEqual(await flowsOf(sim, 's1'), ['priority=0 actions=CONTROLLER:65535']);
  await verifies(t, sim);
});

test('a switch that fails secure keeps its flows without the controller and takes nothing new', async (t) => {
  const sim = await simulate(lab('secure'));
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  t.is(await ping(sim, 'h3', '10.1.0.2'), 0);
  await sim.act({ type: 'kill', node: 'ctl', how: 'silent' });
  await sim.sleep(20_000);
  t.regex(
    (await run(sim, 's1', 'ovs-vsctl show')).output,
    /Controller "tcp:192\.168\.100\.1:6653"\n {8}fail_mode: secure/,
  );
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 1);
  await sim.act({ type: 'start', node: 'ctl' });
  await sim.sleep(10_000);
  await settle(sim);
  t.regex((await run(sim, 's1', 'ovs-vsctl show')).output, /is_connected: true/);
  // It starts anew: nothing is left of what the controller before has taught.
  t.is(await ping(sim, 'h1', '10.1.0.3'), 0);
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  await verifies(t, sim);
});

test('a switch that stands alone learns, once the controller is gone for three probe intervals', async (t) => {
  const sim = await simulate(lab('standalone'));
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  await sim.act({ type: 'kill', node: 'ctl', how: 'reset' });
  await sim.sleep(14_000);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 1);
  await sim.sleep(2_000);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 0);
  const { output } = await run(sim, 's1', 'ovs-appctl fdb/show br0');
  t.regex(output, /^ port {2}VLAN {2}MAC {16}Age\n/);
  t.regex(output, / {4}3 {5}0 {2}02:52:00:06:00:00 {4}0/);
  await verifies(t, sim);
  await sim.act({ type: 'start', node: 'ctl' });
  await sim.sleep(10_000);
  await settle(sim);
  t.is((await run(sim, 's1', 'ovs-appctl fdb/show br0')).output.split('\n').length, 2);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 0);
  await verifies(t, sim);
  const modes = (await recordsOf(sim, 's1')).flatMap(({ event }) => ('mode' in event ? [event.mode] : []));
  t.deepEqual(modes, ['standalone', 'controlled']);
});

test('the controller probes a silent switch, and the switch a silent controller', async (t) => {
  const sim = await simulate(lab('secure'));
  const before = (await recordsOf(sim, 's1')).length;
  await sim.sleep(120_000);
  const after = await recordsOf(sim, 's1');
  t.false(after.slice(before).some(({ event }) => event.type === 'openflow.channel'));
  await sim.act({ type: 'kill', node: 'ctl', how: 'silent' });
  await sim.sleep(10_100);
  const lost = (await recordsOf(sim, 's1')).at(-1)?.event;
  t.like(lost, {
    type: 'openflow.channel',
    state: 'disconnected',
    reason: 'no response to inactivity probe',
  });
});

test('a hub floods, static flows are those of the lab file', async (t) => {
  const hub = await simulate(lab('secure', 'hub'));
  t.is(await ping(hub, 'h1', '10.1.0.2'), 0);
  t.deepEqual(await flowsOf(hub, 's1'), ['priority=0 actions=FLOOD']);
  const fixed = await simulate(
    lab('secure', 'static', {
      s1: ", flows: ['in_port=1,actions=output:2', 'in_port=2,actions=output:1']",
      s2: ", flows: ['actions=NORMAL']",
    }),
  );
  t.is(await ping(fixed, 'h1', '10.1.0.2'), 0);
  t.is(await ping(fixed, 'h3', '10.1.0.2'), 1);
  await verifies(t, fixed);
});

test('an ARP responder answers for the hosts that it knows', async (t) => {
  const sim = await simulate(lab('secure', 'arp-responder'));
  t.is(await ping(sim, 'h2', '10.1.0.1'), 0);
  const before = (await recordsOf(sim, 'h2')).length;
  await run(sim, 'h3', 'arping -c 1 -w 1 -I eth0 10.1.0.2');
  const { output, code } = await run(sim, 'h3', 'arping -c 1 -w 1 -I eth0 10.1.0.2');
  t.is(code, 0, output);
  t.regex(output, /02:52:00:05:00:00/i);
  t.is((await recordsOf(sim, 'h2')).length, before);
});

test('flows are shown and changed over the bus, and what is wrong is said', async (t) => {
  const sim = await simulate(lab('secure'));
  const ask = (request: OpenFlowRequest) => sim.command('ctl', { type: 'openflow', request });
  t.deepEqual(await ask({ op: 'switches' }), {
    type: 'value',
    value: [
      { name: 's1', datapathId: '0000000000000001', address: '192.168.100.2' },
      { name: 's2', datapathId: '0000000000000002', address: '192.168.100.3' },
    ],
  });
  const flow = 'priority=100,icmp,actions=drop';
  t.deepEqual(await ask({ op: 'flow-mod', switch: 's1', command: 'add', flow }), {
    type: 'value',
    value: null,
  });
  t.is(await ping(sim, 'h1', '10.1.0.2'), 1);
  const shown = await ask({ op: 'flows', switch: 's1' });
  t.regex(JSON.stringify(shown), /n_packets=1, n_bytes=98, priority=100,icmp actions=drop/);
  await ask({ op: 'flow-mod', switch: 's1', command: 'delete', flow: 'icmp' });
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  const refused = await ask({
    op: 'flow-mod',
    switch: 's1',
    command: 'add',
    flow: 'table=3,actions=goto_table:2',
  });
  t.like(refused, { type: 'error' });
  t.like(await ask({ op: 'flow-mod', switch: 's1', command: 'add', flow: 'nonsense,actions=drop' }), {
    type: 'error',
    message: 'field nonsense missing value',
  });
  t.like(await ask({ op: 'flows', switch: 's9' }), {
    type: 'error',
    message: 'no switch s9 is connected; there are: s1, s2',
  });
  await verifies(t, sim);
});

test("Open vSwitch's tools read and change a switch", async (t) => {
  const sim = await simulate(lab('secure'));
  const text = async (line: string) => (await run(sim, 's1', line)).output;
  t.is(await text('ovs-vsctl list-br'), 'br0\n');
  t.is(await text('ovs-vsctl get-controller br0'), 'tcp:192.168.100.1:6653\n');
  t.is(await text('ovs-ofctl add-flow br0 priority=7,arp,actions=drop'), '');
  t.true((await flowsOf(sim, 's1')).includes('priority=7,arp actions=drop'));
  await text('ovs-ofctl mod-flows br0 arp,actions=flood');
  t.true((await flowsOf(sim, 's1')).includes('priority=7,arp actions=FLOOD'));
  await text('ovs-ofctl --strict del-flows br0 priority=7,arp');
  t.false((await flowsOf(sim, 's1')).some((line) => line.includes('arp')));
  t.regex(
    await text('ovs-ofctl show br0'),
    /dpid:0000000000000001\n[\s\S]* 1\(eth1\): addr:02:52:00:01:00:01\n/,
  );
  t.regex(
    await text('ovs-ofctl dump-ports br0'),
    /^OFPST_PORT reply \(OF1\.3\) \(xid=0x2\): 4 ports\n {2}port LOCAL: rx pkts=/,
  );
  await text('ovs-ofctl add-flow br0 priority=8,arp,in_port=eth1,actions=eth2,output:"eth3",br0');
  t.true((await flowsOf(sim, 's1')).includes('priority=8,arp,in_port=1 actions=output:2,output:3,LOCAL'));
  await text('ovs-vsctl set-fail-mode br0 standalone');
  t.is(await text('ovs-vsctl get-fail-mode br0'), 'standalone\n');
  t.is(await text('ovs-ofctl dump-flows br9'), 'ovs-ofctl: br9 is not a bridge or a socket\n');
  t.is((await run(sim, 'h1', 'ovs-vsctl show')).code, 1);
  t.regex(await text('ip link show eth1'), / master ovs-system /);
  await verifies(t, sim);
});

test('groups, meters and settings of ports are made, shown, folded and taken away', async (t) => {
  const sim = await simulate(lab('secure'));
  const text = async (line: string) => (await run(sim, 's1', line)).output;
  const make = async (line: string) => t.is(await text(`ovs-ofctl -O OpenFlow13 ${line}`), '', line);
  await make('add-group br0 group_id=1,type=ff,bucket=watch_port:2,output:2,bucket=watch_port:3,output:3');
  await make('add-group br0 group_id=2,type=select,bucket=weight:2,output:2,bucket=output:3');
  await make('add-meter br0 meter=1,pktps,burst,stats,band=type=drop,rate=1,burst_size=2');
  await make('add-flow br0 priority=50,in_port=1,icmp,actions=meter:1,group:1');
  await make('mod-port br0 eth3 no-forward');
  await verifies(t, sim);
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  const { output } = await run(sim, 'h1', 'ping -n -c 6 -i 0.1 -W 1 10.1.0.2');
  t.regex(output, /6 packets transmitted, [12] received/);
  t.regex(
    await text('ovs-ofctl dump-group-stats br0 group_id=1'),
    / group_id=1,duration=[\d.]+s,ref_count=1,packet_count=[23],byte_count=\d+,bucket0:packet_count=[23],byte_count=\d+,bucket1:packet_count=0,byte_count=0\n/,
  );
  t.regex(
    await text('ovs-ofctl meter-stats br0 meter=1'),
    /meter:1 flow_count:1 packet_in_count:7 byte_in_count:686 duration:[\d.]+s bands:\n0: packet_count:[45] /,
  );
  t.is(
    await text('ovs-ofctl dump-groups br0'),
    'OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n' +
      ' group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3\n' +
      ' group_id=2,type=select,bucket=weight:2,actions=output:2,bucket=actions=output:3\n',
  );
  t.regex(await text('ovs-ofctl show br0'), / 3\(eth3\): addr:[0-9a-f:]+\n {5}config: {5}NO_FWD\n/);
  t.not(await ping(sim, 'h1', '10.1.0.3'), 0);
  await verifies(t, sim);
  await make('mod-port br0 eth3 forward');
  await make('del-meter br0 meter=1');
  t.false((await text('ovs-ofctl dump-flows br0')).includes('meter'));
  await make('add-flow br0 priority=51,in_port=1,icmp,actions=group:1');
  await make('del-groups br0');
  t.is(await text('ovs-ofctl dump-groups br0'), 'OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n');
  t.false((await text('ovs-ofctl dump-flows br0')).includes('group'));
  await verifies(t, sim);
});

test("a bridge's own device is its port LOCAL", async (t) => {
  const sim = await simulate(lab('secure'));
  const text = async (line: string) => (await run(sim, 's1', line)).output;
  t.regex(
    await text('ovs-ofctl show br0'),
    / LOCAL\(br0\): addr:[0-9a-f:]+\n {5}config: {5}PORT_DOWN\n {5}state: {6}LINK_DOWN\n/,
  );
  await text('ip addr add 10.1.0.100/24 dev br0');
  await text('ip link set br0 up');
  t.regex(await text('ip link show br0'), /br0: <BROADCAST,MULTICAST,UP,LOWER_UP>/);
  t.is(await ping(sim, 'h1', '10.1.0.100'), 0);
  t.is(await ping(sim, 's1', '10.1.0.2'), 0);
  t.regex(await text('ovs-ofctl dump-flows br0'), /in_port=LOCAL,.*actions=output:1/);
  await verifies(t, sim);
});

test('of two controllers the master decides, and the slave takes over when it is told to', async (t) => {
  const two = lab('secure')
    .replaceAll('openflow: { failMode: secure }', 'openflow: { failMode: secure, controllers: [ctl, spare] }')
    .replace('program: learning-switch }', 'program: learning-switch, role: master }')
    .replace(
      '    h1:',
      '    spare: { kind: controller, controller: { program: learning-switch, role: slave } }\n    h1:',
    )
    .replace('nodes: [ctl, s1, s2]', 'nodes: [ctl, spare, s1, s2]');
  const sim = await simulate(two);
  const roles = async () => {
    const [bridge] = (await snapshotOf(sim, 's1')).view.openflow.bridges;
    return bridge?.connections.map(({ state, role }) => (state === 'connected' ? role : state));
  };
  t.deepEqual(await roles(), ['master', 'slave']);
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  const ask = (node: string, request: OpenFlowRequest) => sim.command(node, { type: 'openflow', request });
  const flow = 'priority=9,arp,actions=drop';
  t.like(await ask('spare', { op: 'flow-mod', switch: 's1', command: 'add', flow }), {
    type: 'error',
    message: 'the switch refused it: OFPBRC_IS_SLAVE',
  });
  t.is((await ask('spare', { op: 'flows', switch: 's1' })).type, 'value');
  t.regex(
    (await run(sim, 's1', 'ovs-vsctl show')).output,
    /(Controller.*\n +is_connected: true\n +){2}fail_mode/,
  );
  await settle(sim);
  await verifies(t, sim);
  await sim.act({ type: 'kill', node: 'ctl', how: 'silent' });
  await sim.sleep(15_000);
  t.deepEqual(await roles(), ['disconnected', 'slave']);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 1);
  t.deepEqual(await ask('spare', { op: 'role', role: 'master' }), { type: 'value', value: null });
  t.deepEqual(await roles(), ['disconnected', 'master']);
  // h1 has given up asking for the address.
  await sim.sleep(2_000);
  t.is(await ping(sim, 'h1', '10.1.0.3'), 0);
  await verifies(t, sim);
  // It comes back, and is chosen after the other one.
  await sim.act({ type: 'start', node: 'ctl' });
  await sim.sleep(12_000);
  await settle(sim);
  t.deepEqual(await roles(), ['master', 'slave']);
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  await verifies(t, sim);
});

test('a port that goes down is told of, and comes back', async (t) => {
  const sim = await simulate(lab('secure'));
  t.is(await ping(sim, 'h1', '10.1.0.2'), 0);
  await sim.act({ type: 'link', node: 's1', device: 'eth1', carrier: 'down' });
  t.regex((await run(sim, 's1', 'ovs-ofctl show br0')).output, /1\(eth1\)[^(]*LINK_DOWN/);
  t.not(await ping(sim, 'h1', '10.1.0.2'), 0);
  await sim.act({ type: 'link', node: 's1', device: 'eth1', carrier: 'up' });
  // Once h1 asks again for the address that it has asked for in vain.
  t.is((await run(sim, 'h1', 'ping -n -c 1 -W 3 10.1.0.2')).code, 0);
  await verifies(t, sim);
});

testWithTshark('tshark reads what a controller and its switches say on the wire', async (t) => {
  const captured = await simulateCapture(lab('secure'), ['ctl:eth0'], async (sim) => {
    await run(sim, 'h1', 'ping -n -c 1 -W 1 10.1.0.2');
    await sim.command('ctl', { type: 'openflow', request: { op: 'flows', switch: 's1' } });
    await run(sim, 's1', 'ovs-ofctl add-flow br0 priority=9,arp,hard_timeout=1,send_flow_rem,actions=drop');
    await sim.act({ type: 'link', node: 's1', device: 'eth3', carrier: 'down' });
    await sim.sleep(12_000);
  });
  const file = join(temporaryFolder(t), 'openflow.pcapng');
  writeFileSync(file, captured.bytes);
  t.deepEqual(await complaints(file), []);
  const lines = await tshark(file, '-Y', 'openflow_v4', '-T', 'fields', '-e', 'openflow_v4.type');
  const types = new Set(lines.flatMap((line) => line.split(',')));
  // HELLO, ECHO, FEATURES, SET_CONFIG, PACKET_IN, FLOW_REMOVED, PORT_STATUS, PACKET_OUT, FLOW_MOD, MULTIPART, BARRIER
  const all = ['0', '2', '3', '5', '6', '9', '10', '11', '12', '13', '14', '18', '19', '20', '21'];
  t.deepEqual(
    all.filter((type) => !types.has(type)),
    [],
  );
});

test('a traced packet tells the flow of every table that it goes through', async (t) => {
  const sim = await simulate(lab('secure', 'static'));
  const trace = async () => {
    const reply = await sim.command('h1', {
      type: 'trace',
      pod: '',
      target: '10.1.0.2',
      packet: { proto: 'icmp' },
    });
    const start = (reply.type === 'value' ? reply.value : 0) as EventId;
    const path = await followPacket(sim, start, { node: 'h1', ns: '' }, 5_000);
    const source = { node: 'h1', pod: '' };
    const text = render(path, { from: 'h1', to: 'h2', source, packet: { proto: 'icmp' }, all: false });
    return {
      outcome: path.outcome,
      rows: text.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | ')),
    };
  };
  for (const node of ['s1', 's2']) {
    await run(sim, node, 'ovs-ofctl add-flow br0 priority=10,arp,actions=FLOOD');
    await run(sim, node, 'ovs-ofctl add-flow br0 priority=10,icmp,actions=goto_table:3');
    await run(sim, node, 'ovs-ofctl add-flow br0 table=3,in_port=1,actions=output:2');
  }
  const missed = await trace();
  t.is(missed.outcome, 'unanswered');
  t.true(missed.rows.includes('br0 table 0 | priority=10,icmp actions=goto_table:3'), missed.rows.join('\n'));
  t.true(missed.rows.includes('br0 table 3 | no flow takes it'));
  t.is(missed.rows.at(-3), '✘ no answer: dropped on s2 by br0 table 3, where no flow takes it');

  for (const node of ['s1', 's2'])
    await run(sim, node, 'ovs-ofctl add-flow br0 idle_timeout=60,table=3,in_port=2,actions=output:1');
  const answered = await trace();
  t.is(answered.outcome, 'answered');
  t.is(answered.rows.filter((row) => row === 'br0 table 3 | in_port=1 actions=output:2').length, 2);
  t.is(
    answered.rows.filter((row) => row === 'br0 table 3 | idle_timeout=60, in_port=2 actions=output:1').length,
    2,
  );

  await run(sim, 's2', 'ovs-ofctl add-flow br0 priority=20,icmp,actions=drop');
  const dropped = await trace();
  t.is(
    dropped.rows.at(-3),
    '✘ no answer: ended on s2 by br0 table 0, where it is taken by priority=20,icmp actions=drop',
  );
  await verifies(t, sim);
});
