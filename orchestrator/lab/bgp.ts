import type { BgpConfig, BgpNeighbor } from '../../nodes/config.ts';
import type { PolicyConfig } from '../../protocols/bgp/policy/config.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import type { Addressing } from './addressing.ts';
import type { Addressing6 } from './addressing6.ts';
import { BgpEnds, type Ends, endTexts, swapped } from './bgp-ends.ts';
import { neighborOptions, type SpeakerOptions, speakerOptions } from './bgp-options.ts';
import { BgpSessions, clusterIdOf, peersByItself } from './bgp-sessions.ts';
import { type Cluster, isClusterNode } from './cluster.ts';
import type { ResolvedNode } from './inherit.ts';
import type { Reporter } from './problem.ts';
import type { Broken } from './read.ts';
import { suggest } from './suggest.ts';

/** The BGP configuration of every node that speaks it. */
export function compileBgp(
  nodes: readonly ResolvedNode[],
  addressing: Addressing,
  addressing6: Addressing6,
  cluster: Cluster | null,
  broken: Broken,
  policy: PolicyConfig | null,
  reporter: Reporter,
): Map<string, BgpConfig> {
  const ends = new BgpEnds(nodes, addressing, addressing6, cluster);
  const sessions = new BgpSessions(nodes, ends, cluster, broken, reporter).compile();
  return new BgpCompiler(sessions, addressing, cluster, policy, reporter).compile();
}

const BOTH_ENDS = {
  ttlSecurity: 'its packets come with a TTL that is taken for far away, and the session stays down',
  bfd: 'BFD never comes up, and only the hold timer sees the neighbour go',
} as const satisfies Partial<Record<keyof BgpNeighbor, string>>;

function endOf(config: BgpConfig | undefined, ends: Ends): BgpNeighbor | undefined {
  const { address, localAddress } = endTexts(ends);
  return config?.neighbors.find((each) => each.address === address && each.localAddress === localAddress);
}

class BgpCompiler {
  readonly #sessions: BgpSessions;
  readonly #addressing: Addressing;
  readonly #cluster: Cluster | null;
  readonly #policy: PolicyConfig | null;
  readonly #reporter: Reporter;

  constructor(
    sessions: BgpSessions,
    addressing: Addressing,
    cluster: Cluster | null,
    policy: PolicyConfig | null,
    reporter: Reporter,
  ) {
    this.#sessions = sessions;
    this.#addressing = addressing;
    this.#cluster = cluster;
    this.#policy = policy;
    this.#reporter = reporter;
  }

  compile(): Map<string, BgpConfig> {
    const configs = new Map<string, BgpConfig>();
    const routerIds = new Map<number, string>();
    for (const [node, asn] of this.#sessions.speakers) {
      const { bgp = {} } = node.definition;
      const routerId = bgp.routerId ?? this.#sessions.mainAddress(node);
      if (routerId === undefined) {
        const mend = 'link it, give it a loopback, or set bgp.routerId';
        this.#reporter.problem(
          node.origin('bgp'),
          `${node.name} has no address to be its router id`,
          mend,
          'key',
        );
        continue;
      }
      const other = routerIds.get(routerId);
      if (other !== undefined) {
        const message = `${formatIp4(routerId)} is also the router id of ${other}`;
        this.#reporter.problem(node.origin('bgp', 'routerId'), message, 'give each its own');
      }
      routerIds.set(routerId, node.name);
      const clusterId = clusterIdOf(node) ?? bgp.clusterId ?? null;
      const loopbacks = peersByItself(node) ? (this.#addressing.loopbacks.get(node.name) ?? []) : [];
      const networks = [...loopbacks.map((addr) => `${formatIp4(addr)}/32`), ...(bgp.networks ?? [])];
      configs.set(node.name, {
        asn,
        routerId: formatIp4(routerId),
        ...(clusterId === null ? {} : { clusterId: formatIp4(clusterId) }),
        networks: [...new Set(networks)],
        maximumPaths: bgp.maximumPaths ?? 1,
        ...speakerOptions({ ...bgp, gracefulRestart: this.#restartOf(node) }),
        ...(bgp.originate === undefined
          ? {}
          : { originate: { mrt: bgp.originate.mrt, peer: bgp.originate.peer ?? 'first' } }),
        neighbors: this.#neighbors(node),
        ...(this.#policy === null ? {} : { policy: this.#policy }),
      });
    }
    this.#warnOneSided(configs);
    return configs;
  }

  /** Some options do nothing, or keep the session down, where one end alone has them. */
  #warnOneSided(configs: ReadonlyMap<string, BgpConfig>): void {
    for (const node of this.#sessions.speakers.keys()) {
      for (const { peer, ends } of this.#sessions.of(node)) {
        // What one that runs elsewhere is told is not for the lab file to say.
        if (peer === null || peer.kind === 'external') continue;
        const own = endOf(configs.get(node.name), ends);
        const far = endOf(configs.get(peer.name), swapped(ends));
        if (own === undefined || far === undefined) continue;
        for (const [option, effect] of Object.entries(BOTH_ENDS)) {
          if (!(option in own) || option in far) continue;
          const message = `${node.name} has ${option} with ${peer.name}, which has none: ${effect}`;
          this.#reporter.warning(node.origin('bgp'), message, `set it for ${peer.name} too`);
        }
      }
    }
  }

  /** The sessions of a node with the options that apply to each: all sessions', its group's, its peer's, its entry's. */
  #neighbors(node: ResolvedNode): BgpNeighbor[] {
    const { bgp = {} } = node.definition;
    const sessions = this.#sessions.of(node);
    const known = sessions.map(({ neighbor }) => neighbor.name);
    for (const peer of Object.keys(bgp.peers ?? {})) {
      if (known.includes(peer)) continue;
      const mend = known.length === 0 ? 'it has no sessions' : suggest(peer, known);
      this.#reporter.problem(
        node.origin('bgp', 'peers', peer),
        `${node.name} has no session with '${peer}'`,
        mend,
        'key',
      );
    }
    return sessions.map(({ neighbor, options, path }) => {
      const own = bgp.peers?.[neighbor.name];
      const group = options?.group ?? own?.group;
      const shared = group === undefined ? undefined : bgp.groups?.[group];
      if (group !== undefined && shared === undefined) {
        const groups = Object.keys(bgp.groups ?? {});
        const mend = groups.length === 0 ? 'add it under bgp.groups' : suggest(group, groups);
        this.#reporter.problem(path, `there is no group '${group}'`, mend);
      }
      const merged = neighborOptions([bgp.session, shared, own, options]);
      for (const policy of [...(merged.import ?? []), ...(merged.export ?? [])])
        this.#checkPolicy(policy, node);
      return { ...neighbor, ...merged };
    });
  }

  /** Calico's template for BIRD has `graceful restart` on; BIRD knows nothing of RFC 8538. */
  #restartOf(node: ResolvedNode): SpeakerOptions['gracefulRestart'] {
    const own = node.definition.bgp?.gracefulRestart;
    if (!isClusterNode(node)) return own;
    const restart = own ?? this.#cluster?.spec.calico?.gracefulRestart ?? true;
    return restart === false ? false : { notification: false, ...(restart === true ? {} : restart) };
  }

  #checkPolicy(policy: string, node: ResolvedNode): void {
    const known = Object.keys(this.#policy?.policies ?? {});
    if (known.includes(policy)) return;
    const mend = known.length === 0 ? 'add it under policy.policies' : suggest(policy, known);
    this.#reporter.problem(node.origin('bgp'), `there is no policy '${policy}'`, mend, 'key');
  }
}
