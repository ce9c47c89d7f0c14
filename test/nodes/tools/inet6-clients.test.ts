import test from 'ava';
import { dnsHost } from '../../../nodes/dns/host.ts';
import { serveDns } from '../../../nodes/dns/serve.ts';
import { bindBoth, listenBoth } from '../../../nodes/kernel/dual-stack.ts';
import type { TcpSocket } from '../../../nodes/kernel/tcp.ts';
import { type DnsQuestion, RCODE, type RecordData, typeName } from '../../../protocols/dns/message.ts';
import { DnsServer, type ZoneAnswer } from '../../../protocols/dns/server.ts';
import type { IpAddress } from '../../../protocols/ip.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { ANY_IP6, parseIp6 } from '../../../protocols/ip6.ts';
import { Network } from '../../support/network.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';
import { readSession } from './support/session.ts';

const HOSTS = `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
10.0.0.1 me4
fd00::1 me6
10.0.0.2 web
fd00::2 web
10.0.0.2 half
fd00::99 half
fd00::2 six
10.0.0.2 four
10.0.0.77 dead
fd00::77 dead
fd00::71 two
fd00::72 two
10.0.0.71 two
`;

function serve(socket: TcpSocket<IpAddress>): void {
  socket.onData = () => {
    socket.send(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n'));
    socket.close();
  };
}

/** Two hosts of both families on a link, as the session was recorded with: `far` serves 80 for both, 81 for IPv4, 83 for IPv6. */
function lab() {
  const net = new Network();
  const [a, far] = [net.host('a', 'on'), net.host('far', 'on')];
  const { root } = far.kernel;
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(far, 'lan', 'eth0', '10.0.0.2/24');
  for (const [host, address] of [
    [a, 'fd00::1'],
    [far, 'fd00::2'],
    [far, 'fd00::5'],
  ] as const)
    run(`ip addr add ${address}/64 dev eth0 nodad`, host.kernel.root);
  listenBoth(root, 80, serve);
  root.listenTcp({ addr: 0, port: 81 }, serve);
  root.ipv6.tcp.listen({ addr: ANY_IP6, port: 83 }, serve);
  net.advance(3_000);
  const files = filesOf({ '/etc/hosts': HOSTS, '/etc/resolv.conf': 'nameserver 127.0.0.53\n' });
  const at = (host: typeof a, line: string | readonly string[], stdin = '') =>
    run(line, host.kernel.root, { files, stdin });
  return { net, a, far, at };
}

/** The words of a command line without its quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

for (const [i, { command, output, code }] of readSession('inet6-clients.session.txt').entries())
  test(`${i + 1}: ${command}`, (t) => {
    const { net, a, at } = lab();
    const got = at(a, words(command));
    net.advance(20_000);
    const text = got.text.replace(/after \d+ ms/g, 'after N ms').replace(/after \d+ms/g, 'after Nms');
    t.is(text, text === '' || text.endsWith('\n') ? output : output.replace(/\n$/, ''));
    t.is(got.code, code);
  });

/** The far end's name as nc finds it, with hosts as above; recorded from netcat-openbsd 1.219. */
const LISTENING: readonly (readonly [server: string, client: string, at: 'a' | 'far', text: string])[] = [
  [
    'nc -v -l 5000',
    'nc -N 10.0.0.1 5000',
    'a',
    'Listening on 0.0.0.0 5000\nConnection received on me4 P\nhi\n',
  ],
  ['nc -6 -v -l 5000', 'nc -N fd00::1 5000', 'a', 'Listening on :: 5000\nConnection received on me6 P\nhi\n'],
  [
    'nc -6 -v -l 5000',
    'nc -N 10.0.0.1 5000',
    'a',
    'Listening on :: 5000\nConnection received on ::ffff:10.0.0.1 P\nhi\n',
  ],
  [
    'nc -6 -nv -l 5000',
    'nc -N 10.0.0.1 5000',
    'a',
    'Listening on :: 5000\nConnection received on ::ffff:10.0.0.1 P\nhi\n',
  ],
  [
    'nc -v -l :: 5000',
    'nc -N 10.0.0.1 5000',
    'far',
    'Listening on :: 5000\nConnection received on ::ffff:10.0.0.2 P\nhi\n',
  ],
  [
    'nc -6 -nv -l 5000',
    'nc -N fe80::5054:ff:fe00:0%eth0 5000',
    'far',
    'Listening on :: 5000\nConnection received on fe80::5054:ff:fe00:100%eth0 P\nhi\n',
  ],
  ['nc -v -l me6 5000', 'nc -N me6 5000', 'a', 'Listening on me6 5000\nConnection received on me6 P\nhi\n'],
  [
    'nc -v -l fd00::1 5000',
    'nc -N me6 5000',
    'a',
    'Listening on me6 5000\nConnection received on me6 P\nhi\n',
  ],
  [
    'nc -uv -l 5000',
    'nc -u -w1 10.0.0.1 5000',
    'a',
    'Bound on 0.0.0.0 5000\nConnection received on me4 P\nhi\n',
  ],
  ['nc -6uv -l 5000', 'nc -u -w1 fd00::1 5000', 'a', 'Bound on :: 5000\nConnection received on me6 P\nhi\n'],
  [
    'nc -6uv -l 5000',
    'nc -u -w1 10.0.0.1 5000',
    'far',
    'Bound on :: 5000\nConnection received on ::ffff:10.0.0.2 P\nhi\n',
  ],
];

for (const [server, client, place, text] of LISTENING)
  test(`${server} hears ${client} from ${place}`, (t) => {
    const { net, a, far, at } = lab();
    const listening = at(a, server);
    net.advance(100);
    const sending = at(place === 'a' ? a : far, client, 'hi\n');
    net.advance(8_000);
    t.is(listening.text.replace(/ \d+\nhi/, ' P\nhi'), text);
    t.is(sending.code, 0);
  });

test('sockets of :: stand for both families in ss and netstat', (t) => {
  const { net, a, far, at } = lab();
  bindBoth(far.kernel.root, 90, () => {});
  far.kernel.root.bindUdp({ addr: 0, port: 92 }, () => {});
  far.kernel.root.ipv6.udp.bind({ addr: ANY_IP6, port: 91 }, () => {});
  const held = [at(a, 'nc 10.0.0.2 80'), at(a, 'nc fd00::2 80'), at(a, 'nc fe80::5054:ff:fe00:100%eth0 80')];
  net.advance(100);
  t.deepEqual(
    held.map(({ code }) => code),
    [null, null, null],
  );
  const shown = (line: string) =>
    at(far, line)
      .text.replace(/(?<=:)[345]\d{4}\b/g, 'PORT')
      .split('\n')
      .map((row) => row.trim().replace(/ +/g, ' '))
      .filter((row) => row !== '');
  t.deepEqual(shown('ss -Hltn'), [
    'LISTEN 0 128 0.0.0.0:81 0.0.0.0:*',
    'LISTEN 0 128 *:80 *:*',
    'LISTEN 0 128 [::]:83 [::]:*',
  ]);
  t.deepEqual(shown('ss -Hlun'), [
    'UNCONN 0 0 0.0.0.0:92 0.0.0.0:*',
    'UNCONN 0 0 *:90 *:*',
    'UNCONN 0 0 [::]:91 [::]:*',
  ]);
  t.deepEqual(shown('ss -Hltn4'), ['LISTEN 0 128 0.0.0.0:81 0.0.0.0:*']);
  t.deepEqual(shown('ss -Htn'), [
    'ESTAB 0 0 [::ffff:10.0.0.2]:80 [::ffff:10.0.0.1]:PORT',
    'ESTAB 0 0 [fd00::2]:80 [fd00::1]:PORT',
    'ESTAB 0 0 [fe80::5054:ff:fe00:100]%eth0:80 [fe80::5054:ff:fe00:0]:PORT',
  ]);
  t.deepEqual(shown('netstat -tan').slice(2), [
    'tcp 0 0 0.0.0.0:81 0.0.0.0:* LISTEN',
    'tcp6 0 0 :::80 :::* LISTEN',
    'tcp6 0 0 :::83 :::* LISTEN',
    'tcp6 0 0 10.0.0.2:80 10.0.0.1:PORT ESTABLISHED',
    'tcp6 0 0 fd00::2:80 fd00::1:PORT ESTABLISHED',
    'tcp6 0 0 fe80::5054:ff:fe00:1:80 fe80::5054:ff:fe0:PORT ESTABLISHED',
  ]);
  t.deepEqual(shown('netstat -lt').slice(2), [
    'tcp 0 0 0.0.0.0:81 0.0.0.0:* LISTEN',
    'tcp6 0 0 [::]:http [::]:* LISTEN',
    'tcp6 0 0 [::]:83 [::]:* LISTEN',
  ]);
});

/** As Linux' bind(2) has it, recorded. */
test('which sockets a port has room for beside one another', (t) => {
  const { far } = lab();
  const { root } = far.kernel;
  const both = (port: number) => listenBoth(root, port, () => {});
  const bothUdp = (port: number) => bindBoth(root, port, () => {});
  t.throws(() => both(81), { name: 'PortInUseError' });
  t.throws(() => both(83), { name: 'PortInUseError' });
  t.throws(() => root.listenTcp({ addr: 0, port: 80 }, () => {}), { name: 'PortInUseError' });
  t.throws(() => root.ipv6.tcp.listen({ addr: ANY_IP6, port: 80 }, () => {}), { name: 'PortInUseError' });
  t.throws(() => root.listenTcp({ addr: parseIp4('10.0.0.2')!, port: 80 }, () => {}), {
    name: 'PortInUseError',
  });
  t.throws(() => root.ipv6.tcp.listen({ addr: parseIp6('fd00::2')!, port: 80 }, () => {}), {
    name: 'PortInUseError',
  });
  // The one that failed has left nothing behind.
  t.notThrows(() => root.ipv6.tcp.listen({ addr: ANY_IP6, port: 81 }, () => {}));
  const udp = bothUdp(90);
  t.throws(() => root.bindUdp({ addr: 0, port: 90 }, () => {}), { name: 'PortInUseError' });
  udp.close();
  t.notThrows(() => root.bindUdp({ addr: 0, port: 90 }, () => {}));
  t.throws(() => bothUdp(90), { name: 'PortInUseError' });
  t.notThrows(() => root.ipv6.udp.bind({ addr: ANY_IP6, port: 90 }, () => {}));
});

/** `curl -w '%{local_ip} %{remote_ip}'` at the host's own addresses, recorded from curl 7.88.1 on Linux; '' where it fails. */
const OWN: readonly (readonly [host: string, ends: string])[] = [
  ['[::1]', '::1 ::1'],
  ['[fd00::2]', 'fd00::2 fd00::2'],
  ['[::]', '::1 ::1'],
  ['0.0.0.0', '127.0.0.1 127.0.0.1'],
  ['[fe80::5054:ff:fe00:100%25eth0]', 'fe80::5054:ff:fe00:100 fe80::5054:ff:fe00:100'],
  ['10.0.0.9', '10.0.0.2 10.0.0.9'],
  ['10.7.0.1', '10.7.0.1 10.7.0.1'],
  ['127.5.5.5', '127.0.0.1 127.5.5.5'],
  ['[ff02::1%25eth0]', ''],
  ['224.0.0.1', ''],
  ['255.255.255.255', ''],
  ['10.0.0.255', ''],
];

test("a host's own addresses: where connections come from and go to", (t) => {
  const { net, far, at } = lab();
  far.kernel.root.setUp('lo');
  for (const address of ['10.0.0.9/24', '10.7.0.1/32']) at(far, `ip addr add ${address} dev eth0`);
  net.advance(100);
  for (const [host, ends] of OWN) {
    const got = at(far, [
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{local_ip} %{remote_ip}',
      `http://${host}/`,
    ]);
    net.advance(100);
    t.is(got.code, ends === '' ? 7 : 0, host);
    t.is(got.text.trim(), ends, host);
  }
  t.is(at(far, 'ip route get 10.0.0.9').text.split(' uid')[0], 'local 10.0.0.9 dev lo src 10.0.0.2');
  t.is(at(far, 'hostname -I').text, '10.0.0.2 10.0.0.9 10.7.0.1 fd00::5 fd00::2 \n');
});

/** Recorded from traceroute 2.1.2, times aside: a name's IPv4 is preferred, and who is of the link stands with it. */
const ROUTES: readonly (readonly [line: string, to: string, hop: string])[] = [
  ['web', 'web (10.0.0.2), 2 hops max, 60 byte packets', 'web (10.0.0.2)'],
  ['six', 'six (fd00::2), 2 hops max, 80 byte packets', 'web (fd00::2)'],
  ['localhost', 'localhost (127.0.0.1), 2 hops max, 60 byte packets', 'localhost (127.0.0.1)'],
  ['-6 web', 'web (fd00::2), 2 hops max, 80 byte packets', 'web (fd00::2)'],
  [
    'fe80::5054:ff:fe00:100%eth0',
    'fe80::5054:ff:fe00:100%eth0 (fe80::5054:ff:fe00:100%eth0), 2 hops max, 80 byte packets',
    'fe80::5054:ff:fe00:100%eth0 (fe80::5054:ff:fe00:100%eth0)',
  ],
];

for (const [line, to, hop] of ROUTES)
  test(`traceroute ${line}`, (t) => {
    const { net, a, at } = lab();
    a.kernel.root.setUp('lo');
    const got = at(a, `traceroute -q 1 -m 2 -w 1 ${line}`);
    net.advance(20_000);
    t.is(got.text.replace(/[\d.]+ ms/g, 'T'), `traceroute to ${to}\n 1  ${hop}  T\n`);
  });

/** Recorded from iputils 20221126. */
const HEADS: readonly (readonly [line: string, head: string])[] = [
  ['web', 'PING web(web (fd00::2)) 56 data bytes'],
  ['-n web', 'PING web(fd00::2) 56 data bytes'],
  ['-4 four', 'PING four (10.0.0.2) 56(84) bytes of data.'],
  ['six', 'PING six(web (fd00::2)) 56 data bytes'],
  ['four', 'PING four (10.0.0.2) 56(84) bytes of data.'],
  ['localhost', 'PING localhost(localhost (::1)) 56 data bytes'],
];

for (const [line, head] of HEADS)
  test(`ping ${line}`, (t) => {
    const { net, a, at } = lab();
    a.kernel.root.setUp('lo');
    const got = at(a, `ping -c 1 ${line}`);
    net.advance(20_000);
    t.is(got.text.split('\n')[0], head);
    t.is(got.code, 0);
  });

/** The server that the real tools were recorded with, at ::1. */
function zone({ name, type }: DnsQuestion): ZoneAnswer {
  const key = name.toLowerCase();
  const of: Readonly<Record<string, readonly RecordData[]>> = {
    dfour: [{ type: 'A', address: parseIp4('10.0.0.2')! }],
    dsix: [{ type: 'AAAA', address: parseIp6('fd00::2')! }],
    dboth: [
      { type: 'A', address: parseIp4('10.0.0.2')! },
      { type: 'AAAA', address: parseIp6('fd00::5')! },
    ],
  };
  const known = of[key];
  if (known === undefined) return { type: 'rcode', rcode: RCODE.NXDOMAIN, authority: 'cached' };
  const answers = known
    .filter((data) => typeName(type) === data.type)
    .map((data) => ({ name, class: 1, ttl: 60, data }));
  return { type: 'answer', answers, authority: 'cached' };
}

const SERVER = 'Server:\t\t::1\nAddress:\t::1#53\n\nNon-authoritative answer:\n';
const FOUR = 'Name:\tdboth\nAddress: 10.0.0.2\n';
const SIX = 'Name:\tdboth\nAddress: fd00::5\n';

/** Recorded from BIND 9.18, with `nameserver ::1`. */
const ASKED: readonly (readonly [line: string, code: number, text: string])[] = [
  ['dig +short AAAA dboth @::1', 0, 'fd00::5\n'],
  ['dig +short dboth @dnsv6', 0, '10.0.0.2\n'],
  ['dig +short dboth @dnsboth', 0, '10.0.0.2\n'],
  ['dig -6 +short dboth @dnsboth', 0, '10.0.0.2\n'],
  [
    'dig -4 +tries=1 +time=1 dboth @::1',
    1,
    "dig: couldn't get address for '::1': address family not supported\n",
  ],
  [
    'dig -6 +tries=1 +time=1 dboth @127.0.0.1',
    0,
    ";; Skipping mapped address '::ffff:127.0.0.1'\n;; No acceptable nameservers\n",
  ],
  ['dig -6 -4 +tries=1 +time=1 dboth', 1, 'dig: only one of -4 and -6 allowed\n'],
  ['nslookup dboth', 0, `${SERVER}${FOUR}${SIX}\n`],
  ['nslookup dboth ::1', 0, `${SERVER}${FOUR}${SIX}\n`],
  ['nslookup dboth dnsboth', 0, `${SERVER.replace('::1', 'dnsboth')}${FOUR}${SIX}\n`],
  ['nslookup dfour', 0, `${SERVER}Name:\tdfour\nAddress: 10.0.0.2\n\n`],
  ['nslookup dsix', 0, `${SERVER}Name:\tdsix\nAddress: fd00::2\n\n`],
  ['nslookup -type=AAAA dfour', 0, `${SERVER}*** Can't find dfour: No answer\n\n`],
  ['nslookup fd00::5', 1, `** server can't find 5.${'0.'.repeat(29)}d.f.ip6.arpa: NXDOMAIN\n\n`],
  ['getent hosts dboth', 0, 'fd00::5         dboth\n'],
  ['getent hosts dfour', 0, '10.0.0.2        dfour\n'],
  ['getent ahostsv4 dsix', 2, ''],
  ['nc -6zv dfour 80', 1, 'nc: getaddrinfo for host "dfour" port 80: No address associated with hostname\n'],
  ['nc -4zv dsix 80', 1, 'nc: getaddrinfo for host "dsix" port 80: No address associated with hostname\n'],
  [
    'nc -zv dboth 81',
    0,
    'nc: connect to dboth (fd00::5) port 81 (tcp) failed: Connection refused\nConnection to dboth (10.0.0.2) 81 port [tcp/*] succeeded!\n',
  ],
  ['curl -sS -6 http://dfour/', 7, "curl: (7) Couldn't connect to server\n"],
  ['curl -sS -4 http://dsix/', 6, 'curl: (6) Could not resolve host: dsix\n'],
  ['curl -sS -6 http://dnone/', 6, 'curl: (6) Could not resolve host: dnone\n'],
];

for (const [line, code, text] of ASKED)
  test(`with a DNS server of IPv6: ${line}`, (t) => {
    const { net, a } = lab();
    a.kernel.root.setUp('lo');
    serveDns(a.kernel.root, 0, new DnsServer({ host: dnsHost(a.kernel.root), recursion: 'available', zone }));
    const files = filesOf({
      '/etc/hosts': '::1 dnsv6\n127.0.0.1 dnsboth\n::1 dnsboth\n',
      '/etc/resolv.conf': 'nameserver ::1\n',
    });
    const got = run(line, a.kernel.root, { files });
    net.advance(20_000);
    t.is(got.text, text);
    t.is(got.code, code);
  });

test('a connection that is over has nothing in its queues', (t) => {
  const { net, a, far, at } = lab();
  t.is(at(a, 'curl -s http://[fd00::2]/').code, null);
  net.advance(200);
  const rows = [a, far].flatMap((host) =>
    at(host, 'ss -Htan state time-wait').text.split('\n').filter(Boolean),
  );
  t.true(rows.length > 0);
  for (const row of rows) t.regex(row, /^0 {6}0 +\[/);
});
