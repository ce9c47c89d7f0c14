import test from 'ava';
import { loadLab } from '../../../orchestrator/lab/load.ts';
import { LabError } from '../../../orchestrator/lab/problem.ts';
import { problemsIn, problemsOf } from './support.ts';

/** Two routers on a link, with room for more lines below. */
const ROUTERS = `name: two
topology:
  nodes:
    r1: {kind: router, bgp: {as: 65001}}
    r2: {kind: router, bgp: {as: 65002}}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
`;

test('a lab that is right has no problems', (t) => {
  t.deepEqual(problemsOf(ROUTERS), []);
});

test('YAML that breaks off is shown where it does, and nothing else is said', (t) => {
  t.deepEqual(problemsOf('name: x\ntopology: [1\nfoo: bar\n'), [
    'lab.yaml:3:1: Flow sequence in block collection must be sufficiently indented and end with a ]; this is where the YAML breaks off',
  ]);
  t.regex(problemsOf('name: x\ntopology:\n\tnodes: {}\n')[0]!, /^lab\.yaml:3:1: .*[Tt]abs/);
  t.deepEqual(problemsOf(`${ROUTERS}---\nname: y\n`).slice(0, 1), [
    `lab.yaml:${ROUTERS.split('\n').length}:1: a second document begins here; a file is one, with no other --- in it`,
  ]);
});

test('an alias bomb is refused', (t) => {
  const levels = 'abcdefghij'.split('');
  const lines = levels.map(
    (key, i) =>
      `${key}: &${key} [${Array(9)
        .fill(i === 0 ? '1' : `*${levels[i - 1]}`)
        .join(', ')}]`,
  );
  t.regex(problemsOf(lines.join('\n'))[0]!, /Excessive alias count/);
});

test('an empty file, a list, and a file without anything to run', (t) => {
  t.deepEqual(problemsOf(''), [
    'lab.yaml:1:1: the file is empty; start with `name:`, then `topology:` or `generate:`',
  ]);
  t.deepEqual(problemsOf('- name: x\n'), [
    'lab.yaml:1:1: a lab file is a map; start with `name:`, then `topology:` or `generate:`',
  ]);
  t.deepEqual(problemsOf('name: x\n'), [
    'lab.yaml:1:1: topology: missing; add topology: {nodes: {n1: {kind: router}}}',
  ]);
  t.deepEqual(problemsOf('name: x\ntopology: {nodes: {}}\n'), [
    'lab.yaml:2:19: topology.nodes: there is no node; add one',
  ]);
});

test('a key that stands twice', (t) => {
  t.deepEqual(problemsOf(`name: x\ntopology:\n  nodes:\n    r1: {kind: router}\n    r1: {kind: host}\n`), [
    "lab.yaml:5:5: topology.nodes.r1: 'r1' stands here twice; rename or remove one of the two",
  ]);
});

test('an unknown key, with what it may have been meant to be', (t) => {
  t.deepEqual(problemsOf(`${ROUTERS}sead: 4\nsegmetns: {}\nquux: 1\n`), [
    "lab.yaml:8:1: sead: unknown key 'sead'; did you mean 'seed'?",
    "lab.yaml:9:1: segmetns: unknown key 'segmetns'; did you mean 'segments'?",
    "lab.yaml:10:1: quux: unknown key 'quux'; known: name, seed, generate, topology, segments, cluster, policy, record, timers",
  ]);
  t.deepEqual(problemsOf('name: x\ntopology:\n  nodes:\n    r1: {kidn: router}\n'), [
    "lab.yaml:4:10: topology.nodes.r1.kidn: unknown key 'kidn'; did you mean 'kind'?",
  ]);
});

test('a value of the wrong type', (t) => {
  const text = `name: x
seed: many
topology:
  nodes:
    r1: 7
    r2: {kind: ruter}
    r3: {kind: router, labels: {version: 1.10}, schedulable: 'yes'}
    r4: {kind: router, loopbacks: 10.9.9.9}
  links: {}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:2:7: seed: expected a number, not 'many'",
    'lab.yaml:5:9: topology.nodes.r1: expected a map, not 7',
    "lab.yaml:6:16: topology.nodes.r2.kind: 'ruter' is none of node, reflector, router, host, switch, controller, external, bird, frr, gobgp; did you mean 'router'?",
    'lab.yaml:7:42: topology.nodes.r3.labels.version: expected text, not 1.1; a label is text; put it in quotes',
    "lab.yaml:7:62: topology.nodes.r3.schedulable: expected true or false, not 'yes'",
    "lab.yaml:8:35: topology.nodes.r4.loopbacks: expected a list, not '10.9.9.9'",
    'lab.yaml:9:10: topology.links: expected a list, not a map',
  ]);
});

test('values out of range', (t) => {
  const text = `name: x
generate: {kind: cluster, nodes: 0}
timers: {scale: 0}
cluster: {cni: calico, blockSize: 8}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:2:34: generate.nodes: 0 is out of range; it is 1 at least',
    'lab.yaml:3:17: timers.scale: 0 is out of range; it is 0.000001 at least',
    'lab.yaml:4:35: cluster.blockSize: 8 is out of range; it is 20 at least',
  ]);
});

test('names, addresses, durations and AS numbers that are none', (t) => {
  const text = `name: My Lab
topology:
  nodes:
    R_1: {kind: router}
    orchestrator: {kind: router}
    r3: {kind: router, bgp: {as: 1.10, routerId: 1.2.3, networks: [10.1.1.1/24, 10.0.0.0]}}
    r4: {kind: router, bgp: {as: 65535}}
    r5: {kind: host, interfaces: {lo: {}, 9x: {}, eth1: {segment: lan, address: 10.0.0.300}}}
  links:
    - {endpoints: ["r3", "r4:eth1"], delay: 5}
segments:
  lan: {subnet: 10.0.0.0/33, delay: fast}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:1:7: name: 'My Lab' is no name: small letters, digits and '-', at most 63 (RFC 1123); use 'my-lab'",
    "lab.yaml:4:5: topology.nodes.R_1: 'R_1' is no name: small letters, digits and '-', at most 63 (RFC 1123); use 'r-1'",
    "lab.yaml:5:5: topology.nodes.orchestrator: 'orchestrator' is taken by reroute itself; use another name",
    "lab.yaml:6:34: topology.nodes.r3.bgp.as: '1.1' is no AS number; write one whole number from 1 to 4294967294, as 65001 or 4200000001",
    "lab.yaml:6:50: topology.nodes.r3.bgp.routerId: '1.2.3' is no IPv4 address; write it like 172.18.18.1",
    "lab.yaml:6:68: topology.nodes.r3.bgp.networks[0]: '10.1.1.1/24' has bits set beyond its prefix length; did you mean 10.1.1.0/24?",
    "lab.yaml:6:81: topology.nodes.r3.bgp.networks[1]: '10.0.0.0' is no prefix; write it like 10.1.0.0/16 or 2001:db8::/32",
    'lab.yaml:7:34: topology.nodes.r4.bgp.as: AS 65535 is reserved; private ones are 64512 to 65534 and 4200000000 to 4294967294',
    "lab.yaml:8:35: topology.nodes.r5.interfaces.lo: 'lo' is a device that a node makes by itself; call it ethN",
    "lab.yaml:8:43: topology.nodes.r5.interfaces.9x: '9x' is no interface name: a letter, then letters, digits, '-', '_', '.', at most 15; call it ethN",
    "lab.yaml:8:81: topology.nodes.r5.interfaces.eth1.address: '10.0.0.300' is no address; write it like 172.18.18.11/24",
    "lab.yaml:10:20: topology.links[0].endpoints[0]: 'r3' is no end of a link; write it as node:interface, n1:eth1",
    "lab.yaml:10:45: topology.links[0].delay: '5' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h",
    "lab.yaml:12:17: segments.lan.subnet: '10.0.0.0/33' is no CIDR; write it like 172.18.18.0/24",
    "lab.yaml:12:37: segments.lan.delay: 'fast' is no duration; write a number and a unit: 200ms, 5s, 1m30s, 24h",
  ]);
});

test('what is missing is shown at the map that lacks it', (t) => {
  const text = `topology:
  nodes:
    r1:
      kind: router
      bgp: {routerId: 1.1.1.1}
    r2: {kind: router}
  links:
    - delay: 5ms
    - endpoints: ["r1:eth1"]
segments:
  lan: {nodes: all}
cluster:
  pods: 3
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:1:1: name: missing; add name: my-lab',
    'lab.yaml:5:7: topology.nodes.r1.bgp.as: missing AS; give the router its AS, as: 65001 for instance',
    'lab.yaml:8:7: topology.links[0].endpoints: missing; add endpoints: ["n1:eth1", "n2:eth1"]',
    'lab.yaml:9:18: topology.links[1].endpoints: expected 2 items, not 1',
    'lab.yaml:11:3: segments.lan.subnet: missing; add subnet: 192.168.0.0/24',
    'lab.yaml:12:1: cluster.cni: missing; add cni: calico',
  ]);
});

test('nodes, groups and segments that are not there', (t) => {
  const text = `name: x
topology:
  nodes:
    r1: {kind: router, group: rakc}
    h1: {kind: host, interfaces: {eth0: {segment: lna}, eth1: {}}}
  groups:
    rack: {}
  links:
    - endpoints: ["r1:eth1", "r11:eth1"]
segments:
  lan: {subnet: 10.1.0.0/24, nodes: [r1, h2, r1]}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:4:31: topology.nodes.r1.group: there is no group 'rakc'; groups: rack",
    "lab.yaml:5:51: topology.nodes.h1.interfaces.eth0.segment: there is no segment 'lna'; did you mean 'lan'?",
    'lab.yaml:5:57: topology.nodes.h1.interfaces.eth1: eth1 is on no segment and ends no link; add segment: or a link',
    "lab.yaml:9:30: topology.links[0].endpoints[1]: there is no node 'r11'; did you mean 'r1'?",
    "lab.yaml:11:42: segments.lan.nodes[1]: there is no node 'h2'; did you mean 'h1'?",
    "lab.yaml:11:46: segments.lan.nodes[2]: 'r1' stands here twice; remove one",
  ]);
});

test('links that cannot be', (t) => {
  const text = `${ROUTERS}    - endpoints: ["r1:eth1", "r2:eth2"]
    - endpoints: ["r1:eth3", "r1:eth4"]
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:8:19: topology.links[1].endpoints[0]: r1:eth1 already ends another link; give this end another interface',
    'lab.yaml:9:18: topology.links[2].endpoints: both ends are on r1; link two different nodes',
  ]);
});

test('addresses that overlap, lie outside, or are not for hosts', (t) => {
  const text = `name: x
topology:
  defaults: {kind: host, gateway: 10.1.0.1}
  nodes:
    a: {interfaces: {eth0: {segment: lan, address: 10.1.0.5}}}
    b: {interfaces: {eth0: {segment: lan, address: 10.1.0.5/24}}}
    c: {interfaces: {eth0: {segment: lan, address: 10.2.0.5}}}
    d: {interfaces: {eth0: {segment: lan, address: 10.1.0.6/16}}}
    e: {interfaces: {eth0: {segment: lan, address: 10.1.0.255/24}}}
    f: {gateway: 10.9.0.1}
segments:
  lan: {subnet: 10.1.0.0/24, nodes: [f]}
  other: {subnet: 10.1.0.128/25}
  local: {subnet: 127.0.0.0/24}
  far: {subnet: 10.7.0.0/24, rangeStart: 10.8.0.1, nodes: []}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:6:52: topology.nodes.b.interfaces.eth0.address: 10.1.0.5 is also the address of a:eth0; give each its own',
    'lab.yaml:7:52: topology.nodes.c.interfaces.eth0.address: 10.2.0.5 is not in 10.1.0.0/24, the subnet of segment lan; take an address of it',
    'lab.yaml:8:52: topology.nodes.d.interfaces.eth0.address: /16 is not the prefix length of 10.1.0.0/24, the subnet of segment lan; write 10.1.0.6/24',
    'lab.yaml:9:52: topology.nodes.e.interfaces.eth0.address: 10.1.0.255 is the broadcast address of 10.1.0.0/24, the subnet of segment lan; take one between',
    'lab.yaml:10:18: topology.nodes.f.gateway: 10.9.0.1 is on no subnet of f; they are 10.1.0.0/24',
    'lab.yaml:13:19: segments.other.subnet: 10.1.0.128/25 overlaps 10.1.0.0/24 of segment lan; give each its own',
    'lab.yaml:14:19: segments.local.subnet: interfaces have no addresses in 127.0.0.0/24; take a private one: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16',
    'lab.yaml:15:42: segments.far.rangeStart: 10.8.0.1 is no host address of 10.7.0.0/24; it is between 10.7.0.1 and 10.7.0.254',
  ]);
});

test('subnets and pools that are too small', (t) => {
  const text = `name: x
topology:
  nodes:
    r1: {kind: router}
    r2: {kind: router}
    r3: {kind: router}
    r4: {kind: router}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
    - endpoints: ["r2:eth2", "r3:eth1"]
    - endpoints: ["r1:eth5", "r3:eth5"]
  linkSubnet: 10.0.0.0/30
  loopbackSubnet: 10.255.0.0/30
segments:
  small: {subnet: 10.1.0.0/30, nodes: all}
  late: {subnet: 10.2.0.0/29, rangeStart: 10.2.0.5, nodes: [r1, r2, r3]}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:12:15: topology.linkSubnet: 10.0.0.0/30 is used up: a link takes two addresses; give links a larger linkSubnet, or subnets of their own',
    'lab.yaml:13:19: topology.loopbackSubnet: 10.255.0.0/30 has no address for node number 4; take a shorter prefix',
    'lab.yaml:15:19: segments.small.subnet: 10.1.0.0/30 has 2 addresses and 4 interfaces to give them to; take a shorter prefix',
    'lab.yaml:16:18: segments.late.subnet: 10.2.0.0/29 has 2 addresses from 10.2.0.5 on and 3 interfaces to give them to; take a shorter prefix or a lower rangeStart',
  ]);
});

test('BGP that cannot be', (t) => {
  const text = `name: x
topology:
  nodes:
    r1:
      kind: router
      bgp:
        as: 65001
        routerId: 10.255.0.2
        neighbors:
          - {node: r9}
          - {node: r1}
          - {node: h1}
          - {}
          - {address: 192.0.2.1}
          - {node: r2, localAddress: 10.5.5.5}
          - {node: r2}
    r2: {kind: router, bgp: {as: 65002}}
    h1: {kind: host, bgp: {as: 65003}, gateway: 10.1.0.1}
  links:
    - endpoints: ["r1:eth1", "r2:eth1"]
segments:
  lan: {subnet: 10.1.0.0/24, nodes: [r1, h1]}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:10:20: topology.nodes.r1.bgp.neighbors[0].node: there is no node 'r9'; did you mean 'r1'?",
    'lab.yaml:11:20: topology.nodes.r1.bgp.neighbors[1].node: r1 cannot be its own neighbour; name another node',
    'lab.yaml:12:13: topology.nodes.r1.bgp.neighbors[2].as: missing AS; h1 has none in this lab: add as:',
    'lab.yaml:13:13: topology.nodes.r1.bgp.neighbors[3]: this says not who the neighbour is; add node:, address: or interface:',
    'lab.yaml:14:13: topology.nodes.r1.bgp.neighbors[4].as: missing AS; the neighbour has none in this lab: add as:',
    'lab.yaml:15:38: topology.nodes.r1.bgp.neighbors[5].localAddress: 10.5.5.5 is no address of r1; take one of its interfaces or loopbacks',
    'lab.yaml:16:13: topology.nodes.r1.bgp.neighbors[6]: r1 already has a session with 10.0.0.1, r2; list it once',
    'lab.yaml:17:24: topology.nodes.r2.bgp.routerId: 10.255.0.2 is also the router id of r1; give each its own',
    'lab.yaml:18:22: topology.nodes.h1.bgp: a host speaks no BGP; make it a router',
  ]);
});

test('clusters that cannot be', (t) => {
  t.deepEqual(problemsOf('name: x\ntopology:\n  nodes:\n    n1:\n    rr1: {kind: reflector}\n'), [
    'lab.yaml:4:5: topology.nodes.n1.kind: kind node is part of a cluster, and the lab has none; add `cluster: {cni: calico}`, or make it a router or a host',
    'lab.yaml:5:17: topology.nodes.rr1.kind: kind reflector is part of a cluster, and the lab has none; add `cluster: {cni: calico}`, or make it a router or a host',
  ]);
  const flannel = `name: x
topology:
  nodes:
    n1: {bgp: {as: 65001}}
    n2: {routeReflectorClusterID: 1.1.1.1}
    rr1: {kind: reflector}
segments:
  lan: {subnet: 10.244.7.0/24, nodes: [n1, rr1]}
cluster:
  cni: flannel
  blockSize: 26
  subnetLen: 16
`;
  t.deepEqual(problemsOf(flannel), [
    'lab.yaml:4:10: topology.nodes.n1.bgp: a node of a flannel cluster speaks no BGP; remove it, or set cni: calico',
    'lab.yaml:5:5: topology.nodes.n2: n2 is in the cluster and has no interface; put it on a segment or a link',
    'lab.yaml:5:10: topology.nodes.n2.routeReflectorClusterID: only a reflector has a cluster id; set kind: reflector',
    'lab.yaml:6:17: topology.nodes.rr1.kind: flannel speaks no BGP and has no reflectors; make it a node, or set cni: calico',
    "lab.yaml:9:1: cluster: pods' 10.244.0.0/16 overlaps 10.244.7.0/24 of lan; set podCIDR to a range of its own",
    "lab.yaml:11:3: cluster.blockSize: blockSize is calico's and the CNI is flannel; remove it, or set cni: calico",
    'lab.yaml:12:14: cluster.subnetLen: a /16 for each node does not fit in 10.244.0.0/16; take at least 17, or a larger podCIDR',
  ]);
  const calico = `name: x
topology:
  nodes: {n1: , n2: }
segments:
  lan: {subnet: 172.18.18.0/24, nodes: all}
cluster:
  cni: calico
  interface: eth7
  backend: vxlan
  calico: {mesh: reflectors}
`;
  t.deepEqual(problemsOf(calico), [
    'lab.yaml:8:14: cluster.interface: n1 has no interface eth7; it has eth0',
    'lab.yaml:8:14: cluster.interface: n2 has no interface eth7; it has eth0',
    "lab.yaml:9:3: cluster.backend: backend is flannel's and the CNI is calico; remove it, or set cni: flannel",
    'lab.yaml:10:18: cluster.calico.mesh: there is no node of kind reflector; add one, or set mesh: full',
  ]);
});

test('more pods than there are addresses', (t) => {
  const cluster = (section: string) => `name: x
topology:
  nodes: {n1: , n2: , n3: }
segments:
  lan: {subnet: 172.18.18.0/24, nodes: all}
cluster: ${section}
`;
  t.deepEqual(problemsOf(cluster('{cni: calico, podCIDR: 10.9.0.0/28, blockSize: 29, pods: 6}')), [
    'lab.yaml:6:67: cluster.pods: 18 pods are more than the 16 addresses of 10.9.0.0/28; take a larger podCIDR',
  ]);
  t.deepEqual(problemsOf(cluster('{cni: calico, podCIDR: 10.9.0.0/28, blockSize: 29, pods: 5}')), []);
  t.deepEqual(problemsOf(cluster('{cni: flannel, podCIDR: 10.9.0.0/22, subnetLen: 24, pods: 254}')), [
    'lab.yaml:6:68: cluster.pods: 254 pods on n1 are more than the 253 addresses of a /24; take fewer pods or a shorter subnetLen',
  ]);
  t.deepEqual(problemsOf(cluster('{cni: flannel, podCIDR: 10.9.0.0/22, subnetLen: 24, pods: 253}')), []);
  t.deepEqual(problemsOf(cluster('{cni: flannel, podCIDR: 10.9.0.0/23}')), [
    'lab.yaml:6:1: cluster: 3 nodes are more than the 1 subnets of /24 in 10.9.0.0/23; take a larger podCIDR or a longer subnetLen',
  ]);
  t.deepEqual(
    problemsOf(cluster('{cni: calico, deployments: [{name: a, replicas: 1}, {name: a, replicas: 1}]}')),
    [
      'lab.yaml:6:69: cluster.deployments[1].name: pod default/a-1 is there twice; give one of the two another name or namespace',
    ],
  );
});

test('timers that make no sense', (t) => {
  const text = `${ROUTERS}timers:
  bgp: {holdTime: 2s, idleHold: 5m}
  tcp: {rtoMin: 3m, msl: 0}
  flannel: {renewMargin: 25h}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:9:19: timers.bgp.holdTime: 2s is no hold time; it is 0 or from 3s to 65535s (RFC 4271 §4.2); timers.scale shortens it further',
    'lab.yaml:9:33: timers.bgp.idleHold: 5m is more than idleHoldMax, 2m; raise idleHoldMax or lower this',
    'lab.yaml:10:17: timers.tcp.rtoMin: 3m is more than rtoMax, 2m; raise rtoMax or lower this',
    'lab.yaml:10:26: timers.tcp.msl: 0 would never let anything else happen; give a time above 0',
    'lab.yaml:11:26: timers.flannel.renewMargin: 25h is more than leaseTtl, 24h; raise leaseTtl or lower this',
  ]);
  t.deepEqual(problemsOf(`${ROUTERS}timers: {bgp: {holdTime: 9s, keepalive: 9s}}\n`), [
    'lab.yaml:8:41: timers.bgp.keepalive: 9s does not keep a session with a hold time of 9s; give at most a third, 3s (RFC 4271 §4.4)',
  ]);
});

test('all problems are there at once, of form and of sense, in the order of the file', (t) => {
  const text = `name: x
topology:
  nodes:
    r1: {kind: router, bgp: {as: none}}
    r2: {kind: router, bgp: {}}
    r3: {kind: router, bgp: {as: 65003, neighbors: [{node: r1}]}}
  links:
    - endpoints: ["r1:eth1", "r9:eth1"]
    - endpoints: ["r1:eth2"]
    - endpoints: ["r2:eth2", "r3:eth2"]
      dealy: 4ms
segments:
  lan: {subnet: 10.1.0.0/30, nodes: [r1, r2, r3]}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:4:34: topology.nodes.r1.bgp.as: 'none' is no AS number; write one whole number from 1 to 4294967294, as 65001 or 4200000001",
    'lab.yaml:5:24: topology.nodes.r2.bgp.as: missing AS; give the router its AS, as: 65001 for instance',
    "lab.yaml:8:30: topology.links[0].endpoints[1]: there is no node 'r9'; did you mean 'r1'?",
    'lab.yaml:9:18: topology.links[1].endpoints: expected 2 items, not 1',
    "lab.yaml:11:7: topology.links[2].dealy: unknown key 'dealy'; did you mean 'delay'?",
    'lab.yaml:13:17: segments.lan.subnet: 10.1.0.0/30 has 2 addresses and 3 interfaces to give them to; take a shorter prefix',
  ]);
});

test('what was not understood brings no further complaints', (t) => {
  const text = `name: x
topology:
  nodes:
    n1: {kind: node, color: red}
    r1: {kind: router, bgp: {as: 65001, neighbors: [{node: n1}]}}
    h1: {kind: host, gateway: 10.1.0.2, interfaces: {eth0: {segment: lan}, eth1: {segment: bad}}}
segments:
  lan: {subnet: 10.1.0.0/24, nodes: [n1, r1]}
  bad: {subnet: nowhere}
cluster:
  cni: weave
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:4:22: topology.nodes.n1.color: unknown key 'color'; known: kind, group, labels, interfaces, ipv6, loopbacks, loopbacks6, gateway, gateway6, routes, bgp, routeReflectorClusterID, schedulable, docker, timers, openflow, …",
    "lab.yaml:9:17: segments.bad.subnet: 'nowhere' is no CIDR; write it like 172.18.18.0/24",
    "lab.yaml:11:8: cluster.cni: 'weave' is none of calico, flannel; known: calico, flannel",
  ]);
});

test('a problem of what several nodes inherit is reported once, where it stands', (t) => {
  const text = `name: x
topology:
  kinds:
    router: {bgp: {maximumPaths: 2}, timers: {bgp: {holdTime: 1s}}}
  nodes: {r1: {kind: router}, r2: {kind: router}}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:4:14: topology.kinds.router.bgp.as: missing AS; give the router its AS, as: 65001 for instance',
    'lab.yaml:4:63: topology.kinds.router.timers.bgp.holdTime: 1s is no hold time; it is 0 or from 3s to 65535s (RFC 4271 §4.2); timers.scale shortens it further',
  ]);
});

test('a problem in what is generated is shown at generate', (t) => {
  t.deepEqual(problemsOf('name: x\ngenerate: {kind: ring, nodes: 5, as: 65533}\n'), [
    'lab.yaml:2:1: topology.nodes.r3.bgp.as: AS 65535 is reserved; private ones are 64512 to 65534 and 4200000000 to 4294967294',
  ]);
  t.deepEqual(problemsOf('name: x\ngenerate: {kind: rnig, nodes: 5}\n'), [
    "lab.yaml:2:18: generate.kind: 'rnig' is none of cluster, leaf-spine, line, ring, star, clique; did you mean 'ring'?",
  ]);
  t.deepEqual(problemsOf('name: x\ngenerate: {nodes: 5}\n'), [
    'lab.yaml:2:1: generate.kind: missing; add kind: cluster',
  ]);
});

test('anchors, aliases and merge keys keep their places', (t) => {
  const text = `name: x
topology:
  nodes:
    r1: {kind: router, bgp: &bgp {as: 65001, maximumPaths: many}}
    r2:
      kind: router
      bgp:
        <<: *bgp
        as: 0
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:4:60: topology.nodes.r1.bgp.maximumPaths: expected a number, not 'many'",
    "lab.yaml:4:60: topology.nodes.r2.bgp.maximumPaths: expected a number, not 'many'",
    'lab.yaml:9:13: topology.nodes.r2.bgp.as: AS 0 is reserved; private ones are 64512 to 65534 and 4200000000 to 4294967294',
  ]);
});

test('a file that is not there', async (t) => {
  const error = await t.throwsAsync(loadLab('/no/such/lab.yaml'), { instanceOf: LabError });
  t.is(error.message, '/no/such/lab.yaml:1:1: there is no such file; examples/ has labs to start from');
  const folder = await t.throwsAsync(loadLab('docs'), { instanceOf: LabError });
  t.is(folder.message, 'docs:1:1: it is a folder, not a file; examples/ has labs to start from');
});

test('LabError lists its problems', (t) => {
  t.is(
    problemsIn(() => {
      throw new LabError([]);
    }).length,
    0,
  );
});

test('an alias within its own anchor is no value', (t) => {
  t.deepEqual(problemsOf('name: &a\n  name: *a'), [
    'lab.yaml:2:9: *a stands within what it stands for; write out what is meant',
  ]);
});

test('IPv6: what does not go together', (t) => {
  const text = `name: x
topology:
  nodes:
    r1: {kind: router, interfaces: {eth0: {segment: lan, address6: "2001:db8:2::1"}}}
    h1: {kind: host, interfaces: {eth0: {segment: lan, ra: true}}}
    h2: {kind: host, ipv6: false, routes: [{dst: "2001:db8:9::/48", via: 10.0.0.1}]}
segments:
  lan: {subnet: 10.0.0.0/24, subnet6: "2001:db8:1::/64", nodes: [h2]}
`;
  t.deepEqual(problemsOf(text), [
    'lab.yaml:4:68: topology.nodes.r1.interfaces.eth0.address6: 2001:db8:2::1 is not in 2001:db8:1::/64, the subnet6 of lan; take an address of it',
    'lab.yaml:5:56: topology.nodes.h1.interfaces.eth0.ra: a host is no router to advertise; make it a router',
    'lab.yaml:6:28: topology.nodes.h2.ipv6: h2 has IPv6 addresses; remove them, or ipv6: false',
    'lab.yaml:6:74: topology.nodes.h2.routes[0].via: 10.0.0.1 and 2001:db8:9::/48 are of two families; take a gateway of the same',
  ]);
});

test('command lines of Docker, and netem of a segment, once', (t) => {
  const text = `name: x
topology:
  nodes:
    h1: {kind: host, docker: {networks: [--subnet 10.0.0.0/44 back, --frob back], containers: [--name web nosuch]}}
segments:
  lan: {subnet: 10.0.0.0/24, nodes: all, reorder: 25%}
`;
  t.deepEqual(problemsOf(text), [
    "lab.yaml:4:42: topology.nodes.h1.docker.networks[0]: invalid CIDR address: 10.0.0.0/44; write what follows 'docker network create'",
    "lab.yaml:4:69: topology.nodes.h1.docker.networks[1]: unknown flag: --frob; write what follows 'docker network create'",
    "lab.yaml:4:96: topology.nodes.h1.docker.containers[0]: pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied; write what follows 'docker run -d'",
    'lab.yaml:6:3: segments.lan: reordering not possible without specifying some delay; add delay and jitter',
  ]);
});
