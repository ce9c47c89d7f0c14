import test from 'ava';
import fc from 'fast-check';
import type { HttpHeaders, RequestHead, ResponseHead } from '../../../protocols/http/message.ts';
import { headerValue, persists, reasonOf } from '../../../protocols/http/message.ts';
import { type HttpHandlers, RequestParser, ResponseParser } from '../../../protocols/http/parser.ts';
import {
  formatChunk,
  formatRequestHead,
  formatResponseHead,
  HttpFormatError,
  latin1,
} from '../../../protocols/http/serialize.ts';

interface Taken<Head> {
  readonly messages: { readonly head: Head; body: string; done: boolean }[];
  problem: string;
  readonly handlers: HttpHandlers<Head>;
}

function taken<Head>(): Taken<Head> {
  const got: Taken<Head> = {
    messages: [],
    problem: '',
    handlers: {
      head: (head) => got.messages.push({ head, body: '', done: false }),
      body: (bytes) => {
        got.messages.at(-1)!.body += Buffer.from(bytes).toString('latin1');
      },
      end: () => {
        got.messages.at(-1)!.done = true;
      },
      error: (problem, status) => {
        if (got.problem !== '') throw new Error('a second error');
        got.problem = `${status} ${problem}`;
      },
    },
  };
  return got;
}

function requests(text: string, limit?: number): Taken<RequestHead> {
  const got = taken<RequestHead>();
  const parser = new RequestParser(got.handlers, limit === undefined ? undefined : { head: limit });
  parser.receive(latin1(text));
  return got;
}

function responses(text: string, close: 'close' | 'open', ...methods: string[]): Taken<ResponseHead> {
  const got = taken<ResponseHead>();
  const parser = new ResponseParser(got.handlers);
  for (const method of methods) parser.requested(method);
  parser.receive(latin1(text));
  if (close === 'close') parser.end();
  return got;
}

test('requests one after the other, as RFC 9112 writes them', (t) => {
  const got = requests(
    'GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\n\r\n\r\n' +
      'POST / HTTP/1.1\r\nHost:x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\n\n',
  );
  t.is(got.problem, '');
  t.deepEqual(
    got.messages.map(({ head, body, done }) => [head.method, head.target, head.version, body, done]),
    [
      ['GET', '/hello.txt', '1.1', '', true],
      ['POST', '/', '1.1', 'hello', true],
      ['GET', '/', '1.0', '', true],
    ],
  );
  t.is(headerValue(got.messages[0]!.head.headers, 'user-agent'), 'curl/7.64.1');
});

test('chunks with extensions and trailers', (t) => {
  const got = requests(
    'PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nWiki\r\n6 \r\npedia \r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n',
  );
  t.is(got.problem, '');
  t.deepEqual(
    got.messages.map(({ body, done }) => [body, done]),
    [
      ['Wikipedia ', true],
      ['', true],
    ],
  );
});

const BAD_REQUESTS: readonly (readonly [text: string, problem: string])[] = [
  ['GET /\r\n\r\n', '400 malformed request line'],
  ['GET  / HTTP/1.1\r\n\r\n', '400 malformed request line'],
  ['G(T / HTTP/1.1\r\n\r\n', '400 malformed request line'],
  ['GET / HTTP/2.0\r\n\r\n', '505 HTTP/2.0 is not spoken here'],
  ['GET / FTP/1.1\r\n\r\n', '400 malformed protocol version'],
  ['GET / HTTP/1.1\r\n\r\n', '400 0 Host fields'],
  ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', '400 2 Host fields'],
  ['GET / HTTP/1.1\r\nHost : a\r\n\r\n', '400 malformed field line'],
  ['GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', '400 folded field line'],
  ['GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n', '400 CR or NUL within a line'],
  ['GET / HTTP/1.1\r\nHost: a\0\r\n\r\n', '400 CR or NUL within a line'],
  ['GET / HTTP/1.1\r\nnonsense\r\n\r\n', '400 malformed field line'],
  ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n', '400 malformed Content-Length'],
  ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n', '400 malformed Content-Length'],
  [
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n',
    '400 malformed Content-Length',
  ],
  [
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
    '400 Transfer-Encoding beside Content-Length',
  ],
  ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', '501 transfer coding gzip'],
  [
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n',
    '400 transfer coding that is not chunked at its end',
  ],
  ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n', '400 chunk without a size'],
  [
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n',
    '400 chunk longer than its size',
  ],
];

for (const [i, [text, problem]] of BAD_REQUESTS.entries()) {
  test(`refused ${i}: ${problem}`, (t) => t.is(requests(text).problem, problem));
}

test('heads and chunk lines without end are cut off', (t) => {
  t.is(requests(`GET /${'x'.repeat(2000)}`, 1000).problem, '431 head longer than 1000 bytes');
  const many = 'X: y\r\n'.repeat(300);
  t.is(requests(`GET / HTTP/1.1\r\nHost: x\r\n${many}`, 1000).problem, '431 head longer than 1000 bytes');
  const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  t.is(requests(`${chunked}1;${'x'.repeat(5000)}`).problem, '431 head longer than 4096 bytes');
  t.is(requests(`${chunked}0\r\n${many}`, 1000).problem, '431 head longer than 1000 bytes');
});

test('a response ends as its head says', (t) => {
  const bodies = (text: string, close: 'close' | 'open', ...methods: string[]) => {
    const got = responses(text, close, ...methods);
    return [got.problem, ...got.messages.map(({ head, body, done }) => `${head.status} ${body} ${done}`)];
  };
  const ok = 'HTTP/1.1 200 OK\r\n';
  t.deepEqual(bodies(`${ok}Content-Length: 2\r\n\r\nhi`, 'open', 'GET'), ['', '200 hi true']);
  t.deepEqual(bodies(`${ok}Content-Length: 2, 2\r\n\r\nhi`, 'open', 'GET'), ['', '200 hi true']);
  t.deepEqual(bodies(`${ok}\r\nall of it`, 'open', 'GET'), ['', '200 all of it false']);
  t.deepEqual(bodies(`${ok}\r\nall of it`, 'close', 'GET'), ['', '200 all of it true']);
  t.deepEqual(bodies(`${ok}Transfer-Encoding: gzip\r\n\r\nxx`, 'close', 'GET'), ['', '200 xx true']);
  t.deepEqual(
    bodies(`${ok}Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n`, 'open', 'GET'),
    ['', '200 hi true'],
  );
  t.deepEqual(
    bodies(
      `${ok}Content-Length: 9\r\n\r\nHTTP/1.1 204\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n`,
      'open',
      'HEAD',
      'GET',
      'GET',
    ),
    ['', '200  true', '204  true', '304  true'],
  );
  t.deepEqual(bodies(`HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 1\r\n\r\nx`, 'open', 'POST'), [
    '',
    '100  true',
    '200 x true',
  ]);
  t.deepEqual(bodies(`${ok}Content-Length: 9\r\n\r\nhi`, 'close', 'GET'), [
    '400 connection closed within a message',
    '200 hi false',
  ]);
  t.deepEqual(bodies('SSH-2.0-OpenSSH\r\n\r\n', 'open', 'GET'), ['400 malformed status line']);
});

test('whether a connection goes on', (t) => {
  const head = (version: '1.0' | '1.1', connection: string | null) =>
    persists({ version, headers: connection === null ? [] : [['connection', connection]] });
  t.deepEqual(
    [head('1.1', null), head('1.1', 'Upgrade, Close'), head('1.0', null), head('1.0', 'Keep-Alive')],
    [true, false, false, true],
  );
});

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,10}$/);
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
const fields: fc.Arbitrary<HttpHeaders> = fc
  .array(fc.tuple(token, value), { maxLength: 5 })
  .map((all) => all.filter(([name]) => !/^(host|content-length|transfer-encoding)$/i.test(name)));
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  target: fc.stringMatching(/^\/[!-~]{0,20}$/),
  headers: fields,
  body: fc.uint8Array({ maxLength: 60 }),
  framing: fc.constantFrom('length' as const, 'chunked' as const),
});

test('what is written is read, however it is cut', (t) => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (all, step) => {
      const expected = all.map(({ method, target, headers, body, framing }) => {
        const framed: HttpHeaders = [
          ['Host', 'x'],
          ...headers,
          framing === 'chunked' ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)],
        ];
        const head: RequestHead = { method, target, version: '1.1', headers: framed };
        const content =
          framing === 'length'
            ? [body]
            : [body.subarray(0, body.length >> 1), body.subarray(body.length >> 1)]
                .filter((part) => part.length > 0)
                .map(formatChunk)
                .concat(formatChunk(new Uint8Array(0)));
        return { head, body, bytes: Buffer.concat([formatRequestHead(head), ...content]) };
      });
      const stream = Buffer.concat(expected.map(({ bytes }) => bytes));
      const got = taken<RequestHead>();
      const parser = new RequestParser(got.handlers);
      for (let at = 0; at < stream.length; at += step) parser.receive(stream.subarray(at, at + step));
      t.is(got.problem, '');
      t.true(parser.idle);
      t.deepEqual(
        got.messages,
        expected.map(({ head, body }) => ({ head, body: Buffer.from(body).toString('latin1'), done: true })),
      );
    }),
    { numRuns: 200 },
  );
});

test('whatever comes is read or refused', (t) => {
  const soup = fc.array(
    fc.oneof(
      fc.constantFrom(
        'GET ',
        '/ ',
        'HTTP/1.1',
        'HTTP/1.1 200 OK',
        '\r\n',
        '\n',
        'Host: x',
        'Transfer-Encoding: chunked',
        'Content-Length: ',
        '5',
        '0',
        ';',
      ),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(soup, (parts) => {
      requests(parts.join(''));
      responses(parts.join(''), 'close', 'GET');
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

test('nothing can be written that ends a line before its time', (t) => {
  const head: RequestHead = { method: 'GET', target: '/', version: '1.1', headers: [] };
  const bad: Partial<RequestHead>[] = [
    { method: 'G T' },
    { target: '/ x' },
    { target: '' },
    { headers: [['a b', 'c']] },
    { headers: [['a', 'b\r\nc: d']] },
    { headers: [['a', '\u0100']] },
  ];
  for (const part of bad)
    t.throws(() => formatRequestHead({ ...head, ...part }), { instanceOf: HttpFormatError });
  const answer: ResponseHead = { version: '1.1', status: 200, reason: 'x\ny', headers: [] };
  t.throws(() => formatResponseHead(answer), { instanceOf: HttpFormatError });
  t.is(
    Buffer.from(formatResponseHead({ ...answer, reason: reasonOf(404), status: 404 })).toString(),
    'HTTP/1.1 404 Not Found\r\n\r\n',
  );
});
