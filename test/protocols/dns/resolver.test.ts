import test from 'ava';
import { formatHostAddress, parseHostAddress } from '../../../protocols/dns/address.ts';
import { decodeDns } from '../../../protocols/dns/decode.ts';
import { encodeDns } from '../../../protocols/dns/encode.ts';
import { parseHosts, parseResolvConf } from '../../../protocols/dns/files.ts';
import { type DnsMessage, RCODE, type RecordData, RR_TYPE } from '../../../protocols/dns/message.ts';
import {
  GAI_ERRORS,
  type LookupFamily,
  type NameLookup,
  StubResolver,
} from '../../../protocols/dns/resolver.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { FakeHost, type FakeServer } from './fake-host.ts';

type Zone = (name: string, type: number) => readonly RecordData[] | number;

/** Answers from a zone: records, or an rcode. Over UDP no more than `limit` bytes. */
function serve(zone: Zone, limit = 512): FakeServer {
  return (bytes, by) => {
    const decoded = decodeDns(bytes);
    if (!decoded.ok) throw new Error(decoded.problem);
    const { message } = decoded;
    const { name, type } = message.questions[0]!;
    const found = zone(name, type);
    const response: DnsMessage = {
      ...message,
      kind: 'response',
      rcode: typeof found === 'number' ? found : 0,
      answers:
        typeof found === 'number'
          ? []
          : found.map((data, i) => ({
              name: i === 0 || data.type !== 'A' || found[0]!.type !== 'CNAME' ? name : aliasOf(found[0]!),
              class: 1,
              ttl: 60,
              data,
            })),
    };
    return encodeDns(response, by === 'udp' ? limit : undefined);
  };
}

function aliasOf(data: RecordData): string {
  return data.type === 'CNAME' ? data.target : '';
}

const a = (text: string): RecordData => ({ type: 'A', address: parseIp4(text)! });

function lookUp(
  host: FakeHost,
  name: string,
  files: { readonly hosts?: string; readonly resolvConf?: string },
  family: LookupFamily = 'any',
): string {
  const resolver = new StubResolver(host, () => ({
    hosts: files.hosts ?? null,
    resolvConf: files.resolvConf ?? null,
  }));
  const results: NameLookup[] = [];
  resolver.lookup(name, family, (result) => results.push(result));
  host.settle();
  if (results.length !== 1 || host.open !== 0)
    throw new Error(`${results.length} results, ${host.open} sockets`);
  const [result] = results;
  return result!.ok
    ? `${result!.canonical} ${result!.addresses.map(formatHostAddress).join(' ')}`
    : GAI_ERRORS[result!.error];
}

const ONE = { resolvConf: 'nameserver 10.0.0.53\n' };
const mynet = serve((name, type) =>
  name === 'tomcat.mynet' ? (type === RR_TYPE.A ? [a('192.168.0.2')] : []) : RCODE.NXDOMAIN,
);

test('the hosts file comes first, then DNS', (t) => {
  const host = new FakeHost({ '10.0.0.53': mynet });
  const files = { ...ONE, hosts: '127.0.0.1 localhost\n172.17.0.3\ttomcat02 56bb3fef856f # linked\n' };
  t.is(lookUp(host, '56BB3FEF856F', files), 'tomcat02 172.17.0.3');
  t.is(lookUp(host, '10.1.2.3', files), '10.1.2.3 10.1.2.3');
  t.deepEqual(host.sent, []);
  t.is(lookUp(host, 'tomcat.mynet', files), 'tomcat.mynet 192.168.0.2');
  // A and AAAA at once.
  t.deepEqual(
    host.sent.map(({ at }) => at),
    [0, 0],
  );
  t.is(lookUp(host, 'tomcat03', files), 'Name or service not known');
});

test('no address of the wanted family', (t) => {
  const host = new FakeHost({ '10.0.0.53': mynet });
  t.is(lookUp(host, 'tomcat.mynet', ONE, 'ipv6'), 'No address associated with hostname');
  t.is(lookUp(host, '10.1.2.3', ONE, 'ipv6'), 'Address family for hostname not supported');
});

test('silence: two attempts of five and ten seconds, as glibc has them', (t) => {
  const host = new FakeHost({ '10.0.0.53': () => null });
  t.is(lookUp(host, 'tomcat01', ONE, 'ipv4'), 'Temporary failure in name resolution');
  t.deepEqual(
    host.sent.map(({ at }) => at),
    [0, 5000],
  );
  t.is(host.now, 15_000);
});

test('three servers, one after the other; the second round waits a share of the time', (t) => {
  const host = new FakeHost({});
  const conf = 'nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n';
  lookUp(host, 'x', { resolvConf: `${conf}options timeout:3 attempts:2` }, 'ipv4');
  t.deepEqual(
    host.sent.map(({ at, server }) => `${at} ${server}`),
    ['0 10.0.0.1', '3000 10.0.0.2', '6000 10.0.0.3', '9000 10.0.0.1', '11000 10.0.0.2', '13000 10.0.0.3'],
  );
});

test('a port where nothing listens, a refusal and a failure lead to the next server at once', (t) => {
  const rcode = (code: number) => serve(() => code);
  const host = new FakeHost({
    a: 'refused',
    '10.0.0.1': 'refused',
    '10.0.0.2': rcode(RCODE.REFUSED),
    '10.0.0.3': mynet,
  });
  const conf = 'nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n';
  t.is(lookUp(host, 'tomcat.mynet', { resolvConf: conf }), 'tomcat.mynet 192.168.0.2');
  t.true(host.now < 100);
  const down = new FakeHost({ '127.0.0.1': 'refused' });
  t.is(lookUp(down, 'tomcat.mynet', {}), 'Temporary failure in name resolution');
  t.is(down.now, 0);
  const failing = new FakeHost({ '10.0.0.53': rcode(RCODE.SERVFAIL) });
  t.is(lookUp(failing, 'x', ONE), 'Temporary failure in name resolution');
});

test('search list and ndots', (t) => {
  const asked: string[] = [];
  const server = serve((name, type) => {
    if (type === RR_TYPE.A) asked.push(name);
    return name === 'web.prod.svc.cluster.local' && type === RR_TYPE.A ? [a('10.96.0.7')] : RCODE.NXDOMAIN;
  });
  const resolvConf = `search default.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
`;
  const host = new FakeHost({ '10.96.0.10': server });
  t.is(lookUp(host, 'web.prod', { resolvConf }), 'web.prod.svc.cluster.local 10.96.0.7');
  t.deepEqual(asked.splice(0), ['web.prod.default.svc.cluster.local', 'web.prod.svc.cluster.local']);
  t.is(lookUp(host, 'nothing', { resolvConf }), 'Name or service not known');
  t.deepEqual(asked.splice(0).at(-1), 'nothing');
  lookUp(host, 'a.b.c.d.e.f', { resolvConf });
  t.is(asked.splice(0)[0], 'a.b.c.d.e.f');
  lookUp(host, 'absolute.', { resolvConf });
  t.deepEqual(asked, ['absolute']);
});

test('a truncated answer is asked for again over TCP', (t) => {
  const many = Array.from({ length: 60 }, (_, i) => a(`10.0.0.${i}`));
  const host = new FakeHost({ '10.0.0.53': serve((_, type) => (type === RR_TYPE.A ? many : [])) });
  t.is(lookUp(host, 'many.mynet', ONE).split(' ').length, 61);
  t.deepEqual(
    host.sent.map(({ by }) => by),
    ['udp', 'udp', 'tcp'],
  );
});

test('aliases are followed, and what answers no question is passed over', (t) => {
  const host = new FakeHost({
    '10.0.0.53': serve((_, type) =>
      type === RR_TYPE.A ? [{ type: 'CNAME', target: 'WEB-1.mynet' }, a('10.0.0.7')] : [],
    ),
  });
  t.is(lookUp(host, 'www.mynet', ONE), 'WEB-1.mynet 10.0.0.7');
  const spoofed = new FakeHost({
    '10.0.0.53': (bytes) => {
      const wrong = bytes.slice();
      wrong[1] = wrong[1]! ^ 0x55;
      wrong[2] = 0x80;
      return wrong;
    },
  });
  t.is(lookUp(spoofed, 'www.mynet', ONE), 'Temporary failure in name resolution');
});

test('names of addresses', (t) => {
  const host = new FakeHost({
    '10.0.0.53': serve((name, type) =>
      name === '3.0.168.192.in-addr.arpa' && type === RR_TYPE.PTR
        ? [{ type: 'PTR', target: 'tomcat-net-02.mynet' }]
        : RCODE.NXDOMAIN,
    ),
  });
  const hosts = '10.0.0.1 gateway gw\n';
  const resolver = new StubResolver(host, () => ({ hosts, resolvConf: ONE.resolvConf }));
  const names: (string | null)[] = [];
  for (const text of ['192.168.0.3', '192.168.0.4', '10.0.0.1'])
    resolver.reverse(parseHostAddress(text)!, (name) => names.push(name));
  t.deepEqual(names, ['gateway']);
  host.settle();
  t.deepEqual(names, ['gateway', 'tomcat-net-02.mynet', null]);
});

test('a lookup that is cancelled says nothing more', (t) => {
  const host = new FakeHost({ '10.0.0.53': mynet });
  const resolver = new StubResolver(host, () => ({ hosts: null, resolvConf: ONE.resolvConf }));
  resolver.lookup('tomcat.mynet', 'any', () => t.fail('answered')).cancel();
  host.settle();
  t.is(host.open, 0);
});

test('resolv.conf and hosts as they are written', (t) => {
  t.deepEqual(
    parseResolvConf(
      '; comment\n#nameserver 1.1.1.1\nnameserver 10.0.0.1 x\nnameserver nonsense\ndomain a\nsearch b. c\noptions ndots:99 timeout:0 attempts:9 edns0',
    ),
    {
      nameservers: ['10.0.0.1'],
      search: ['b', 'c'],
      ndots: 15,
      timeout: 1000,
      attempts: 5,
    },
  );
  t.deepEqual(parseResolvConf(''), {
    nameservers: ['127.0.0.1'],
    search: [],
    ndots: 1,
    timeout: 5000,
    attempts: 2,
  });
  t.deepEqual(parseHosts('::1 localhost ip6-localhost\n# x\n10.0.0.1\nnonsense a\n'), [
    { address: { family: 6, addr: parseIp6('::1')! }, names: ['localhost', 'ip6-localhost'] },
  ]);
});
