import { formatIp4, formatPrefix, type Prefix } from '../../../protocols/ip4.ts';
import { formatDuration } from '../duration.ts';
import type { GenerateSpec } from '../schema.ts';
import { type GeneratedLab, numbered } from './raw-lab.ts';

/** Nodes that fit from .101 on in a /24. */
const FITS_SLASH_24 = 150;

/** Nodes `n1`… and reflectors `rr1`… on one LAN; without reflectors a Calico cluster is a full mesh. */
export function generateCluster(spec: Extract<GenerateSpec, { kind: 'cluster' }>): GeneratedLab {
  const nodes = numbered('n', spec.nodes);
  const reflectors = numbered('rr', spec.reflectors ?? 0);
  const subnet = spec.subnet ?? defaultSubnet(nodes.length + reflectors.length);
  const rangeStart =
    spec.subnet === undefined && subnet.len === 24 ? { rangeStart: formatIp4(subnet.addr + 101) } : {};
  const delay = formatDuration(spec.delay ?? 0);
  return {
    topology: {
      nodes: {
        ...Object.fromEntries(nodes.map((name) => [name, { kind: 'node' }])),
        ...Object.fromEntries(reflectors.map((name) => [name, { kind: 'reflector' }])),
      },
    },
    segments: {
      lan: { subnet: formatPrefix(subnet), ...rangeStart, delay, nodes: [...nodes, ...reflectors] },
    },
    cluster: {
      cni: spec.cni ?? 'calico',
      ...(spec.backend === undefined ? {} : { backend: spec.backend }),
      pods: spec.pods ?? 0,
    },
  };
}

function defaultSubnet(members: number): Prefix {
  return members <= FITS_SLASH_24 ? { addr: 0xac121200, len: 24 } : { addr: 0xac120000, len: 16 };
}
