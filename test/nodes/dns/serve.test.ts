import test from 'ava';
import { dnsHost } from '../../../nodes/dns/host.ts';
import { serveDns } from '../../../nodes/dns/serve.ts';
import { formatHostAddress } from '../../../protocols/dns/address.ts';
import { RCODE, RR_TYPE } from '../../../protocols/dns/message.ts';
import { type NameLookup, StubResolver } from '../../../protocols/dns/resolver.ts';
import { DnsServer } from '../../../protocols/dns/server.ts';
import { etherType } from '../../../protocols/ethernet.ts';
import { ipProto, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { LINKTYPE_ETHERNET } from '../../../protocols/pcapng.ts';
import { saveCapture } from '../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../support/tshark.ts';
import { routed } from '../tools/support/topology.ts';

/** b serves `mynet`; a asks it. */
function lab() {
  const { net, a, r, b } = routed();
  const server = new DnsServer({
    host: dnsHost(b.kernel.root),
    recursion: 'available',
    zone: ({ name, type }) => {
      if (!/^(web|many)\.mynet$/i.test(name))
        return { type: 'rcode', rcode: RCODE.NXDOMAIN, authority: 'authoritative' };
      const count = type !== RR_TYPE.A ? 0 : /^web/i.test(name) ? 1 : 60;
      const answers = Array.from({ length: count }, (_, i) => ({
        name,
        class: 1,
        ttl: 600,
        data: { type: 'A' as const, address: 0x0a000001 + i },
      }));
      return { type: 'answer', answers, authority: 'authoritative' };
    },
  });
  serveDns(b.kernel.root, 0, server);
  const resolver = new StubResolver(dnsHost(a.kernel.root), () => ({
    hosts: null,
    resolvConf: 'nameserver 10.0.2.2\n',
  }));
  const look = (name: string) => {
    const results: { readonly at: number; readonly text: string }[] = [];
    resolver.lookup(name, 'any', (result) => results.push({ at: net.world.now, text: textOf(result) }));
    return results;
  };
  return { net, a, r, b, look };
}

function textOf(result: NameLookup): string {
  return result.ok ? result.addresses.map(formatHostAddress).join(' ') : result.error;
}

const isUdp = (frame: Uint8Array) => etherType(frame) === 0x0800 && ipProto(frame, 14) === PROTO_UDP;
const isTcp = (frame: Uint8Array) => etherType(frame) === 0x0800 && ipProto(frame, 14) === PROTO_TCP;

test('a name is resolved over the wire', (t) => {
  const { net, look } = lab();
  const results = look('web.mynet');
  t.deepEqual(results, []);
  net.advance(100);
  t.is(results[0]?.text, '10.0.0.1');
  t.is(net.frames.filter(({ frame }) => isUdp(frame)).length, 8);
});

test('a lost query is sent again after five seconds', (t) => {
  const { net, look } = lab();
  let lost = 0;
  net.passes = (frame) => !isUdp(frame) || lost++ >= 2;
  const results = look('web.mynet');
  net.advance(4_900);
  t.deepEqual(results, []);
  net.advance(200);
  t.is(results[0]?.text, '10.0.0.1');
});

test('where no DNS server runs, the answer is there at once', (t) => {
  const { net, a } = lab();
  const resolver = new StubResolver(dnsHost(a.kernel.root), () => ({
    hosts: null,
    resolvConf: 'nameserver 10.0.2.1\nnameserver fd00::1\n',
  }));
  const results: string[] = [];
  resolver.lookup('web.mynet', 'any', (result) => results.push(textOf(result)));
  net.advance(10);
  t.deepEqual(results, ['EAI_AGAIN']);
});

test('a long answer comes over TCP', (t) => {
  const { net, look } = lab();
  const results = look('many.mynet');
  net.advance(1_000);
  t.is(results[0]?.text.split(' ').length, 60);
  t.true(net.frames.some(({ frame }) => isTcp(frame)));
});

testWithTshark('tshark finds nothing wrong with what went over the wire', async (t) => {
  const { net, look } = lab();
  look('web.mynet');
  look('many.mynet');
  look('x.mynet');
  net.advance(1_000);
  const frames = net.frames.filter(({ segment }) => segment === 'right').map(({ frame }) => frame);
  const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
  t.deepEqual(await complaints(file), []);
  t.is((await tshark(file, '-Y', 'dns.flags.response == 1')).length, 7);
});
