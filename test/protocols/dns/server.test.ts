import test from 'ava';
import fc from 'fast-check';
import { decodeDns } from '../../../protocols/dns/decode.ts';
import { encodeDns, encodeDnsTcp } from '../../../protocols/dns/encode.ts';
import { type DnsMessage, query, RCODE, RR_TYPE } from '../../../protocols/dns/message.ts';
import { isWithin } from '../../../protocols/dns/name.ts';
import { DnsServer } from '../../../protocols/dns/server.ts';
import { DnsTcpReader } from '../../../protocols/dns/transport.ts';
import { FakeHost } from './fake-host.ts';

const CLIENT = { address: '192.168.0.2', port: 40_000, transport: 'udp' } as const;

function decoded(bytes: Uint8Array): DnsMessage {
  const result = decodeDns(bytes);
  if (!result.ok) throw new Error(result.problem);
  return result.message;
}

/** Knows `mynet`, refuses `private`, forwards the rest. */
function server(host: FakeHost, upstreams: readonly string[] = ['10.0.0.53']): DnsServer {
  return new DnsServer({
    host,
    recursion: 'available',
    zone: ({ name, type }) => {
      if (isWithin(name, 'private')) return { type: 'rcode', rcode: RCODE.REFUSED, authority: 'cached' };
      if (!isWithin(name, 'mynet')) return { type: 'forward', servers: upstreams };
      if (name.toLowerCase() === 'silent.mynet') return { type: 'silence' };
      if (name.toLowerCase() !== 'web.mynet')
        return { type: 'rcode', rcode: RCODE.NXDOMAIN, authority: 'authoritative' };
      const count = type === RR_TYPE.A ? 60 : 0;
      const answers = Array.from({ length: count }, (_, i) => ({
        name,
        class: 1,
        ttl: 600,
        data: { type: 'A' as const, address: i },
      }));
      return { type: 'answer', answers, authority: 'authoritative' };
    },
  });
}

function ask(host: FakeHost, message: DnsMessage, upstreams?: readonly string[]): DnsMessage[] {
  const got: DnsMessage[] = [];
  server(host, upstreams).receive(encodeDns(message), CLIENT, (bytes) => got.push(decoded(bytes)));
  host.settle();
  return got;
}

test('answers, NODATA, NXDOMAIN, refusal, silence', (t) => {
  const host = new FakeHost({});
  const facts = (name: string, type: number = RR_TYPE.A) =>
    ask(host, query(77, name, type)).map((m) => [
      m.id,
      m.rcode,
      m.authoritative,
      m.answers.length > 0,
      m.questions[0]!.name,
    ]);
  t.deepEqual(facts('Web.MyNet'), [[77, 0, true, true, 'Web.MyNet']]);
  t.deepEqual(facts('web.mynet', RR_TYPE.AAAA), [[77, 0, true, false, 'web.mynet']]);
  t.deepEqual(facts('db.mynet'), [[77, RCODE.NXDOMAIN, true, false, 'db.mynet']]);
  t.deepEqual(facts('x.private'), [[77, RCODE.REFUSED, false, false, 'x.private']]);
  t.deepEqual(facts('silent.mynet'), []);
});

test('answers fit what the client takes: 512 bytes, its EDNS size, all over TCP', (t) => {
  const host = new FakeHost({});
  const [plain] = ask(host, query(1, 'web.mynet', RR_TYPE.A));
  t.true(plain!.truncated);
  t.is(plain!.edns, null);
  const edns = { udpSize: 4096, version: 0, dnssecOk: false, options: [] };
  const [more] = ask(host, query(1, 'web.mynet', RR_TYPE.A, edns));
  t.deepEqual([more!.truncated, more!.answers.length, more!.edns?.udpSize], [false, 60, 1232]);
  const got: DnsMessage[] = [];
  const reader = new DnsTcpReader((bytes) => got.push(decoded(bytes)));
  const receive = server(host).stream({ address: '192.168.0.2', port: 40_000 }, (bytes) =>
    reader.receive(bytes),
  );
  const two = Buffer.concat([1, 2].map((id) => encodeDnsTcp(query(id, 'web.mynet', RR_TYPE.A))));
  for (const byte of two) receive(Uint8Array.of(byte));
  t.deepEqual(
    got.map((m) => [m.id, m.truncated, m.answers.length]),
    [
      [1, false, 60],
      [2, false, 60],
    ],
  );
});

test('what it does not do is said with the rcode for it', (t) => {
  const host = new FakeHost({});
  const base = query(5, 'web.mynet', RR_TYPE.A);
  t.is(ask(host, { ...base, opcode: 5 })[0]!.rcode, RCODE.NOTIMP);
  t.is(ask(host, { ...base, questions: [] })[0]!.rcode, RCODE.FORMERR);
  const edns = { udpSize: 4096, version: 1, dnssecOk: false, options: [] };
  t.is(ask(host, { ...base, edns })[0]!.rcode, RCODE.BADVERS);
  t.deepEqual(ask(host, { ...base, kind: 'response' }), []);
});

test('others are asked: their answer is passed on, their failure too, SERVFAIL where nobody answers', (t) => {
  const upstream = (rcode: number) => (bytes: Uint8Array) => {
    const message = decoded(bytes);
    return encodeDns({ ...message, kind: 'response', rcode, recursionAvailable: true });
  };
  const well = new FakeHost({ '10.0.0.53': upstream(RCODE.NXDOMAIN) });
  t.deepEqual(
    ask(well, query(9, 'example.com', 1)).map(({ id, rcode }) => [id, rcode]),
    [[9, RCODE.NXDOMAIN]],
  );
  const refusing = new FakeHost({ '10.0.0.53': upstream(RCODE.REFUSED) });
  t.is(ask(refusing, query(9, 'example.com', 1))[0]!.rcode, RCODE.REFUSED);
  const silent = new FakeHost({});
  t.is(ask(silent, query(9, 'example.com', 1))[0]!.rcode, RCODE.SERVFAIL);
  t.is(silent.now, 4000);
  t.is(ask(new FakeHost({}), query(9, 'example.com', 1), [])[0]!.rcode, RCODE.SERVFAIL);
});

test('bytes that are no message get FORMERR at most, and broken answers nothing', (t) => {
  const dns = server(new FakeHost({}));
  const got: DnsMessage[] = [];
  const reply = (bytes: Uint8Array) => got.push(decoded(bytes));
  dns.receive(Uint8Array.of(1, 2, 0, 0, 0, 9), CLIENT, reply);
  t.deepEqual(
    got.map(({ id, rcode }) => [id, rcode]),
    [[0x0102, RCODE.FORMERR]],
  );
  dns.receive(Uint8Array.of(1, 2, 0x80, 0, 0, 9), CLIENT, reply);
  dns.receive(Uint8Array.of(1), CLIENT, reply);
  t.is(got.length, 1);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => dns.receive(bytes, CLIENT, reply)));
});

test('closing a server ends what it asks for others', (t) => {
  const host = new FakeHost({});
  const dns = server(host);
  dns.receive(encodeDns(query(9, 'example.com', 1)), CLIENT, () => t.fail('answered'));
  dns.close();
  host.settle();
  t.is(host.open, 0);
});
