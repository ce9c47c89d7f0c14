import type { ExecutionContext } from 'ava';
import type { Shell } from './docker.ts';

/** The document's host, on a LAN with another one, and with a DNS server that knows no name that is asked for here. */
export const SEED_LAB = `
name: seed
topology:
  nodes:
    bogon:
      ipv6: true
      kind: host
      interfaces: { ens33: { segment: lan, address: 172.31.202.45/24 } }
      docker: { dns: [172.17.0.1], containers: ['--net host andyshinn/dnsmasq -D -R'] }
    client: { kind: host, gateway: 172.31.202.45, interfaces: { eth0: { segment: lan, address: 172.31.202.46/24 } } }
segments:
  lan: { subnet: 172.31.202.0/24, nodes: [bogon, client] }
`;

const ID = /^[0-9a-f]{64}\n$/;

/** Walks the Docker part of the seed document in its order and checks every fact that it prints. */
export async function walkTranscript(t: ExecutionContext, host: Shell, client: Shell): Promise<void> {
  // On the document's host five containers have come and gone: its first one's interface has index 14.
  for (let i = 0; i < 5; i++) await host.out('docker run --rm busybox true');

  const before = await host.out('ip addr');
  t.regex(
    before,
    /^2: ens33: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default qlen 1000\n/m,
  );
  t.regex(
    before,
    /^3: docker0: <.*BROADCAST,MULTICAST,UP.*> mtu 1500 qdisc noqueue state \w+ group default \n {4}link\/ether 02:42(:[0-9a-f]{2}){4} brd ff:ff:ff:ff:ff:ff\n {4}inet 172\.17\.0\.1\/16 brd 172\.17\.255\.255 scope global docker0\n/m,
  );

  const [tomcat01, tomcat02] = [await start('tomcat01'), await start('tomcat02')];
  t.is(
    await host.out('docker exec -it tomcat01 ip addr'),
    containerAddresses([[14, 'eth0', 15, '02:42:ac:11:00:02', '172.17.0.2', '172.17.255.255']]),
  );
  t.is(
    await host.out('docker exec -it tomcat02 ip addr'),
    containerAddresses([[16, 'eth0', 17, '02:42:ac:11:00:03', '172.17.0.3', '172.17.255.255']]),
  );
  // Long enough for the link-local addresses to have been tried.
  t.regex(await host.out('ping -c 4 172.17.0.3'), /64 bytes from 172\.17\.0\.3: icmp_seq=1 ttl=64 time=/);

  const after = await host.out('ip addr');
  const pattern = [
    '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000',
    '    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00',
    '    inet 127.0.0.1/8 scope host lo',
    FOREVER,
    '    inet6 ::1/128 scope host ',
    FOREVER,
    '2: ens33: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default qlen 1000',
    '    link/ether MAC brd ff:ff:ff:ff:ff:ff',
    '    inet 172.31.202.45/24 brd 172.31.202.255 scope global ens33',
    FOREVER,
    '    inet6 LINK-LOCAL/64 scope link ',
    FOREVER,
    '3: docker0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default ',
    '    link/ether MAC brd ff:ff:ff:ff:ff:ff',
    '    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0',
    FOREVER,
    '    inet6 LINK-LOCAL/64 scope link ',
    FOREVER,
    ...[
      [15, 14, 0],
      [17, 16, 1],
    ].flatMap(([index, peer, netns]) => [
      `${index}: vethNAME@if${peer}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group default `,
      `    link/ether MAC brd ff:ff:ff:ff:ff:ff link-netnsid ${netns}`,
      '    inet6 LINK-LOCAL/64 scope link ',
      FOREVER,
    ]),
  ];
  const shown = after
    .replace(/veth[0-9a-f]{7}@/g, 'vethNAME@')
    .replace(/link\/ether [0-9a-f:]{17}/g, 'link/ether MAC')
    .replace(/inet6 fe80::[0-9a-f:]+\//g, 'inet6 LINK-LOCAL/');
  t.deepEqual(shown.split('\n'), [...pattern, '']);
  // EUI-64 of the MAC.
  const pairs = [...after.matchAll(/link\/ether (\S+) [\s\S]*?inet6 (fe80::\S+)\/64/g)];
  t.is(pairs.length, 4);
  for (const [, mac = '', address = ''] of pairs) t.is(address, linkLocal(mac), mac);

  // --link
  await host.fails(
    'docker exec -it tomcat02 ping -c 1 tomcat01',
    2,
    'ping: tomcat01: Name or service not known\n',
  );
  const tomcat03 = await start('tomcat03', '--link tomcat02');
  const linked = await host.out('docker exec -it tomcat03 ping -c 2 tomcat02');
  t.regex(
    linked,
    /^PING tomcat02 \(172\.17\.0\.3\) 56\(84\) bytes of data\.\n64 bytes from tomcat02 \(172\.17\.0\.3\): icmp_seq=1 ttl=64 time=/,
  );
  await host.fails(
    'docker exec -it tomcat02 ping -c 1 tomcat03',
    2,
    'ping: tomcat03: Name or service not known\n',
  );
  t.is(
    await host.out('docker exec -it tomcat03 cat /etc/hosts'),
    [
      '127.0.0.1\tlocalhost',
      '::1\tlocalhost ip6-localhost ip6-loopback',
      'fe00::0\tip6-localnet',
      'ff00::0\tip6-mcastprefix',
      'ff02::1\tip6-allnodes',
      'ff02::2\tip6-allrouters',
      `172.17.0.3\ttomcat02 ${tomcat02.slice(0, 12)}`,
      `172.17.0.4\t${tomcat03.slice(0, 12)}`,
      '',
    ].join('\n'),
  );

  // A network of one's own
  t.is(
    await host.out('docker network --help'),
    `
Usage:  docker network COMMAND

Manage networks

Commands:
  connect     Connect a container to a network
  create      Create a network
  disconnect  Disconnect a container from a network
  inspect     Display detailed information on one or more networks
  ls          List networks
  prune       Remove all unused networks
  rm          Remove one or more networks

Run 'docker network COMMAND --help' for more information on a command.
`,
  );
  t.deepEqual(shape(await host.out('docker network ls')), [
    'NETWORK ID     NAME      DRIVER    SCOPE',
    'xxxxxxxxxxxx   bridge    bridge    local',
    'xxxxxxxxxxxx   host      host      local',
    'xxxxxxxxxxxx   none      null      local',
  ]);
  const mynet = await host.out(
    'docker network create --driver bridge --subnet 192.168.0.0/16 --gateway 192.168.0.1 mynet',
  );
  t.regex(mynet, ID);
  t.deepEqual(shape(await host.out('docker network ls')), [
    'NETWORK ID     NAME      DRIVER    SCOPE',
    'xxxxxxxxxxxx   bridge    bridge    local',
    'xxxxxxxxxxxx   host      host      local',
    'xxxxxxxxxxxx   mynet     bridge    local',
    'xxxxxxxxxxxx   none      null      local',
  ]);
  const inspected = await host.out('docker network inspect mynet');
  t.is(inspected.replace(/"Created": "[^"]+"/, '"Created": "…"'), emptyMynet(mynet.trim()));

  const net1 = await start('tomcat-net-01', '--net mynet');
  const net2 = await start('tomcat-net-02', '--net mynet');
  const [{ Containers: members }] = JSON.parse(await host.out('docker network inspect mynet'));
  t.deepEqual(Object.keys(members), [net1, net2].sort());
  for (const [id, name, last] of [
    [net1, 'tomcat-net-01', 2],
    [net2, 'tomcat-net-02', 3],
  ] as const) {
    const { EndpointID: endpoint, ...facts } = members[id];
    t.regex(endpoint, /^[0-9a-f]{64}$/);
    t.deepEqual(facts, {
      Name: name,
      MacAddress: `02:42:c0:a8:00:0${last}`,
      IPv4Address: `192.168.0.${last}/16`,
      IPv6Address: '',
    });
  }
  t.regex(
    await host.out('docker exec -it tomcat-net-01 ping -c 2 192.168.0.3'),
    /64 bytes from 192\.168\.0\.3: icmp_seq=2 ttl=64/,
  );
  t.regex(
    await host.out('docker exec -it tomcat-net-01 ping -c 2 tomcat-net-02'),
    /^PING tomcat-net-02 \(192\.168\.0\.3\) 56\(84\) bytes of data\.\n64 bytes from tomcat-net-02\.mynet \(192\.168\.0\.3\): icmp_seq=1 ttl=64/,
  );

  // A place in a second network
  t.is(await host.out('docker network connect mynet tomcat01'), '');
  t.regex(
    await host.out('docker exec -it tomcat02 ping -c 4 192.168.0.1'),
    /4 packets transmitted, 4 received, 0% packet loss/,
  );
  t.is(
    await host.out('docker exec -it tomcat02 ip addr'),
    containerAddresses([[16, 'eth0', 17, '02:42:ac:11:00:03', '172.17.0.3', '172.17.255.255']]),
  );
  t.is(
    await host.out('docker exec -it tomcat01 ip addr'),
    containerAddresses([
      [14, 'eth0', 15, '02:42:ac:11:00:02', '172.17.0.2', '172.17.255.255'],
      [25, 'eth1', 26, '02:42:c0:a8:00:04', '192.168.0.4', '192.168.255.255'],
    ]),
  );
  t.regex(
    await host.out('docker exec -it tomcat01 ping -c 1 tomcat-net-02'),
    /from tomcat-net-02\.mynet \(192\.168\.0\.3\)/,
  );
  t.regex(
    await host.out('docker exec -it tomcat-net-01 ping -c 1 tomcat01'),
    /from tomcat01\.mynet \(192\.168\.0\.4\)/,
  );
  t.regex(await host.out('docker exec -it tomcat02 ping -c 1 172.17.0.2'), /1 received/);
  t.regex(tomcat01, /^[0-9a-f]{64}$/);

  // Isolation: another bridge's gateway is the host itself, what is behind it is not reached.
  for (const address of ['192.168.0.2', '192.168.0.3', '192.168.0.4']) {
    const { code, stdout } = await host.run(`docker exec -it tomcat02 ping -c 2 -i 0.2 -W 0.3 ${address}`);
    t.is(code, 1, address);
    t.regex(stdout, /2 packets transmitted, 0 received, 100% packet loss/, address);
  }
  t.is((await host.run('docker exec -it tomcat-net-01 ping -c 1 -W 0.3 172.17.0.3')).code, 1);
  t.regex(await host.out('docker exec -it tomcat-net-01 ping -c 1 172.17.0.1'), /1 received/);
  t.regex(
    await host.out('docker exec -it tomcat-net-01 curl -s http://tomcat-net-02:8080/'),
    /^Name: tomcat-net-02$/m,
  );

  // [host's address]:[port]: from another host, from the host itself, from a container of the same bridge.
  const [, port = ''] = /8080\/tcp -> 0\.0\.0\.0:(\d+)/.exec(await host.out('docker port tomcat01')) ?? [];
  const url = `http://172.31.202.45:${port}/`;
  const answer = async (from: Shell, line: string) => {
    const page = await from.out(line);
    t.regex(page, /^Name: tomcat01$/m, line);
    return /^Client: ([\d.]+):/m.exec(page)?.[1];
  };
  t.is(await answer(client, `curl -s ${url}`), '172.31.202.46', 'PREROUTING: DNAT');
  t.is(await answer(host, `curl -s ${url}`), '172.31.202.45', 'OUTPUT: DNAT');
  t.is(await answer(host, `curl -s http://127.0.0.1:${port}/`), '172.17.0.1', 'docker-proxy');
  t.is(await answer(host, `docker exec tomcat01 curl -s ${url}`), '172.17.0.1', 'hairpin');

  async function start(name: string, options = ''): Promise<string> {
    const id = await host.out(`docker run -d -P --name ${name} ${options} tomcat`);
    t.regex(id, ID);
    return id.trim();
  }
}

const FOREVER = '       valid_lft forever preferred_lft forever';

/** RFC 4291, appendix A. */
function linkLocal(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const groups = [((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return `fe80::${groups.map((group) => group.toString(16)).join(':')}`;
}

type Interface = readonly [
  index: number,
  name: string,
  peer: number,
  mac: string,
  address: string,
  broadcast: string,
];

/** `ip addr` in a container, as the document prints it. */
function containerAddresses(interfaces: readonly Interface[]): string {
  const lines = [
    '1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000',
    '    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00',
    '    inet 127.0.0.1/8 scope host lo',
    '       valid_lft forever preferred_lft forever',
    ...interfaces.flatMap(([index, name, peer, mac, address, broadcast]) => [
      `${index}: ${name}@if${peer}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default `,
      `    link/ether ${mac} brd ff:ff:ff:ff:ff:ff link-netnsid 0`,
      `    inet ${address}/16 brd ${broadcast} scope global ${name}`,
      '       valid_lft forever preferred_lft forever',
    ]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function shape(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^[0-9a-f]{12}/, 'xxxxxxxxxxxx'));
}

function emptyMynet(id: string): string {
  return `[
    {
        "Name": "mynet",
        "Id": "${id}",
        "Created": "…",
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": false,
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": [
                {
                    "Subnet": "192.168.0.0/16",
                    "Gateway": "192.168.0.1"
                }
            ]
        },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": {
            "Network": ""
        },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {},
        "Labels": {}
    }
]
`;
}
