import test from 'ava';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { writeEthernet } from '../../../protocols/ethernet.ts';
import { BROADCAST_MAC, formatMac } from '../../../protocols/mac.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const A = 0x0200000000aa;
const B = 0x0200000000bb;
const BRIDGE = 0x020000000001;

/** A bridge of three ports, up; `sent` tells by which ports frames have left since the last call. */
function bridged() {
  const world = new FakeWorld();
  const left: number[] = [];
  const kernel = new Kernel(world.runtime(), { timings, transmit: (port) => left.push(port) });
  const { root } = kernel;
  root.addBridge({ name: 'br0', mac: BRIDGE, mtu: 1500 });
  root.setUp('br0');
  for (const port of [0, 1, 2]) {
    root.addPort({ name: `p${port}`, mac: BRIDGE + 1 + port, mtu: 1500, port });
    root.setMaster(`p${port}`, 'br0');
    root.setUp(`p${port}`);
  }
  const receive = (port: number, dst: number, src: number) => {
    const frame = new Uint8Array(60);
    writeEthernet(frame, dst, src, 0x88b5);
    kernel.receive(port, frame);
    return left.splice(0);
  };
  const known = () => Object.fromEntries(root.fdb().map((row) => [row.mac, row.port]));
  return { world, kernel, root, receive, known };
}

test('what is unknown goes to all other ports, what is known to its own', (t) => {
  const { receive, known } = bridged();
  t.deepEqual(receive(0, B, A), [1, 2]);
  t.deepEqual(receive(1, A, B), [0]);
  t.deepEqual(receive(0, B, A), [1]);
  t.deepEqual(receive(0, BROADCAST_MAC, A), [1, 2]);
  t.deepEqual(receive(0, 0x01005e000001, A), [1, 2]);
  t.deepEqual(known(), { [formatMac(A)]: 'p0', [formatMac(B)]: 'p1' });
});

test('a frame for a station on its own segment stays there', (t) => {
  const { receive } = bridged();
  receive(0, BROADCAST_MAC, A);
  receive(0, BROADCAST_MAC, B);
  t.deepEqual(receive(0, B, A), []);
});

test('a station that moves is learned anew', (t) => {
  const { receive, known } = bridged();
  receive(0, BROADCAST_MAC, A);
  receive(2, BROADCAST_MAC, A);
  t.deepEqual(known(), { [formatMac(A)]: 'p2' });
  t.deepEqual(receive(1, A, B), [2]);
});

test('group and null source addresses are neither learned nor forwarded', (t) => {
  const { receive, known, kernel } = bridged();
  t.deepEqual(receive(0, B, BROADCAST_MAC), []);
  t.deepEqual(receive(0, B, 0), []);
  t.deepEqual(known(), {});
  t.is(kernel.drops.get('bad-source-mac'), 2);
});

test('an address is forgotten after the ageing time without a frame from it', (t) => {
  const { world, receive, known } = bridged();
  const { ageing } = timings.bridge;
  receive(0, BROADCAST_MAC, A);
  world.advance(ageing - 1000);
  receive(1, BROADCAST_MAC, B);
  receive(0, BROADCAST_MAC, A);
  world.advance(ageing - 1);
  t.deepEqual(Object.keys(known()).sort(), [formatMac(A), formatMac(B)]);
  world.advance(1);
  t.deepEqual(known(), {});
  t.deepEqual(receive(0, B, A), [1, 2]);
});

test('only the station that was silent is forgotten', (t) => {
  const { world, receive, known } = bridged();
  receive(0, BROADCAST_MAC, A);
  receive(1, BROADCAST_MAC, B);
  world.advance(timings.bridge.ageing / 2);
  receive(0, BROADCAST_MAC, A);
  world.advance(timings.bridge.ageing / 2);
  t.deepEqual(known(), { [formatMac(A)]: 'p0' });
  world.advance(timings.bridge.ageing / 2);
  t.deepEqual(known(), {});
});

test('a port that goes takes what was learned on it', (t) => {
  for (const go of ['down', 'carrier', 'leave', 'remove'] as const) {
    const { kernel, root, receive, known } = bridged();
    receive(0, BROADCAST_MAC, A);
    receive(1, BROADCAST_MAC, B);
    if (go === 'down') root.setDown('p0');
    if (go === 'carrier') kernel.setCarrier(0, 'down');
    if (go === 'leave') root.setMaster('p0', null);
    if (go === 'remove') root.removeDevice('p0');
    t.deepEqual(known(), { [formatMac(B)]: 'p1' }, go);
    t.deepEqual(receive(1, A, B), [2], go);
  }
});

test('a bridge has carrier while one of its ports has', (t) => {
  const { kernel, root } = bridged();
  const carrier = () => root.device('br0')?.carrier;
  t.true(carrier());
  kernel.setCarrier(0, 'down');
  root.setDown('p1');
  t.true(carrier());
  root.setMaster('p2', null);
  t.false(carrier());
  kernel.setCarrier(0, 'up');
  t.true(carrier());
});

test('frames for the bridge itself go to the stack, broadcasts there too', (t) => {
  const { kernel, receive } = bridged();
  t.deepEqual(receive(0, BRIDGE, A), []);
  t.is(kernel.drops.get('unknown-ethertype'), 1);
  receive(0, BROADCAST_MAC, A);
  t.is(kernel.drops.get('unknown-ethertype'), 2);
  receive(0, B, A);
  t.is(kernel.drops.get('unknown-ethertype'), 2);
});

test('what a port gets while the bridge is down is lost', (t) => {
  const { kernel, root, receive } = bridged();
  root.setDown('br0');
  t.deepEqual(receive(0, BROADCAST_MAC, A), []);
  t.is(kernel.drops.get('device-down'), 1);
});

test('a port is known by the address that it has now, one that has left or was renamed no longer', (t) => {
  const { root, receive, known, kernel } = bridged();
  const own = BRIDGE + 2;
  t.deepEqual(receive(0, own, A), [], 'of p1: the host’s own');
  t.is(kernel.drops.get('other-host'), 1);
  root.links.setMac('p1', B);
  t.deepEqual(receive(0, own, A), [1, 2]);
  t.deepEqual(receive(0, B, A), []);
  t.deepEqual(receive(2, A, B), [0]);
  t.deepEqual(Object.keys(known()), [formatMac(A)], 'nobody else is heard under it');
  root.setMaster('p1', null);
  t.deepEqual(receive(0, B, A), [2]);
});
