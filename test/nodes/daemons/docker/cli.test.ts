import test from 'ava';
import fc from 'fast-check';
import { type Flag, FlagError, parseFlags } from '../../../../nodes/daemons/docker/cli/flags.ts';
import { parsePublish } from '../../../../nodes/daemons/docker/cli/run.ts';
import { humanDuration, table, timestamp } from '../../../../nodes/daemons/docker/cli/table.ts';
import { parseTemplate } from '../../../../nodes/daemons/docker/cli/template.ts';

const FLAGS: readonly Flag[] = [
  { name: 'detach', short: 'd', type: 'bool', help: '' },
  { name: 'interactive', short: 'i', type: 'bool', help: '' },
  { name: 'publish', short: 'p', type: 'list', help: '' },
  { name: 'network', alias: 'net', type: 'network', help: '' },
  { name: 'time', short: 't', type: 'int', help: '' },
];

function parse(line: string, order: 'interspersed' | 'stop-at-argument' = 'interspersed') {
  const flags = parseFlags(line.split(' '), FLAGS, order);
  if (flags === 'help') throw new Error('help');
  return flags;
}

test('flags are read as pflag reads them', (t) => {
  const flags = parse('-dip 80:80 --publish=81:81 --net mynet image -x y', 'stop-at-argument');
  t.true(flags.has('detach') && flags.has('interactive'));
  t.deepEqual(flags.list('publish'), ['80:80', '81:81']);
  t.is(flags.text('network'), 'mynet');
  t.deepEqual(flags.args, ['image', '-x', 'y']);
  t.deepEqual(parse('a -d b -- -c').args, ['a', 'b', '-c']);
  t.is(parse('-t5 x').text('time'), '5');
  t.false(parse('--detach=false x').has('detach'));
  const problems: readonly (readonly [string, string])[] = [
    ['--foo x', 'unknown flag: --foo'],
    ['-dx x', "unknown shorthand flag: 'x' in -dx"],
    ['x --network', 'flag needs an argument: --network'],
    ['x -p', "flag needs an argument: 'p' in -p"],
    [
      '--detach=maybe x',
      'invalid argument "maybe" for "-d, --detach" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [
      '-t soon x',
      'invalid argument "soon" for "-t, --time" flag: strconv.ParseInt: parsing "soon": invalid syntax',
    ],
  ];
  for (const [line, message] of problems) t.throws(() => parse(line), { instanceOf: FlagError, message });
});

test('whatever words there are, the parser reads them or says what is wrong', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('-d', '--publish', '--', '-p', '--net=x', '-')), {
        maxLength: 8,
      }),
      (words) => {
        try {
          parseFlags(words, FLAGS, 'interspersed');
        } catch (error) {
          t.true(error instanceof FlagError);
        }
      },
    ),
  );
});

test('ports to publish', (t) => {
  t.deepEqual(parsePublish('8080:80'), [{ port: 80, proto: 'tcp', hostIp: '0.0.0.0', hostPort: 8080 }]);
  t.deepEqual(parsePublish('80'), [{ port: 80, proto: 'tcp', hostIp: '0.0.0.0', hostPort: 0 }]);
  t.deepEqual(parsePublish('127.0.0.1::53/udp'), [
    { port: 53, proto: 'udp', hostIp: '127.0.0.1', hostPort: 0 },
  ]);
  t.deepEqual(
    parsePublish('9000-9001:80-81').map(({ port, hostPort }) => [port, hostPort]),
    [
      [80, 9000],
      [81, 9001],
    ],
  );
  for (const [text, message] of [
    ['80:http', /Invalid containerPort: http/],
    ['70000:80', /Invalid hostPort: 70000/],
    ['1.2.3:80:80', /Invalid ip address: 1\.2\.3/],
    ['80/icmp', /Invalid proto: icmp/],
    ['80-82:80-81', /invalid range/],
    ['80:', /No port specified/],
  ] as const)
    t.throws(() => parsePublish(text), { message }, text);
});

test('the part of Go’s templates that --format has', (t) => {
  const data = {
    Name: '/web',
    State: { Running: true, Pid: 7 },
    Args: ['a', 'b'],
    NetworkSettings: { Networks: { mynet: { IPAddress: '10.0.0.2' }, bridge: { IPAddress: '172.17.0.2' } } },
    Labels: { 'com.example.x': '1' },
    None: null,
  };
  const cases: readonly (readonly [string, string])[] = [
    ['{{.Name}} {{.State.Running}}', '/web true'],
    ['{{range .NetworkSettings.Networks}}{{.IPAddress}};{{end}}', '172.17.0.2;10.0.0.2;'],
    [
      '{{range $name, $net := .NetworkSettings.Networks}}{{$name}}={{$net.IPAddress}} {{end}}',
      'bridge=172.17.0.2 mynet=10.0.0.2 ',
    ],
    ['{{json .Args}}', '["a","b"]'],
    ['{{(index .NetworkSettings.Networks "mynet").IPAddress}}', '10.0.0.2'],
    ['{{index .Args 1}}{{index .Labels "com.example.x"}}', 'b1'],
    ['{{if .State.Running}}up{{else}}down{{end}}', 'up'],
    ['{{with .NetworkSettings.Networks.mynet}}{{.IPAddress}}{{end}}', '10.0.0.2'],
    ['{{len .Args}} {{join .Args "-"}} {{.Name | upper}}', '2 a-b /WEB'],
    ['{{printf "%s:%d" .Name .State.Pid}}', '/web:7'],
    ['{{.Args}} {{.State}}', '[a b] map[Pid:7 Running:true]'],
    ['{{range .None}}x{{else}}none{{end}}', 'none'],
    ['{{- /* a comment */ -}} x', 'x'],
    ['{{eq .Name "/web"}}', 'true'],
  ];
  for (const [text, expected] of cases) t.is(parseTemplate(text).execute(data), expected, text);
  for (const [text, message] of [
    ['{{.Nope}}', /map has no entry for key "Nope"/],
    ['{{nosuch .Name}}', /function "nosuch" not defined/],
    ['{{range .Args}}', /unexpected EOF/],
    ['{{end}}', /unexpected \{\{end\}\}/],
    ['{{.Name', /unclosed action/],
    ['{{$x}}', /undefined variable "\$x"/],
  ] as const)
    t.throws(() => parseTemplate(text).execute(data), { message }, text);
});

test('columns, times and durations as the client prints them', (t) => {
  t.is(
    table([
      ['NETWORK ID', 'NAME', 'DRIVER', 'SCOPE'],
      ['22afa40fd7c0', 'bridge', 'bridge', 'local'],
    ]),
    'NETWORK ID     NAME      DRIVER    SCOPE\n22afa40fd7c0   bridge    bridge    local\n',
  );
  const minute = 60_000;
  const durations: readonly (readonly [number, string])[] = [
    [400, 'Less than a second'],
    [1000, '1 second'],
    [59_000, '59 seconds'],
    [61_000, 'About a minute'],
    [5 * minute, '5 minutes'],
    [60 * minute, 'About an hour'],
    [47 * 60 * minute, '47 hours'],
    [72 * 60 * minute, '3 days'],
  ];
  for (const [ms, text] of durations) t.is(humanDuration(ms), text);
  t.is(timestamp(1_614_114_163_683.5), '2021-02-23T21:02:43.6835Z');
  t.is(timestamp(null), '0001-01-01T00:00:00Z');
});
