import test from 'ava';
import { dockerHost } from '../../support/docker.ts';

test('what the user gets wrong is told in Docker’s words, with its exit codes', async (t) => {
  const { lab, host } = await dockerHost(t);
  await host.out('docker run -d --name web -p 8080:80 nginx');
  const cases: readonly (readonly [line: string, code: number, says: string | RegExp])[] = [
    ['docker run --foo nginx', 125, "unknown flag: --foo\nSee 'docker run --help'.\n"],
    ['docker run -x nginx', 125, "unknown shorthand flag: 'x' in -x\nSee 'docker run --help'.\n"],
    [
      'docker run',
      1,
      '"docker run" requires at least 1 argument.\nSee \'docker run --help\'.\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun a command in a new container\n',
    ],
    ['docker ps x', 1, /^"docker ps" accepts no arguments\.\nSee 'docker ps --help'\.\n/],
    ['docker network connect x', 1, /^"docker network connect" requires exactly 2 arguments\.\n/],
    ['docker frobnicate', 1, "docker: 'frobnicate' is not a docker command.\nSee 'docker --help'\n"],
    [
      'docker run -d -p 8080:80 nginx',
      125,
      /^docker: Error response from daemon: driver failed programming external connectivity on endpoint \w+ \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated\.\n$/,
    ],
    [
      'docker run nosuch',
      125,
      "Unable to find image 'nosuch:latest' locally\ndocker: Error response from daemon: pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied.\nSee 'docker run --help'.\n",
    ],
    [
      'docker run --rm busybox nosuch',
      127,
      'docker: Error response from daemon: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nosuch": executable file not found in $PATH: unknown.\n',
    ],
    [
      'docker exec web nosuch',
      126,
      'OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: "nosuch": executable file not found in $PATH: unknown\n',
    ],
    ['docker exec nosuch true', 1, 'Error: No such container: nosuch\n'],
    ['docker stop nosuch', 1, 'Error response from daemon: No such container: nosuch\n'],
    [
      'docker rm web',
      1,
      /^Error response from daemon: You cannot remove a running container [0-9a-f]{64}\. Stop the container before attempting removal or force remove\n$/,
    ],
    ['docker inspect nosuch', 1, 'Error: No such object: nosuch\n'],
    ['docker network inspect nosuch', 1, 'Error: No such network: nosuch\n'],
    ['docker port web 81', 1, "Error: No public port '81/tcp' published for web\n"],
    ['docker network connect nosuch web', 1, 'Error response from daemon: network nosuch not found\n'],
    [
      'docker network connect bridge web',
      1,
      /^Error response from daemon: endpoint with name web already exists in network bridge\n$/,
    ],
    [
      'docker network connect host web',
      1,
      'Error response from daemon: container cannot be disconnected from host network or connected to host network\n',
    ],
    [
      'docker network disconnect host web',
      1,
      'Error response from daemon: container cannot be disconnected from host network or connected to host network\n',
    ],
    ['docker run -d --name web nginx', 125, /already in use by container/],
    [
      'docker run -d --net nosuch nginx',
      125,
      'docker: Error response from daemon: network nosuch not found.\n',
    ],
    [
      'docker run --net container:web -p 1:1 nginx',
      125,
      "docker: Error response from daemon: conflicting options: port publishing and the container type network mode.\nSee 'docker run --help'.\n",
    ],
    ['docker run --mac-address zz nginx', 125, /invalid mac address/],
    [
      'docker run -d --restart sometimes nginx',
      125,
      "docker: Error response from daemon: invalid restart policy 'sometimes'.\nSee 'docker run --help'.\n",
    ],
    ['docker network create', 1, /requires exactly 1 argument/],
    [
      'docker network create -d nosuch net1',
      1,
      'Error response from daemon: could not find a v2 driver: plugin "nosuch" not found\n',
    ],
    ['docker network create --subnet 10.9.0.0 net1', 1, 'invalid CIDR address: 10.9.0.0\n'],
    ['docker ps --format {{.Nope}}', 1, /Nope/],
  ];
  for (const [line, code, says] of cases) await host.fails(line, code, says);
  t.deepEqual((await host.out("docker ps --format '{{.Names}}: {{.Ports}}'")).split('\n'), [
    'web: 0.0.0.0:8080->80/tcp',
    '',
  ]);
  t.is(
    await host.out("docker ps -a --filter status=created --format '{{.Status}}'"),
    'Created\nCreated\n',
    'what could not be started stays',
  );
  const reply = await lab.command('n2', { type: 'exec', pod: '', argv: ['docker', 'ps'] });
  t.deepEqual(reply, { type: 'exit', code: 0 });
});

test('published ports by the proxy: from the node, from another, from the container itself', async (t) => {
  const { host, other } = await dockerHost(t);
  await host.out('docker run -d --name web -p 8080:80 -p 127.0.0.1:8081:80 nginx');
  for (const url of ['http://127.0.0.1:8080/', 'http://10.0.0.11:8080/', 'http://127.0.0.1:8081/'])
    t.regex(await host.out(`curl -s ${url}`), /^Name: web$/m, url);
  t.regex(await other.out('curl -s http://10.0.0.11:8080/'), /^Name: web$/m);
  t.is((await other.run('curl -s http://10.0.0.11:8081/')).code, 7, 'published on the host’s loopback alone');
  t.regex(await host.out('docker exec web curl -s http://10.0.0.11:8080/'), /^Name: web$/m, 'hairpin');
  t.is(await host.out('docker port web'), '80/tcp -> 0.0.0.0:8080\n80/tcp -> 127.0.0.1:8081\n');
  await host.out('docker stop web');
  t.is((await host.run('curl -s http://127.0.0.1:8080/')).code, 7);
  await host.out('docker start web');
  t.regex(await other.out('curl -s http://10.0.0.11:8080/'), /^Name: web$/m);
  await host.out('docker run -d --name dns -p 5353:53/udp dnsmasq --address=/a.test/192.0.2.1');
  t.is(await host.out('docker port dns'), '53/udp -> 0.0.0.0:5353\n');
});

test('a script of exec runs in the shell of the tools', async (t) => {
  const { host } = await dockerHost(t);
  await host.out('docker run -d --name web --hostname web nginx');
  t.is(
    await host.out('docker exec web sh -c hostname;hostname&&hostname|wc'),
    'web\nweb\n      1       1       4\n',
  );
});

test('what keeps a container alive, and what does not', async (t) => {
  const { host } = await dockerHost(t);
  const status = (name: string) => host.out(`docker inspect -f '{{.State.Status}}' ${name}`);
  await host.out('docker run -dit --name shell busybox sh');
  t.is(await status('shell'), 'running\n', 'a shell with an open stdin');
  await host.out('docker run -d --name closed busybox sh');
  t.is(await status('closed'), 'exited\n');
  t.is(await host.out('docker run --rm -it busybox sh'), '', 'nobody types here');
  await host.out('docker run -d --name tail alpine tail -f /dev/null');
  t.is(await status('tail'), 'running\n');
  t.is(await host.out('docker exec tail sh -c "echo one; echo two | wc -l"'), 'one\n1\n');
  t.is(await host.out('docker run --rm busybox sh -c "false || echo no"'), 'no\n');
  await host.out('docker run -d --name once busybox echo logged');
  t.is(await host.out('docker logs once'), 'logged\n');
});

test('UDP ports are published too', async (t) => {
  const { host, other } = await dockerHost(t);
  await host.out('docker run -d --name echo -p 7777:8081/udp agnhost');
  for (const [from, address] of [
    [other, '10.0.0.11'],
    [host, '10.0.0.11'],
    [host, '127.0.0.1'],
  ] as const) {
    const { stdout } = await from.run(`sh -c "echo hello | nc -u -w 1 ${address} 7777"`);
    t.is(stdout, 'hello\n', address);
  }
});
