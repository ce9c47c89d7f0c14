import type {
  NeighborConfig,
  NeighborOptions,
  SpeakerConfig,
  SpeakerTimings,
} from '../../../protocols/bgp/config.ts';
import { FAST, type Lab, type LabNode } from './lab.ts';

export interface SpeakerSpec extends Partial<Omit<SpeakerConfig, 'neighbors'>> {
  readonly name: string;
  readonly asn: number;
  /** Address of all its sessions and router id. */
  readonly address: string;
  readonly timings?: Partial<SpeakerTimings>;
}

export interface LinkSpec {
  readonly a: string;
  readonly b: string;
  /** The end that is the other's route reflector client. */
  readonly client?: string;
  /** Ends that only accept. */
  readonly passive?: readonly string[];
  /** Ends that set themselves as next hop. */
  readonly nextHopSelf?: readonly string[];
  /** Further options of the session at an end, by its name. */
  readonly options?: Readonly<Record<string, Partial<NeighborOptions>>>;
}

/** Adds speakers to a lab, with a session for every link. */
export function build(
  lab: Lab,
  specs: readonly SpeakerSpec[],
  links: readonly LinkSpec[],
  timings: SpeakerTimings = FAST,
): LabNode[] {
  const byName = new Map(specs.map((spec) => [spec.name, spec]));
  return specs.map((spec) => {
    const { name, address, timings: own, ...config } = spec;
    const neighbors = links.flatMap((link): NeighborConfig[] => {
      if (link.a !== name && link.b !== name) return [];
      const other = byName.get(link.a === name ? link.b : link.a)!;
      return [
        {
          name: other.name,
          address: other.address,
          localAddress: address,
          remoteAs: other.asn,
          routeReflectorClient: link.client === other.name,
          nextHopSelf: link.nextHopSelf?.includes(name) ?? false,
          passive: link.passive?.includes(name) ?? false,
          ttl: 1,
          ...link.options?.[name],
        },
      ];
    });
    const full: SpeakerConfig = { routerId: address, networks: [], maximumPaths: 1, ...config, neighbors };
    return lab.add(name, full, { ...timings, ...own });
  });
}

/** A link between every two. */
export function everyPair(names: readonly string[]): LinkSpec[] {
  return names.flatMap((a, i) => names.slice(i + 1).map((b) => ({ a, b })));
}

/** Speakers n1…n<count> at 10.0.0.<i>, each with its /24 of 10.244. */
export function numbered(count: number, asn: (i: number) => number): SpeakerSpec[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `n${i + 1}`,
    asn: asn(i + 1),
    address: `10.0.0.${i + 1}`,
    networks: [`10.244.${i + 1}.0/24`],
  }));
}
