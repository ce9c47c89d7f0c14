import test from 'ava';
import { OfConn } from '../../../nodes/daemons/openflow/ofconn.ts';
import { OpenFlowError } from '../../../protocols/openflow/constants.ts';
import { parseFlow } from '../../../protocols/openflow/flow-text.ts';
import type { OfBody } from '../../../protocols/openflow/message.ts';
import { OurSwitch } from '../../interop/openflow/ours.ts';

class Client {
  readonly got: OfBody[] = [];
  readonly conn: OfConn;
  readonly #one: OurSwitch;

  constructor(one: OurSwitch, name: string) {
    this.#one = one;
    this.conn = new OfConn(name, (body) => this.got.push(body));
    one.vswitchd.ofproto.attach(this.conn);
  }

  ask(body: OfBody): OfBody[] {
    this.got.length = 0;
    this.#one.vswitchd.ofproto.serve(this.conn, { xid: 7, body });
    return [...this.got];
  }

  role(role: 'nochange' | 'equal' | 'master' | 'slave', generationId = 0n): OfBody[] {
    return this.ask({ type: 'role_request', role, generationId });
  }

  error(body: OfBody): readonly [number, number] | null {
    try {
      this.ask(body);
      return null;
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      return [error.errorType, error.code];
    }
  }
}

const flow = (text: string, command: 'add' | 'delete' = 'add'): OfBody => ({
  type: 'flow_mod',
  command,
  bufferId: 0xffffffff,
  ...parseFlow(text),
});

test('a new master makes a slave of the old one, and an old generation is refused', (t) => {
  const one = new OurSwitch(['p1', 'p2']);
  const [a, b] = [new Client(one, 'tcp:a'), new Client(one, 'tcp:b')];
  // OFPGC undefined is all ones, as Open vSwitch has it.
  t.like(a.role('nochange')[0], { role: 'equal', generationId: 0xffffffffffffffffn });
  t.like(a.role('master', 5n)[0], { role: 'master', generationId: 5n });
  t.like(b.role('master', 6n)[0], { role: 'master', generationId: 6n });
  t.is(a.conn.role, 'slave');
  t.deepEqual(a.error({ type: 'role_request', role: 'master', generationId: 5n }), [11, 0]);
  t.is(a.conn.role, 'slave');
  // The number goes round: half of all of them are older.
  t.deepEqual(a.error({ type: 'role_request', role: 'slave', generationId: 6n + (1n << 63n) }), [11, 0]);
  t.is(a.error({ type: 'role_request', role: 'equal', generationId: 0n }), null);
  t.deepEqual(
    one.ports.rt.events.flatMap((event) =>
      event.type === 'openflow.role' ? [`${event.controller} ${event.role} ${event.generation}`] : [],
    ),
    ['tcp:a master 5', 'tcp:a slave 6', 'tcp:b master 6', 'tcp:a equal 6'],
  );
});

test('a slave asks and is answered, and changes nothing', (t) => {
  const one = new OurSwitch(['p1', 'p2']);
  const a = new Client(one, 'tcp:a');
  a.role('slave', 1n);
  const IS_SLAVE = [1, 10];
  t.deepEqual(a.error(flow('actions=drop')), IS_SLAVE);
  t.deepEqual(
    a.error({ type: 'packet_out', bufferId: 0xffffffff, inPort: 1, actions: [], data: new Uint8Array(60) }),
    IS_SLAVE,
  );
  t.deepEqual(
    a.error({ type: 'group_mod', command: 'add', group: 1, groupType: 'all', buckets: [] }),
    IS_SLAVE,
  );
  t.is(a.ask({ type: 'barrier_request' })[0]?.type, 'barrier_reply');
  t.is(a.ask({ type: 'multipart_request', request: { kind: 'group_desc' } })[0]?.type, 'multipart_reply');
});

test('packets go to master and equal, ports to all, and to whom it may concern by SET_ASYNC', (t) => {
  const one = new OurSwitch(['p1', 'p2']);
  const [a, b, c] = ['tcp:a', 'tcp:b', 'tcp:c'].map((name) => new Client(one, name)) as [
    Client,
    Client,
    Client,
  ];
  a.role('master', 1n);
  b.role('slave', 1n);
  a.ask(flow('priority=0,actions=controller'));
  const heard = (act: () => void) => {
    for (const client of [a, b, c]) client.got.length = 0;
    act();
    return [a, b, c].map(({ got }) => got.map(({ type }) => type).join());
  };
  const packet = () => one.ports.send(0, new Uint8Array(60));
  const port = () => one.ports.root.setDown('p2');
  t.deepEqual(heard(packet), ['packet_in', '', 'packet_in']);
  t.deepEqual(heard(port), ['port_status', 'port_status', 'port_status']);
  b.ask({ type: 'set_async', packetIn: [0, 1], portStatus: [7, 0], flowRemoved: [0, 0] });
  t.like(b.ask({ type: 'get_async_request' })[0], { packetIn: [0, 1], portStatus: [7, 0] });
  t.deepEqual(heard(packet), ['packet_in', 'packet_in', 'packet_in']);
  t.deepEqual(
    heard(() => one.ports.root.setUp('p2')),
    ['port_status', '', 'port_status'],
  );
  const removal = flow('priority=5,send_flow_rem,actions=drop');
  a.ask(removal);
  t.deepEqual(
    heard(() => a.ask(flow('priority=5', 'delete'))),
    ['flow_removed', '', 'flow_removed'],
  );
});
