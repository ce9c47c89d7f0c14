import test from 'ava';
import { Network } from '../../support/network.ts';
import { run } from '../tools/support/run.ts';

test('nothing ends in a namespace that is gone itself', (t) => {
  const net = new Network();
  const { kernel, rt } = net.host('h');
  const ns = kernel.addNetns('pod');
  for (const line of [
    'ipset create s hash:ip timeout 10',
    'ipset add s 10.0.0.1',
    'ip xfrm policy add dir out src 10.0.0.0/8 dst 10.0.0.0/8 limit time-hard 60',
  ]) {
    const { code, text } = run(line, ns);
    t.is(code, 0, `${line}: ${text}`);
  }
  kernel.removeNetns('pod');
  const before = rt.events.length;
  net.advance(100_000);
  t.deepEqual(rt.events.slice(before), []);
});
