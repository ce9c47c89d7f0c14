import { z } from 'zod';
import { TRANSPORTS } from './bgp-ends.ts';
import { gracefulRestart, neighborShape, speakerShape } from './bgp-options.ts';
import { dockerSchema } from './docker.ts';
import { DAEMON_KINDS, daemonShape } from './external.ts';
import { netemShape } from './netem.ts';
import { openflowShape } from './openflow.ts';
import { policySchema } from './policy.ts';
import { recordSchema } from './record.ts';
import {
  address6,
  anyCidr,
  anyIp,
  asNumber,
  cidr,
  cidr6,
  duration,
  endpoint,
  interfaceAddress,
  interfaceAddress6,
  interfaceKey,
  ip,
  labels,
  map,
  name,
  nameKey,
  network,
  scopedIp,
  subnet,
} from './schema-types.ts';

/** IPv4's least (RFC 791) and what jumbo frames go to. */
const mtu = z.int().min(68).max(9216);

const timerSections = {
  bgp: map({
    holdTime: duration.optional(),
    keepalive: duration.optional(),
    connectRetry: duration.optional(),
    connectDelay: duration.optional(),
    mraiIbgp: duration.optional(),
    mraiEbgp: duration.optional(),
    idleHold: duration.optional(),
    idleHoldMax: duration.optional(),
    startupHold: duration.optional(),
    delayOpen: duration.optional(),
    sendHold: duration.optional(),
  }).optional(),
  neighbor: map({
    reachable: duration.optional(),
    delayFirstProbe: duration.optional(),
    retrans: duration.optional(),
    gcStale: duration.optional(),
  }).optional(),
  bridge: map({ ageing: duration.optional() }).optional(),
  tcp: map({
    rtoInitial: duration.optional(),
    rtoMin: duration.optional(),
    rtoMax: duration.optional(),
    msl: duration.optional(),
  }).optional(),
  flannel: map({
    leaseTtl: duration.optional(),
    renewMargin: duration.optional(),
    routeCheck: duration.optional(),
  }).optional(),
};

const timerOverrides = map(timerSections);

const neighbor = map({
  node: name.optional(),
  address: scopedIp.optional(),
  interface: z.string().optional(),
  transport: z.enum(TRANSPORTS).optional(),
  name: name.optional(),
  as: asNumber.optional(),
  localAddress: anyIp.optional(),
  ...neighborShape,
});

const bgp = map({
  as: asNumber.optional(),
  routerId: ip.optional(),
  clusterId: ip.optional(),
  networks: z.array(network).optional(),
  maximumPaths: z.int().min(1).max(64).optional(),
  transport: z.enum(TRANSPORTS).optional(),
  neighbors: z.array(neighbor).optional(),
  ...speakerShape,
});

export const KINDS = [
  'node',
  'reflector',
  'router',
  'host',
  'switch',
  'controller',
  ...DAEMON_KINDS,
] as const;

const settings = {
  labels: labels.optional(),
  interfaces: z
    .record(
      interfaceKey,
      map({
        segment: name.optional(),
        address: interfaceAddress.optional(),
        address6: interfaceAddress6.optional(),
        ra: z.boolean().optional(),
        mtu: mtu.optional(),
        ...netemShape,
      }),
    )
    .optional(),
  ipv6: z.boolean().optional(),
  loopbacks: z.array(ip).optional(),
  loopbacks6: z.array(address6).optional(),
  gateway: ip.optional(),
  gateway6: address6.optional(),
  routes: z
    .array(
      map({
        dst: anyCidr,
        via: anyIp,
        dev: z.string().optional(),
        metric: z.int().min(0).max(0xffffffff).optional(),
      }),
    )
    .optional(),
  bgp: bgp.optional(),
  routeReflectorClusterID: ip.optional(),
  schedulable: z.boolean().optional(),
  docker: dockerSchema.optional(),
  timers: timerOverrides.optional(),
  ...openflowShape,
  ...daemonShape,
};

const kind = z.enum(KINDS).optional();
const group = name.optional();
const nodeDefinition = map({ kind, group, ...settings });
const kindDefinition = map({ group, ...settings });
const groupDefinition = map({ kind, ...settings });

const link = map({
  endpoints: z.tuple([endpoint, endpoint]),
  ...netemShape,
  mtu: mtu.optional(),
  subnet: subnet.optional(),
  subnet6: cidr6.optional(),
});

const segment = map({
  subnet,
  subnet6: cidr6.optional(),
  rangeStart: ip.optional(),
  ...netemShape,
  mtu: mtu.optional(),
  nodes: z.union([z.literal('all'), z.array(name)]).optional(),
});

const pods = map({
  perNode: z.int().min(0).max(65536),
  name: name.optional(),
  namespace: name.optional(),
  labels: labels.optional(),
});

const flannelBackend = z.enum(['udp', 'vxlan', 'host-gw', 'ipip', 'wireguard', 'ipsec']);

const cluster = map({
  cni: z.enum(['calico', 'flannel']),
  podCIDR: cidr.optional(),
  podCIDR6: cidr6.optional(),
  interface: z.string().optional(),
  pods: z.union([z.int().min(0).max(65536), pods]).optional(),
  deployments: z
    .array(
      map({
        name: name,
        replicas: z.int().min(0).max(65536),
        namespace: name.optional(),
        labels: labels.optional(),
      }),
    )
    .optional(),
  blockSize: z.int().min(20).max(32).optional(),
  blockSize6: z.int().min(116).max(128).optional(),
  calico: map({
    mesh: z.enum(['full', 'reflectors']).optional(),
    asNumber: asNumber.optional(),
    gracefulRestart: gracefulRestart.optional(),
  }).optional(),
  backend: flannelBackend.optional(),
  subnetLen: z.int().min(8).max(30).optional(),
  flannel: map({
    port: z.int().min(1).max(65535).optional(),
    vni: z.int().min(1).max(16_777_215).optional(),
    directRouting: z.boolean().optional(),
    // flannel's `minPasswordLength`.
    psk: z.string().min(96).optional(),
  }).optional(),
});

const count = (least: number) => z.int().min(least).max(10_000);

const routers = { nodes: count(1), as: asNumber.optional(), delay: duration.optional() };

export const generateSchema = z.discriminatedUnion('kind', [
  map({
    kind: z.literal('cluster'),
    nodes: count(1),
    reflectors: count(0).optional(),
    pods: count(0).optional(),
    cni: z.enum(['calico', 'flannel']).optional(),
    backend: flannelBackend.optional(),
    subnet: cidr.optional(),
    delay: duration.optional(),
  }),
  map({
    kind: z.literal('leaf-spine'),
    spines: z.int().min(1).max(64),
    leaves: z.int().min(1).max(500),
    hosts: z.int().min(0).max(250).optional(),
    delay: duration.optional(),
  }),
  map({ kind: z.literal('line'), ...routers }),
  map({ kind: z.literal('ring'), ...routers, nodes: count(3) }),
  map({ kind: z.literal('star'), ...routers }),
  map({ kind: z.literal('clique'), ...routers, nodes: z.int().min(1).max(250) }),
]);

export const labSchema = map({
  name,
  seed: z.int().min(0).max(0xffffffff).optional(),
  generate: generateSchema.optional(),
  topology: map({
    defaults: nodeDefinition.optional(),
    kinds: map({
      node: kindDefinition.optional(),
      reflector: kindDefinition.optional(),
      router: kindDefinition.optional(),
      host: kindDefinition.optional(),
      switch: kindDefinition.optional(),
      controller: kindDefinition.optional(),
      external: kindDefinition.optional(),
      bird: kindDefinition.optional(),
      frr: kindDefinition.optional(),
      gobgp: kindDefinition.optional(),
    }).optional(),
    groups: z.record(nameKey, groupDefinition).optional(),
    nodes: z.record(nameKey, nodeDefinition),
    links: z.array(link).optional(),
    linkSubnet: subnet.optional(),
    loopbackSubnet: cidr.optional(),
  }),
  segments: z.record(nameKey, segment).optional(),
  cluster: cluster.optional(),
  policy: policySchema.optional(),
  record: recordSchema.optional(),
  timers: map({ scale: z.number().min(0.000001).max(1000).optional(), ...timerSections }).optional(),
});

export type LabFile = z.infer<typeof labSchema>;
export type NodeDefinition = z.infer<typeof nodeDefinition>;
export type Kind = (typeof KINDS)[number];
export type LinkSpec = z.infer<typeof link>;
export type SegmentSpec = z.infer<typeof segment>;
export type ClusterSpec = z.infer<typeof cluster>;
export type NeighborSpec = z.infer<typeof neighbor>;
export type TimerOverrides = z.infer<typeof timerOverrides>;
export type GenerateSpec = z.infer<typeof generateSchema>;
