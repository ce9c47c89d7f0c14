import type { NeighborConfig } from './config.ts';
import { type ExportContext, Exporter } from './export.ts';
import { type ImportContext, Importer } from './import.ts';
import type { Peer } from './path.ts';
import { type PolicySet, policyOf, type RoutePolicy } from './route-policy.ts';
import type { Session } from './session.ts';

type Direction = 'import' | 'export';

/** The ways in and out of a speaker's established sessions, by the policies that are configured or were set at run time. */
export class NeighborPolicies {
  readonly #policies: PolicySet;
  readonly #importContext: ImportContext;
  readonly #exportContext: ExportContext;
  /** Policies that were set at run time, by direction and peer. */
  readonly #chosen = new Map<string, readonly string[]>();
  readonly #importers = new Map<Session, Importer>();

  constructor(policies: PolicySet, importContext: ImportContext, exportContext: ExportContext) {
    this.#policies = policies;
    this.#importContext = importContext;
    this.#exportContext = exportContext;
  }

  /** @throws BgpConfigError if a neighbour's configuration names a policy that there is none of. */
  check(neighbor: NeighborConfig): void {
    this.#policyOf(neighbor, 'import');
    this.#policyOf(neighbor, 'export');
  }

  /** @throws BgpConfigError for a name that there is no policy of. */
  checkNames(name: string, names: readonly string[]): void {
    policyOf(this.#policies, names, `BGP neighbor ${name}`);
  }

  /** Policies of these names, none for no names, from the next `importer` or `exporter` on. */
  choose(name: string, direction: Direction, names: readonly string[]): void {
    this.#chosen.set(`${direction} ${name}`, names);
  }

  exporter(neighbor: NeighborConfig, peer: Peer): Exporter {
    return new Exporter(peer, this.#exportContext, this.#policyOf(neighbor, 'export'));
  }

  /** The session's importer from now on. */
  importer(session: Session, peer: Peer): Importer {
    const importer = new Importer(peer, this.#importContext, this.#policyOf(session.neighbor, 'import'));
    this.#importers.set(session, importer);
    return importer;
  }

  importers(): Iterable<readonly [Session, Importer]> {
    return this.#importers;
  }

  importerOf(session: Session): Importer | undefined {
    return this.#importers.get(session);
  }

  /** The session is gone. */
  forget(session: Session): void {
    this.#importers.delete(session);
  }

  #policyOf(neighbor: NeighborConfig, direction: Direction): RoutePolicy | null {
    const names = this.#chosen.get(`${direction} ${neighbor.name}`) ?? neighbor[direction];
    return policyOf(this.#policies, names, `BGP neighbor ${neighbor.name}`);
  }
}
