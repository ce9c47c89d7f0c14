import test from 'ava';
import { Shell } from '../support/docker.ts';
import { SEED_LAB, walkTranscript } from '../support/docker-transcript.ts';
import { launch, until, verifies } from '../support/lab.ts';

test('the Docker chapter of the seed document runs as it is printed there, in real processes', async (t) => {
  const { lab } = await launch(t, SEED_LAB);
  await walkTranscript(t, new Shell(t, lab, 'bogon'), new Shell(t, lab, 'client'));
  await verifies(t, lab);
});

const SWARM = `
name: seed-swarm
topology:
  nodes:
    n1: { kind: host, docker: { swarm: manager, networks: ['-d overlay --attachable over'] } }
    n2: { kind: host, docker: { swarm: worker } }
    n3: { kind: host, docker: { swarm: worker } }
segments:
  lan: { subnet: 10.7.0.0/24, rangeStart: 10.7.0.11, nodes: all }
`;

test('an overlay network and a service across three processes, over the bus’ own store', async (t) => {
  const { lab } = await launch(t, SWARM);
  const [n1, n2, n3] = ['n1', 'n2', 'n3'].map((node) => new Shell(t, lab, node)) as [Shell, Shell, Shell];
  const joined = async () => (await n1.out('docker node ls')).split('\n').length === 5;
  await until(lab, 'all nodes are in the swarm', joined);
  await until(lab, 'the network is there', async () => (await n1.out('docker network ls')).includes('over'));
  await Promise.all([
    n1.out('docker run -d --name one --net over nginx'),
    n2.out('docker run -d --name two --net over nginx'),
    n3.out('docker run -d --name three --net over nginx'),
  ]);
  const reaches = async (host: Shell, from: string, to: string) =>
    (await host.run(`docker exec ${from} curl -s -m 2 http://${to}/`)).stdout.includes(`Name: ${to}\n`);
  await until(lab, 'one reaches two', () => reaches(n1, 'one', 'two'));
  await until(lab, 'three reaches one', () => reaches(n3, 'three', 'one'));
  const addresses = await Promise.all(
    (
      [
        [n1, 'one'],
        [n2, 'two'],
        [n3, 'three'],
      ] as const
    ).map(([host, name]) =>
      host.out(`docker inspect -f '{{.NetworkSettings.Networks.over.IPAddress}}' ${name}`),
    ),
  );
  t.is(new Set(addresses).size, 3, 'no address twice, however they race');
  await n1.out('docker service create --name web --replicas 3 --endpoint-mode dnsrr --network over nginx');
  await until(lab, 'three tasks run', async () =>
    /web +replicated +3\/3/.test(await n1.out('docker service ls')),
  );
  t.is((await n1.out('docker exec one dig +short tasks.web')).trim().split('\n').length, 3);
  await verifies(t, lab);
});

test('a service of two replicas on three processes: the mesh on every address, the virtual address and the name', async (t) => {
  const { lab } = await launch(
    t,
    SWARM.replace('name: seed-swarm', 'name: mesh').replace(
      'segments:',
      '    client: { kind: host }\nsegments:',
    ),
  );
  const [n1, n3, client] = ['n1', 'n3', 'client'].map((node) => new Shell(t, lab, node)) as [
    Shell,
    Shell,
    Shell,
  ];
  await until(
    lab,
    'three nodes are in the swarm',
    async () => ((await n1.run('docker node ls')).stdout.match(/ Ready /g) ?? []).length === 3,
  );
  await until(lab, 'the network is there', async () => (await n1.out('docker network ls')).includes('over'));
  // It comes back when both run.
  const made = await n1.out(
    'docker service create --name web --replicas 2 --constraint node.hostname!=n3 --network over -p 8080:80 nginx',
  );
  t.regex(made, /verify: Service converged/);
  await n3.out('docker run -d --name probe --network over busybox sleep infinity');
  const asked = async (from: Shell, command: string): Promise<Set<string>> => {
    const names = new Set<string>();
    for (let i = 0; i < 4; i++)
      names.add(/^Name: (web\.\d)\./m.exec((await from.run(command)).stdout)?.[1] ?? '');
    return names;
  };
  const BOTH = ['web.1', 'web.2'];
  for (const address of ['10.7.0.11', '10.7.0.12', '10.7.0.13'])
    await until(lab, `both answer at ${address}:8080`, async () => {
      const names = await asked(client, `curl -s -m 2 http://${address}:8080/`);
      return BOTH.every((name) => names.has(name));
    });
  const vip = JSON.parse(await n1.out("docker service inspect -f '{{json .Endpoint.VirtualIPs}}' web")) as {
    readonly Addr: string;
  }[];
  const [, inOver = ''] = vip.map(({ Addr }) => Addr.split('/')[0] ?? '');
  await until(
    lab,
    'the name is the virtual address',
    async () => (await n3.run('docker exec probe dig +short web')).stdout === `${inOver}\n`,
  );
  for (const host of [inOver, 'web'])
    await until(lab, `both answer at ${host}`, async () => {
      const names = await asked(n3, `docker exec probe curl -s -m 2 http://${host}/`);
      return BOTH.every((name) => names.has(name));
    });
  await verifies(t, lab);
});
