import type { BusLab } from '../../orchestrator/bus-lab.ts';
import type { Outcome } from './bad-messages.ts';
import type { Kind } from './harness.ts';
import type { Route, RouteGroup } from './routes.ts';

/** What a daemon's own command line says of a session. Capabilities in the harness's words, those that it can show. */
export interface SaidCapabilities {
  readonly local: readonly string[];
  readonly remote: readonly string[];
  /** s; null if it does not say. */
  readonly holdTime: number | null;
}

/** What a daemon says of a path. */
export interface SaidPath {
  readonly path: string;
  readonly nextHop: string;
  readonly communities: readonly string[];
}

/** One daemon as the interop tests drive it: a node of a lab, with a neighbour that is an emulated node. */
export interface Driver {
  readonly kind: Kind;
  /** Capabilities that its command line can show. */
  readonly shows: readonly string[];
  /** What becomes of the MED of routes that it originates, on the way to another AS. */
  readonly med: 'kept' | 'dropped';
  /** Options that r1 needs with it, in the lab file's words. */
  readonly session: Readonly<Record<string, unknown>>;
  /** Where it does other than the RFCs have it, by the bad message's name. */
  readonly deviations: Readonly<Record<string, Outcome>>;
  /** Configuration by which it announces the groups, to be added to its own; '' if it takes them by `load`. */
  config(groups: readonly RouteGroup[], asn: number): string;
  load(lab: BusLab, node: string, groups: readonly RouteGroup[], asn: number): Promise<void>;
  /** Takes some of the announced groups back; those that are left. */
  withdraw(
    lab: BusLab,
    node: string,
    groups: readonly RouteGroup[],
    asn: number,
  ): Promise<readonly RouteGroup[]>;
  /** All routes that it has, with attributes as they came. */
  routes(lab: BusLab, node: string): Promise<Route[]>;
  /** Its paths to an IPv4 or IPv6 prefix, the stale ones too. */
  paths(lab: BusLab, node: string, prefix: string): Promise<readonly SaidPath[]>;
  capabilities(lab: BusLab, node: string, peer: string): Promise<SaidCapabilities>;
  /** 'own': after a restart, its own routes until it has told End-of-RIB; 'stale path': to sweep more than one path of a prefix. */
  readonly forgets: readonly ('own' | 'stale path')[];
  /** Makes it ask the peer for its routes again; null if it cannot. */
  readonly refresh: ((lab: BusLab, node: string, peer: string) => Promise<void>) | null;
}
