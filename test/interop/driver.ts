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
  capabilities(lab: BusLab, node: string, peer: string): Promise<SaidCapabilities>;
  /** Makes it ask the peer for its routes again; null if it cannot. */
  readonly refresh: ((lab: BusLab, node: string, peer: string) => Promise<void>) | null;
}
