/** Facts of a set that do not change (`ipset create`). */
export interface IpsetHeader {
  readonly name: string;
  /** `hash:ip`, `list:set` … */
  readonly type: string;
  /** As `ipset save` prints it behind the type. */
  readonly options: string;
}

/** An element, without what it has counted. */
export interface IpsetElementFacts {
  /** `10.0.0.0/8`, `10.0.0.1,tcp:80` */
  readonly element: string;
  readonly nomatch?: true;
  readonly comment?: string;
  /** When it goes, ms at the node. */
  readonly expires?: number;
}

/** A set with its elements, by their text; those of a list:set in their order. */
export interface IpsetFacts extends IpsetHeader {
  readonly elements: readonly IpsetElementFacts[];
}

export type IpsetEvent =
  | { readonly type: 'ipset.created'; readonly ns: string; readonly set: IpsetHeader }
  | { readonly type: 'ipset.destroyed'; readonly ns: string; readonly name: string }
  | { readonly type: 'ipset.renamed'; readonly ns: string; readonly name: string; readonly to: string }
  /** Two names have each other's set now. */
  | { readonly type: 'ipset.swapped'; readonly ns: string; readonly name: string; readonly with: string }
  /** Added, or changed: the whole element now; `at`: in a list:set, its place from 0. */
  | {
      readonly type: 'ipset.added';
      readonly ns: string;
      readonly name: string;
      readonly elements: readonly IpsetElementFacts[];
      readonly at?: number;
    }
  | {
      readonly type: 'ipset.removed';
      readonly ns: string;
      readonly name: string;
      readonly elements: readonly string[];
    };
