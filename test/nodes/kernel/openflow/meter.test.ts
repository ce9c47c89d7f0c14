import test from 'ava';
import { OpenFlowError } from '../../../../protocols/openflow/constants.ts';
import { FakeSwitch, ip, tcp } from './fake-switch.ts';

const A = ip('10.0.0.1');
const B = ip('10.0.0.2');

function passed(s: FakeSwitch, count: number): number {
  let through = 0;
  for (let i = 0; i < count; i++) through += s.send(tcp(A, B, 80)).length;
  return through;
}

test('a meter in packets a second drops what is above its burst and its rate', (t) => {
  const s = new FakeSwitch();
  s.meter('meter=1,pktps,burst,stats,band=type=drop,rate=10,burst_size=5');
  s.add('actions=meter:1,output:2');
  t.is(passed(s, 20), 5);
  s.world.advance(300);
  t.is(passed(s, 20), 3);
  s.world.advance(60_000);
  t.is(passed(s, 20), 5);
  const meter = s.pipeline.meters.get(1)!;
  t.deepEqual(
    [meter.packets, meter.bytes, meter.bandPackets, meter.bandBytes],
    [60, 60 * 58, [47], [47 * 58]],
  );
  t.is(s.drops.filter((reason) => reason === 'openflow-meter').length, 47);
  // The flow has counted all of them.
  t.is(s.pipeline.flows()[0]!.packets, 60);
});

test('without a burst size a second of the rate is let through at once', (t) => {
  const s = new FakeSwitch();
  s.meter('meter=1,kbps,band=type=drop,rate=58');
  s.add('actions=meter:1,output:2');
  // 58 kb are 125 packets of 58 bytes.
  t.is(passed(s, 200), 125);
  s.world.advance(8);
  t.is(passed(s, 10), 1);
});

test('of bands that are exceeded the one with the highest rate counts', (t) => {
  const s = new FakeSwitch();
  s.meter(
    'meter=1,pktps,burst,bands=type=dscp_remark,rate=2,burst_size=2,prec_level=1,type=drop,rate=4,burst_size=4',
  );
  s.add('actions=meter:1,output:2');
  const tos = (frame: Uint8Array) => frame[15]!;
  const seen: number[] = [];
  for (let i = 0; i < 6; i++) {
    const frame = tcp(A, B, 80);
    frame[15] = 0x28;
    seen.push(...s.send(frame).map(() => tos(s.sent[0]!.frame)));
  }
  // AF11 passes twice, becomes AF12 twice, is dropped then.
  t.deepEqual(seen, [0x28, 0x28, 0x30, 0x30]);
  t.deepEqual(s.pipeline.meters.get(1)!.bandPackets, [2, 2]);
});

test('what is no meter is refused', (t) => {
  const s = new FakeSwitch();
  s.meter('meter=1,kbps,band=type=drop,rate=1');
  for (const text of [
    'meter=1,kbps,band=type=drop,rate=1',
    'meter=2,kbps,pktps,band=type=drop,rate=1',
    `meter=3,kbps,bands=${new Array(9).fill('type=drop,rate=1').join(',')}`,
  ])
    t.throws(() => s.meter(text), { instanceOf: OpenFlowError }, text);
});
