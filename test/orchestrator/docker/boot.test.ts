import test from 'ava';
import { takesStdin } from '../../../nodes/daemons/docker/cli/docker.ts';
import { resolveTarget, TargetError, withAddresses } from '../../../orchestrator/cli/target.ts';
import { codeOf, refusedCommands } from '../../../orchestrator/cli/up.ts';
import { compileLab } from '../../../orchestrator/lab/compile.ts';
import type { RunningLab } from '../../../orchestrator/running-lab.ts';
import { settle, simulate } from '../../support/sim.ts';

const LAB = `
name: boot
topology:
  nodes:
    host1:
      kind: host
      docker:
        networks: ['--subnet 10.8.0.0/24 back']
        containers:
          - --name web --net back -p 8080:80 nginx
          - --name db --net back --ip 10.8.0.1 redis
          - --name other -p 8080:80 nginx
          - --name plain busybox sleep infinity
    host2: { kind: host, docker: { containers: ['--name web nginx', '--name my_db redis'] } }
segments:
  lan: { subnet: 172.18.18.0/24, rangeStart: 172.18.18.11, nodes: all }
`;

test('a refused command of the lab file is told by its place, and the lab has not come up', async (t) => {
  const compiled = compileLab(LAB, 'boot.yaml');
  const lab = await simulate(compiled);
  const refused = await refusedCommands(lab, compiled);
  t.is(refused.length, 2);
  t.is(
    refused[0],
    'boot.yaml:11:13: topology.nodes.host1.docker.containers[1]: docker run -d --name db --net back --ip 10.8.0.1 redis: docker: Error response from daemon: Address already in use.',
  );
  t.regex(
    refused[1]!,
    /^boot\.yaml:12:13: topology\.nodes\.host1\.docker\.containers\[2\]: docker run -d --name other -p 8080:80 nginx: docker: Error response from daemon: .*Bind for 0\.0\.0\.0:8080 failed: port is already allocated\.$/,
  );
  const result = await settle(lab);
  t.is(codeOf(result, refused), 1);
  t.is(codeOf(result, []), 0);
});

test('@NAME is a container too, by the address that it has where one is', async (t) => {
  const lab = await simulate(LAB);
  const put = (from: string, ...argv: string[]) => at(lab, from, argv);
  t.deepEqual(await put('host1', 'ping', '@web'), ['ping', '10.8.0.2'], 'that of the node itself');
  t.deepEqual(await put('host2', 'curl', 'http://@web/healthz', 'http://@host1/web/x'), [
    'curl',
    'http://172.17.0.2/healthz',
    'http://10.8.0.2/x',
  ]);
  t.deepEqual(await put('host1', 'ping', '@my_db'), ['ping', '172.17.0.3'], 'the only one of its name');
  await lab.command('host1', {
    type: 'exec',
    pod: '',
    argv: ['docker', 'network', 'connect', 'bridge', 'web'],
  });
  t.deepEqual(
    await put('host1/plain', 'ping', '@web'),
    ['ping', '172.17.0.3'],
    'in the network that both are in',
  );
  await t.throwsAsync(put('host1', 'ping', '@nobody'), {
    instanceOf: TargetError,
    message:
      'there is no running pod, container or node nobody; reroute get pods, containers and nodes list them',
  });
  t.deepEqual(await resolveTarget(lab, '@plain'), { node: 'host1', pod: 'plain' });
  t.deepEqual(await resolveTarget(lab, 'my_db'), { node: 'host2', pod: 'my_db' });
  await t.throwsAsync(resolveTarget(lab, 'web'), { instanceOf: TargetError }, 'there are two');
});

async function at(lab: RunningLab, from: string, argv: readonly string[]): Promise<string[]> {
  return withAddresses(lab, argv, await resolveTarget(lab, from));
}

test('what is written to the client goes on to the process, with -i and without -t', async (t) => {
  for (const [line, takes] of [
    ['exec -i web nc 10.0.0.1 80', true],
    ['exec -it web sh', false],
    ['exec web nc -i 1 10.0.0.1', false],
    ['container exec --interactive web sh', true],
    ['run -i --rm busybox sh', true],
    ['run -di busybox', false],
    ['start -i web', true],
    ['ps -a', false],
    ['exec --nonsense -i web', false],
  ] as const)
    t.is(takesStdin(line.split(' ')), takes, line);

  const lab = await simulate(LAB);
  const run = async (argv: readonly string[], stdin: string) => {
    let stdout = '';
    await lab.command(
      'host1',
      { type: 'exec', pod: '', argv, stdin },
      {
        onReply: (part) => {
          if (part.type === 'stdout') stdout += part.text;
        },
      },
    );
    return stdout;
  };
  const request = 'GET / HTTP/1.0\r\n\r\n';
  t.regex(
    await run(['docker', 'exec', '-i', 'plain', 'nc', '-w', '2', '172.17.0.1', '8080'], request),
    /^Name: web$/m,
  );
  t.is(await run(['docker', 'exec', 'plain', 'sh'], 'echo unread'), '');
  t.is(await run(['docker', 'run', '-i', '--rm', 'busybox'], 'echo read; echo again'), 'read\nagain\n');
});
