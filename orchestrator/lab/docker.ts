import { z } from 'zod';
import type { DockerConfig } from '../../nodes/config.ts';
import { checkCommandLine } from '../../nodes/daemons/docker/cli/docker.ts';
import { formatIp4, formatPrefix } from '../../protocols/ip4.ts';
import { isDaemon } from './external.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Reporter } from './problem.ts';
import { cidr, interfaceAddress, ip, map } from './schema-types.ts';

/** What a node says of its Docker Engine: keys of daemon.json, and what there is from the beginning. */
export const dockerSchema = map({
  bip: interfaceAddress.optional(),
  defaultAddressPools: z.array(map({ base: cidr, size: z.int().min(1).max(31) })).optional(),
  icc: z.boolean().optional(),
  mtu: z.int().min(68).max(65_535).optional(),
  userlandProxy: z.boolean().optional(),
  dns: z.array(ip).optional(),
  dnsSearch: z.array(z.string()).optional(),
  dnsOptions: z.array(z.string()).optional(),
  iptables: z.boolean().optional(),
  swarm: z.enum(['manager', 'worker']).optional(),
  networks: z.array(z.string()).optional(),
  containers: z.array(z.string()).optional(),
});

/** What a node's dockerd is told; null for a node without. */
export function dockerConfig(
  { definition, kind, origin }: ResolvedNode,
  reporter: Reporter,
): DockerConfig | null {
  const { docker } = definition;
  if (docker === undefined) return null;
  if (isDaemon(kind)) {
    reporter.problem(
      origin('docker'),
      `a node of kind ${kind} has no Docker: it is a program of its own`,
      'use kind: host',
      'key',
    );
    return null;
  }
  const {
    bip,
    defaultAddressPools = [],
    icc = true,
    mtu = 1500,
    userlandProxy = true,
    iptables = true,
  } = docker;
  for (const [i, { base, size }] of defaultAddressPools.entries())
    if (size < base.len)
      reporter.problem(
        [...origin('docker', 'defaultAddressPools'), i, 'size'],
        `a subnet of /${size} does not fit into ${formatPrefix(base)}`,
        `make it ${base.len} or more`,
      );
  const commands = (key: 'networks' | 'containers', head: readonly string[]) =>
    (docker[key] ?? []).map((text, i) => {
      const argv = [...head, ...shellWords(text)];
      const problem = checkCommandLine(argv);
      if (problem !== null)
        reporter.problem(
          [...origin('docker', key), i],
          problem,
          `write what follows 'docker ${head.join(' ')}'`,
        );
      return argv;
    });
  return {
    bip: bip === undefined ? '' : `${formatIp4(bip.addr)}/${bip.len}`,
    defaultAddressPools: defaultAddressPools.map(({ base, size }) => ({ base: formatPrefix(base), size })),
    icc,
    mtu,
    userlandProxy,
    dns: (docker.dns ?? []).map(formatIp4),
    dnsSearch: docker.dnsSearch ?? [],
    dnsOptions: docker.dnsOptions ?? [],
    iptables,
    swarm: docker.swarm ?? '',
    containers: [...commands('networks', ['network', 'create']), ...commands('containers', ['run', '-d'])],
  };
}

/** Where the commands of a node's `DockerConfig` stand, in their order. */
export function dockerPlaces({ definition, origin }: ResolvedNode, reporter: Reporter): string[] {
  return (['networks', 'containers'] as const).flatMap((key) =>
    (definition.docker?.[key] ?? []).map((_, i) => reporter.placeOf([...origin('docker', key), i])),
  );
}

/** The words of a command line as a shell splits them, quotes and backslashes taken away. */
export function shellWords(text: string): string[] {
  const words = text.match(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/g) ?? [];
  return words.map((word) =>
    word.replace(
      /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g,
      (_, double?: string, single?: string, plain?: string) =>
        double !== undefined ? double.replace(/\\(.)/g, '$1') : (single ?? plain ?? ''),
    ),
  );
}
