import test from 'ava';
import { imageName, imageOf, listensOf } from '../../../../nodes/daemons/workload/images.ts';
import { startWorkload, type WorkloadOptions } from '../../../../nodes/daemons/workload/start.ts';
import { PortInUseError } from '../../../../nodes/kernel/udp.ts';
import { ResponseParser } from '../../../../protocols/http/parser.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';
import { LINKTYPE_ETHERNET } from '../../../../protocols/pcapng.ts';
import { saveCapture } from '../../../support/save-capture.ts';
import { complaints, testWithTshark, tshark } from '../../../support/tshark.ts';
import { routed } from '../../tools/support/topology.ts';
import { connect } from './support.ts';

const B = parseIp4('10.0.2.2') ?? 0;
const TOMCAT: WorkloadOptions = {
  name: 'tomcat01',
  uid: '83b4703873b5213054e7e506e721a5d68f1ca40521ac68b363616a7f333fa981',
  hostname: '83b4703873b5',
  image: 'tomcat',
  expose: [],
};

function lab(options: Partial<WorkloadOptions> = {}) {
  const { net, a, b } = routed();
  const workload = startWorkload(b.kernel.root, { ...TOMCAT, ...options });
  const ask = (request: string, port = 8080) => connect(a.kernel.root, B, port, request);
  const get = (path: string, ...fields: string[]) =>
    ask([`GET ${path} HTTP/1.1`, 'Host: tomcat01:8080', 'Connection: close', ...fields, '', ''].join('\r\n'));
  return { net, a, b, workload, ask, get };
}

function bodyOf(text: string): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}

test('the answer says who answers, and whom it saw', (t) => {
  const { net, get } = lab();
  const client = get('/some/page?x=1');
  net.advance(100);
  t.regex(client.text, /^HTTP\/1\.1 200 OK\r\nServer: tomcat\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n/);
  const lines = bodyOf(client.text).split('\n');
  t.deepEqual(lines.slice(0, 6), [
    'Hostname: 83b4703873b5',
    'Name: tomcat01',
    `UID: ${TOMCAT.uid}`,
    'Image: tomcat',
    'IP: 10.0.2.2/24',
    'Server: 10.0.2.2:8080',
  ]);
  t.regex(lines[6] ?? '', /^Client: 10\.0\.1\.2:\d+$/);
  t.deepEqual(lines.slice(7), [
    '',
    'GET /some/page?x=1 HTTP/1.1',
    'Host: tomcat01:8080',
    'Connection: close',
    '',
  ]);
  t.is(client.end, 'peer-closed');
});

test('as JSON where it is asked for', (t) => {
  const { net, get } = lab();
  const clients = [get('/json'), get('/', 'Accept: application/json; q=1, */*')];
  net.advance(100);
  for (const { text } of clients) {
    const facts = JSON.parse(bodyOf(text));
    t.is(facts.uid, TOMCAT.uid);
    t.deepEqual(facts.addresses, ['10.0.2.2/24']);
    t.is(facts.client.address, '10.0.1.2');
    t.is(facts.request.host, 'tomcat01:8080');
  }
});

test('paths that do something else', (t) => {
  const { net, get, ask } = lab();
  const body = (path: string) => {
    const client = get(path);
    net.advance(1_000);
    return [client.text.split('\r\n')[0], bodyOf(client.text)];
  };
  t.deepEqual(body('/healthz'), ['HTTP/1.1 200 OK', 'ok']);
  t.deepEqual(body('/hostname'), ['HTTP/1.1 200 OK', '83b4703873b5']);
  t.deepEqual(body('/status/503'), ['HTTP/1.1 503 Service Unavailable', '503 Service Unavailable\n']);
  t.is(body('/bytes/100000')[1]?.length, 100_000);
  for (const bad of ['/bytes/x', '/bytes/99999999999', '/delay/-1', '/delay/9999', '/status/20'])
    t.is(body(bad)[0], 'HTTP/1.1 400 Bad Request', bad);
  t.is(body('/redirect/hostname')[0], 'HTTP/1.1 302 Found');
  const echo = ask('POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello');
  net.advance(100);
  t.is(bodyOf(echo.text), 'hello');
  const slow = get('/delay/2.5');
  net.advance(2_400);
  t.is(slow.text, '');
  net.advance(200);
  t.true(slow.text.startsWith('HTTP/1.1 200 OK'));
});

test('requests of one connection are answered in order, a slow one before a quick one', (t) => {
  const { net, ask } = lab();
  const client = ask(
    ['/delay/1', '/hostname', '/healthz'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''),
  );
  const bodies: string[] = [];
  const parser = new ResponseParser({
    head: () => bodies.push(''),
    body: (bytes) => {
      bodies.push(bodies.pop() + Buffer.from(bytes).toString());
    },
    end: () => {},
    error: (problem) => t.fail(problem),
  });
  net.advance(900);
  t.is(client.text, '');
  net.advance(200);
  for (let i = 0; i < 3; i++) parser.requested('GET');
  parser.receive(Buffer.from(client.text));
  t.deepEqual(bodies.slice(1), ['83b4703873b5', 'ok']);
  t.is(client.end, 'open');
  net.advance(75_100);
  t.is(client.end, 'peer-closed');
});

test('HEAD has no content, and what cannot be understood is refused', (t) => {
  const { net, ask } = lab();
  const head = ask('HEAD /hostname HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const bad = ask('nonsense\r\n\r\n');
  const big = ask(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n${'x'.repeat(60_000)}`);
  net.advance(1_000);
  t.is(bodyOf(head.text), '');
  t.regex(head.text, /Content-Length: 12\r\n/);
  t.regex(bad.text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nmalformed request line\n$/);
  t.is(bad.end, 'peer-closed');
  t.is(big.end, 'open');
});

test('what goes over the wire may be lost', (t) => {
  const { net, get } = lab();
  let count = 0;
  net.passes = () => Math.imul(++count, 0x9e3779b1) >>> 29 !== 0;
  const client = get('/bytes/50000');
  net.advance(60_000);
  t.is(bodyOf(client.text).length, 50_000);
  t.is(client.end, 'peer-closed');
});

test('an echo, of more than the buffers hold', (t) => {
  const { net, a, ask } = lab({ image: 'redis:7', expose: [{ port: 53, protocol: 'udp' }] });
  const text = Array.from({ length: 30_000 }, (_, i) => `${i},`).join('');
  const client = ask('', 6379);
  net.advance(10);
  for (let at = 0; at < text.length; at += 10_000) {
    client.send(text.slice(at, at + 10_000));
    net.advance(100);
  }
  t.is(client.text, text);
  client.close();
  net.advance(100);
  t.is(client.end, 'peer-closed');
  const got: string[] = [];
  const udp = a.kernel.root.bindUdp({ addr: 0, port: 0 }, ({ payload }) =>
    got.push(Buffer.from(payload).toString()),
  );
  udp.sendTo(B, 53, Buffer.from('hello'));
  net.advance(10);
  t.deepEqual(got, ['hello']);
});

test('a workload that has ended answers no more', (t) => {
  const { net, b, workload, ask } = lab();
  const open = ask('');
  net.advance(10);
  t.throws(
    () =>
      startWorkload(b.kernel.root, {
        ...TOMCAT,
        image: 'busybox',
        expose: [
          { port: 9, protocol: 'tcp' },
          { port: 8080, protocol: 'tcp' },
        ],
      }),
    {
      instanceOf: PortInUseError,
    },
  );
  t.is(connectEnd(net, ask('', 9)), 'refused');
  workload.close();
  net.advance(10);
  t.is(open.end, 'peer-closed');
  t.is(connectEnd(net, ask('')), 'refused');
});

function connectEnd(net: { advance(ms: number): void }, client: { readonly end: string }): string {
  net.advance(10);
  return client.end;
}

test('images and their ports', (t) => {
  t.deepEqual(imageOf('tomcat:9.0-jdk11').exposed, [{ port: 8080, protocol: 'tcp' }]);
  t.is(imageName('registry.k8s.io:5000/e2e-test-images/agnhost:2.39@sha256:abc'), 'agnhost');
  t.is(imageName('localhost:5000/nginx'), 'nginx');
  t.deepEqual(imageOf('constructor').exposed, []);
  t.deepEqual(listensOf('busybox', []), []);
  t.deepEqual(listensOf('my/own', [{ port: 9000, protocol: 'tcp' }]), [
    { port: 9000, protocol: 'tcp', service: 'http' },
  ]);
  t.is(listensOf('nginx', [{ port: 80, protocol: 'tcp' }]).length, 1);
});

testWithTshark('tshark reads what goes over the wire as HTTP', async (t) => {
  const { net, get, ask } = lab();
  get('/hostname');
  get('/json');
  ask('POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
  net.advance(1_000);
  const frames = net.frames.filter(({ segment }) => segment === 'right').map(({ frame }) => frame);
  const file = saveCapture(t, frames, LINKTYPE_ETHERNET);
  const http = ['-d', 'tcp.port==8080,http'];
  t.deepEqual(await complaints(file, ...http), []);
  t.is((await tshark(file, ...http, '-Y', 'http.response.code == 200')).length, 3);
});
