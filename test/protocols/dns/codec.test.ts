import test from 'ava';
import fc from 'fast-check';
import { addressOfReverse, parseHostAddress, reverseName } from '../../../protocols/dns/address.ts';
import { decodeDns } from '../../../protocols/dns/decode.ts';
import { DnsEncodeError, encodeDns, encodeDnsTcp } from '../../../protocols/dns/encode.ts';
import {
  type DnsMessage,
  query,
  type ResourceRecord,
  RR_TYPE,
  rcodeName,
  typeName,
  typeOfName,
} from '../../../protocols/dns/message.ts';
import { formatName, isWithin, nameKey, parseName } from '../../../protocols/dns/name.ts';
import { DnsTcpReader } from '../../../protocols/dns/transport.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { PROTO_UDP, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { LINKTYPE_RAW } from '../../../protocols/pcapng.ts';
import { writeUdp } from '../../../protocols/udp.ts';
import { saveCapture } from '../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../support/tshark.ts';
import { messages } from './arbitrary.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const ip = (text: string): number => parseIp4(text) ?? 0;

function decoded(bytes: Uint8Array): DnsMessage {
  const result = decodeDns(bytes);
  if (!result.ok) throw new Error(result.problem);
  return result.message;
}

function problem(bytes: Uint8Array): string {
  const result = decodeDns(bytes);
  return result.ok ? 'none' : result.problem;
}

/** `dig tomcat-net-02.mynet` and an answer to it, byte by byte after RFC 1035 §4.1. */
const QUERY = `abcd 0120 0001 0000 0000 0001
  0d 746f6d6361742d6e65742d3032 05 6d796e6574 00 0001 0001
  00 0029 04d0 00 00 0000 0000`;
const ANSWER = `abcd 8180 0001 0001 0000 0000
  0d 746f6d6361742d6e65742d3032 05 6d796e6574 00 0001 0001
  c00c 0001 0001 00000258 0004 c0a80003`;

function response(answers: readonly ResourceRecord[]): DnsMessage {
  return { ...query(1, 'a.example', RR_TYPE.A), kind: 'response', answers };
}

const a = (name: string, address: string): ResourceRecord => ({
  name,
  class: 1,
  ttl: 600,
  data: { type: 'A', address: ip(address) },
});

test('a query and its answer are what RFC 1035 draws', (t) => {
  const asked = decoded(hex(QUERY));
  t.deepEqual(asked.questions, [{ name: 'tomcat-net-02.mynet', type: 1, class: 1 }]);
  t.deepEqual(asked.edns, { udpSize: 1232, version: 0, dnssecOk: false, options: [] });
  t.true(asked.recursionDesired && asked.authenticData && !asked.recursionAvailable);
  t.deepEqual(encodeDns(asked), hex(QUERY));
  const answer = decoded(hex(ANSWER));
  t.deepEqual(answer.answers, [a('tomcat-net-02.mynet', '192.168.0.3')]);
  t.true(answer.recursionAvailable);
  t.deepEqual(encodeDns(answer), hex(ANSWER));
});

test('names share their ends as in RFC 1035 §4.1.4', (t) => {
  const message = {
    ...query(0, 'F.ISI.ARPA', 1),
    questions: ['F.ISI.ARPA', 'FOO.F.ISI.ARPA', 'ARPA', ''].map((name) => ({ name, type: 1, class: 1 })),
  };
  t.deepEqual(
    encodeDns(message).subarray(12),
    hex(`01 46 03 495349 04 41525041 00 0001 0001
      03 464f4f c00c 0001 0001
      c012 0001 0001
      00 0001 0001`),
  );
  t.deepEqual(decoded(encodeDns(message)), message);
});

test('the target of SRV is not compressed (RFC 2782), that of MX is', (t) => {
  const end = (data: ResourceRecord['data']) => {
    const bytes = encodeDns(response([{ name: 'a.example', class: 1, ttl: 1, data }]));
    return Buffer.from(bytes.subarray(bytes.length - 4)).toString('hex');
  };
  t.is(end({ type: 'MX', preference: 10, exchange: 'a.example' }), '000ac00c');
  t.is(end({ type: 'SRV', priority: 0, weight: 0, port: 80, target: 'a.example' }), '706c6500');
});

test('decode(encode(message)) is the message', (t) => {
  fc.assert(
    fc.property(messages, (message) => {
      const bytes = encodeDns(message);
      t.deepEqual(decoded(bytes), message);
      let read: Uint8Array | null = null;
      const reader = new DnsTcpReader((one) => {
        read = one;
      });
      const framed = encodeDnsTcp(message);
      const cut = framed.length >> 1;
      reader.receive(framed.subarray(0, cut));
      t.is(read, null);
      reader.receive(framed.subarray(cut));
      t.deepEqual(read, bytes);
    }),
    { numRuns: 300 },
  );
});

test('whatever comes is decoded or named as wrong', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      t.is(typeof decodeDns(bytes).ok, 'boolean');
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(
      messages,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
      fc.nat(),
      (message, changes, cut) => {
        const bytes = encodeDns(message);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const got = decodeDns(bytes.subarray(0, cut % (bytes.length + 1)));
        // What can be read can be written, and read again as the same.
        if (got.ok) t.deepEqual(decoded(encodeDns(got.message)), got.message);
      },
    ),
    { numRuns: 2000 },
  );
});

test('hostile names', (t) => {
  const asks = (name: string) => problem(hex(`0001 0000 0001 0000 0000 0000 ${name} 0001 0001`));
  t.is(asks('c00c'), 'compression pointer at 12 does not lead backwards');
  t.is(asks('01 61 c00c'), 'compression pointer at 14 does not lead backwards');
  t.is(asks('c010 c00c'), 'compression pointer at 12 does not lead backwards');
  t.is(asks('41 61 00'), 'unknown kind of label at 12');
  t.is(asks('80 00'), 'unknown kind of label at 12');
  t.is(asks('3f 6161'), 'name cut off at 12');
  const long = `3f${'61'.repeat(63)}`;
  t.is(asks(`${long.repeat(3)}3d${'61'.repeat(61)} 00`), 'none');
  t.is(asks(`${long.repeat(4)} 00`), 'name longer than 255 bytes at 12');
  // A chain of pointers, each to the one before it: 2000 of them in one message are worked off in no time.
  const chain = [
    '00',
    ...Array.from({ length: 2000 }, (_, i) => (0xc000 + (i === 0 ? 12 : 11 + 2 * i)).toString(16)),
  ];
  const bytes = hex(`0001 0000 0001 0000 0000 0000 ${chain.join('')}`);
  t.is(decodeDns(bytes).ok, true);
});

test('hostile records', (t) => {
  const holds = (record: string, section = '0001 0000 0000') =>
    problem(hex(`0001 8000 0000 ${section} ${record}`));
  t.is(holds('00 0001 0001 00000000 0003 010203'), 'record data of 3 bytes, not 4, at 23');
  t.is(holds('00 0001 0001 00000000 0004 0102'), 'record cut off at 23');
  t.is(holds('00 000f 0001 00000000 0002 0001'), 'record data cut off at 23');
  t.is(holds('00 0002 0001 00000000 0002 0000'), 'record data does not end with its name at 23');
  t.is(holds('00 0010 0001 00000000 0002 0561'), 'character string cut off at 23');
  t.is(holds('00 0029 0001 00000000 0000'), 'misplaced OPT record at 12');
  t.is(holds('00 0029 0001 00000000 0003 000a00', '0000 0000 0001'), 'EDNS option cut off at 23');
  t.is(holds(`${'00 0029 0001 00000000 0000'.repeat(2)}`, '0000 0000 0002'), 'misplaced OPT record at 23');
  t.is(problem(hex('0001 8000 ffff ffff ffff ffff')), 'name cut off at 12');
  t.is(problem(hex('0001 80')), 'header cut off');
  t.deepEqual(decodeDns(hex('01')), { ok: false, problem: '1 bytes are no DNS message', id: null });
  // A class that has other addresses (CHAOS), and a TTL with its highest bit set.
  const chaos = decoded(hex('0001 8000 0000 0001 0000 0000 00 0001 0003 80000000 0002 0102'));
  t.deepEqual(chaos.answers, [
    { name: '', class: 3, ttl: 0, data: { type: 'other', code: 1, bytes: Uint8Array.of(1, 2) } },
  ]);
});

test('what does not fit is left out: answers set TC, additional records do not', (t) => {
  const answers = Array.from({ length: 40 }, (_, i) => a('a.example', `10.0.0.${i}`));
  const cut = encodeDns(response(answers), 512);
  t.true(cut.length <= 512);
  const got = decoded(cut);
  t.true(got.truncated);
  // 12 of header, 15 of question, 16 of each record.
  t.is(got.answers.length, Math.floor((512 - 27) / 16));
  const edns = { udpSize: 1232, version: 0, dnssecOk: false, options: [] };
  const whole = decoded(encodeDns({ ...response(answers), edns }, 1232));
  t.is(whole.answers.length, 40);
  t.false(whole.truncated);
  const lean = decoded(encodeDns({ ...response(answers.slice(0, 29)), additionals: answers, edns }, 512));
  t.deepEqual([lean.answers.length, lean.additionals.length, lean.truncated], [29, 0, false]);
  t.deepEqual(lean.edns, edns);
});

test('names as text', (t) => {
  t.deepEqual(parseName('www.example.'), ['www', 'example']);
  t.deepEqual(parseName('.'), []);
  t.deepEqual(parseName('a\\.b.c\\032d'), ['a.b', 'c d']);
  t.is(formatName(['a.b', 'c d', '\x07']), 'a\\.b.c\\032d.\\007');
  for (const bad of ['a..b', '.a', 'a\\', 'a\\999', 'ü\u0100', 'a'.repeat(64)])
    t.is(parseName(bad), null, bad);
  t.is(nameKey('WWW.Example.'), 'www.example');
  t.is(nameKey('a\\.'), 'a\\.');
  t.true(isWithin('Tomcat.MyNet', 'mynet.'));
  t.true(isWithin('mynet', 'mynet'));
  t.false(isWithin('xmynet', 'mynet'));
  t.false(isWithin('x\\.mynet', 'mynet'));
  t.true(isWithin('x', ''));
});

test('encoding what cannot be', (t) => {
  t.throws(() => encodeDns(query(1, 'a..b', 1)), {
    instanceOf: DnsEncodeError,
    message: '"a..b" is no domain name',
  });
  const txt = response([{ name: '', class: 1, ttl: 0, data: { type: 'TXT', strings: ['x'.repeat(256)] } }]);
  t.throws(() => encodeDns(txt), { instanceOf: DnsEncodeError });
});

test('names of types, rcodes and addresses', (t) => {
  t.is(typeOfName('aaaa'), 28);
  t.is(typeOfName('type65'), 65);
  t.is(typeOfName('constructor'), null);
  t.is(typeName(65), 'TYPE65');
  t.is(rcodeName(3), 'NXDOMAIN');
  const reverse = (text: string) => reverseName(parseHostAddress(text)!);
  t.is(reverse('192.168.0.3'), '3.0.168.192.in-addr.arpa');
  // RFC 3596 §2.5
  t.is(
    reverse('4321:0:1:2:3:4:567:89ab'),
    'b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa',
  );
  for (const text of ['10.1.2.3', 'fe80::1', '4321:0:1:2:3:4:567:89ab'])
    t.deepEqual(addressOfReverse(`${reverse(text)}.`), parseHostAddress(text));
  for (const name of ['3.0.168.in-addr.arpa', 'x.ip6.arpa', '300.1.1.1.in-addr.arpa', ''])
    t.is(addressOfReverse(name), null);
});

testWithTshark('tshark reads what is encoded', async (t) => {
  const rr = (data: ResourceRecord['data']): ResourceRecord => ({
    name: 'web.mynet',
    class: 1,
    ttl: 600,
    data,
  });
  const message: DnsMessage = {
    ...query(0x1234, 'web.mynet', RR_TYPE.ANY),
    kind: 'response',
    authoritative: true,
    answers: [
      rr({ type: 'A', address: ip('192.168.0.3') }),
      rr({ type: 'AAAA', address: parseIp6('fd00::3')! }),
      rr({ type: 'CNAME', target: 'www.mynet' }),
      rr({ type: 'PTR', target: 'web.mynet' }),
      rr({ type: 'MX', preference: 10, exchange: 'mail.mynet' }),
      rr({ type: 'TXT', strings: ['hello', 'world'] }),
      rr({ type: 'SRV', priority: 1, weight: 2, port: 8080, target: 'web.mynet' }),
    ],
    authorities: [
      rr({ type: 'NS', target: 'ns.mynet' }),
      rr({
        type: 'SOA',
        mname: 'ns.mynet',
        rname: 'root.mynet',
        serial: 7,
        refresh: 1,
        retry: 2,
        expire: 3,
        minimum: 4,
      }),
    ],
    additionals: [{ ...a('ns.mynet', '192.168.0.1') }],
    edns: { udpSize: 1232, version: 0, dnssecOk: true, options: [] },
  };
  const payload = encodeDns(message);
  const packet = new Uint8Array(28 + payload.length);
  packet.set(payload, 28);
  const [src, dst] = [ip('192.168.0.1'), ip('192.168.0.3')];
  writeUdp(packet, 20, src, dst, 53, 40_000, payload.length, { checksum: 'compute' });
  writeIpv4Header(packet, 0, { src, dst, proto: PROTO_UDP, ttl: 64, totalLength: packet.length });
  const file = saveCapture(t, [packet], LINKTYPE_RAW);
  t.deepEqual(await complaints(file), []);
  const names = [
    'a',
    'aaaa',
    'cname',
    'ptr.domain_name',
    'mx.mail_exchange',
    'txt',
    'srv.target',
    'ns',
    'soa.mname',
    'soa.serial_number',
    'rr.udp_payload_size',
  ];
  const [line] = await tshark(
    file,
    '-T',
    'fields',
    '-E',
    'separator=|',
    ...names.flatMap((name) => ['-e', `dns.${name}`]),
  );
  t.is(
    line,
    '192.168.0.3,192.168.0.1|fd00::3|www.mynet|web.mynet|mail.mynet|hello,world|web.mynet|ns.mynet|ns.mynet|7|1232',
  );
});
