import { readFileSync } from 'node:fs';
import test from 'ava';
import { dnsHost } from '../../../nodes/dns/host.ts';
import { serveDns } from '../../../nodes/dns/serve.ts';
import {
  RCODE,
  type RecordData,
  type ResourceRecord,
  RR_TYPE,
  typeName,
} from '../../../protocols/dns/message.ts';
import { DnsServer, type ZoneAnswer } from '../../../protocols/dns/server.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { parseIp6 } from '../../../protocols/ip6.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';
import { routed } from './support/topology.ts';

/**
 * Sessions of dig and nslookup of BIND 9.18, getent of glibc 2.36 and ping of iputils, recorded against a server with this
 * zone, in a network namespace. `o|` is stdout, `e|` stderr; ids and times are left out.
 */
const SESSION = readFileSync(new URL('./dns-tools.session.txt', import.meta.url), 'utf8');

const rr = (name: string, data: RecordData): ResourceRecord => ({ name, class: 1, ttl: 600, data });
const a = (name: string, text: string) => rr(name, { type: 'A', address: parseIp4(text) ?? 0 });
const SOA = {
  type: 'SOA',
  mname: 'ns.mynet',
  rname: 'root.mynet',
  serial: 7,
  refresh: 1,
  retry: 2,
  expire: 3,
  minimum: 4,
} as const;

const WEB: Readonly<Record<string, RecordData>> = {
  A: { type: 'A', address: parseIp4('192.168.0.3') ?? 0 },
  AAAA: { type: 'AAAA', address: parseIp6('fd00::3') ?? '' },
  MX: { type: 'MX', preference: 10, exchange: 'mail.mynet' },
  TXT: { type: 'TXT', strings: ['hello world', 'b"c'] },
  SRV: { type: 'SRV', priority: 1, weight: 2, port: 8080, target: 'web.mynet' },
  NS: { type: 'NS', target: 'ns.mynet' },
  SOA,
};

function zone(name: string, type: number): ZoneAnswer {
  const answer = (...answers: readonly ResourceRecord[]): ZoneAnswer => ({
    type: 'answer',
    answers,
    authority: 'cached',
  });
  const rcode = (code: number): ZoneAnswer => ({ type: 'rcode', rcode: code, authority: 'cached' });
  const isA = type === RR_TYPE.A;
  switch (name.toLowerCase()) {
    case 'web.mynet': {
      const data = WEB[typeName(type)];
      return data === undefined ? answer() : answer(rr(name, data));
    }
    case 'v4.mynet':
      return isA ? answer(a(name, '192.168.0.4'), a(name, '192.168.0.5')) : answer();
    case 'www.mynet':
      return answer(
        rr(name, { type: 'CNAME', target: 'v4.mynet' }),
        ...(isA ? [a('v4.mynet', '192.168.0.4')] : []),
      );
    case '3.0.168.192.in-addr.arpa':
      return answer(rr(name, { type: 'PTR', target: 'web.mynet' }));
    case 'big.mynet':
      return answer(...Array.from({ length: 100 }, (_, i) => rr(name, { type: 'A', address: i })));
    default:
  }
  if (name.endsWith('refused')) return rcode(RCODE.REFUSED);
  if (name.endsWith('fail')) return rcode(RCODE.SERVFAIL);
  return name.endsWith('silent') ? { type: 'silence' } : rcode(RCODE.NXDOMAIN);
}

function lab() {
  const { net, a: host } = routed();
  const { root } = host.kernel;
  const server = new DnsServer({
    host: dnsHost(root),
    recursion: 'available',
    zone: ({ name, type }) => zone(name, type),
  });
  serveDns(root, parseIp4('127.0.0.1') ?? 0, server);
  const files = filesOf({
    '/etc/hosts': '127.0.0.1\tlocalhost\n10.9.9.9\thosty hostalias\n',
    '/etc/resolv.conf': 'nameserver 127.0.0.1\nsearch mynet\n',
  });
  const start = (line: string) => {
    const started = run(line, root, { files });
    net.advance(60_000);
    return started;
  };
  return { net, root, files, start };
}

function masked(text: string): string {
  return text
    .replace(/id: \d+/g, 'id: ID')
    .replace(/Query time: \d+/g, 'Query time: MS')
    .replace(/WHEN: .*/g, 'WHEN: NOW');
}

function stream(lines: readonly string[], mark: string): string {
  return lines
    .filter((line) => line.startsWith(mark))
    .map((line) => `${line.slice(2)}\n`)
    .join('');
}

for (const block of SESSION.split(/^\$ /m).slice(1)) {
  const [line = '', ...lines] = block.split('\n');
  test(`as recorded: ${line}`, (t) => {
    const { root, start } = lab();
    // The namespace that they were recorded in had its loopback device alone, which getent looks at.
    if (line.startsWith('getent')) {
      run('ip addr flush dev eth0', root);
      root.setDown('eth0');
    }
    const got = start(line);
    t.is(masked(got.streams.stdout), stream(lines, 'o|'));
    t.is(got.streams.stderr, stream(lines, 'e|'));
    t.is(got.code, Number(/^rc=(\d+)$/m.exec(block)?.[1]));
  });
}

test('an answer that is too long for UDP comes over TCP', (t) => {
  const { start } = lab();
  t.regex(
    start('dig +noedns big.mynet +noall +stats').text,
    /SERVER: 127\.0\.0\.1#53\(127\.0\.0\.1\) \(TCP\)\n.*\n;; MSG SIZE {2}rcvd: 1627\n/,
  );
  t.is(start('dig big.mynet +short').text.split('\n').length, 101);
});

test('what cannot be is said', (t) => {
  const { start } = lab();
  t.regex(start('dig +foo x').streams.stderr, /^Invalid option: \+foo\nUsage: {2}dig /);
  t.is(start('dig web.mynet A v4.mynet').streams.stderr, 'dig: several queries are not emulated\n');
  t.is(start('nslookup').code, 1);
  t.is(start('nslookup -type=foo x').streams.stderr, 'unknown query type: foo\n');
  t.is(start('dig -x nonsense').streams.stderr, 'dig: Invalid IP address nonsense\n');
});

test('an interrupt ends them', (t) => {
  const { net, root, files } = lab();
  for (const line of ['dig x.silent', 'nslookup x.silent', 'getent hosts x.silent']) {
    const started = run(line, root, { files });
    net.advance(100);
    started.interrupt();
    t.is(started.code, 130);
  }
});
