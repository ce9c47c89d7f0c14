/** A change of a table of iptables. Rules are text as `iptables -S` prints it behind `-A CHAIN`. */
export type XtablesChange =
  /** A builtin chain's policy, or ('') a new chain of the user's. */
  | { readonly op: 'chain'; readonly chain: string; readonly policy: 'ACCEPT' | 'DROP' | null }
  | { readonly op: 'gone'; readonly chain: string }
  /** Rules that lead to it have the new name from here on. */
  | { readonly op: 'rename'; readonly chain: string; readonly to: string }
  /** From place `at` (from 0) on, `remove` rules go and others come. */
  | {
      readonly op: 'splice';
      readonly chain: string;
      readonly at: number;
      readonly remove: number;
      readonly rules: readonly string[];
    };

/** Absent: iptables'; 'inet6': ip6tables'. */
interface OfFamily {
  readonly family?: 'inet6';
}

/** A chain as it is. */
export interface XtablesChainFacts extends OfFamily {
  readonly table: string;
  readonly chain: string;
  /** '' for a chain of the user's. */
  readonly policy: 'ACCEPT' | 'DROP' | '';
  readonly rules: readonly string[];
}

export interface RecentFacts {
  readonly list: string;
  readonly address: string;
}

export type XtablesEvent =
  | ({
      readonly type: 'xtables.changed';
      readonly ns: string;
      readonly table: string;
      readonly changes: readonly XtablesChange[];
    } & OfFamily)
  /** An address has come onto a list of `-m recent`, or gone from it. */
  | ({ readonly type: 'recent.added'; readonly ns: string } & RecentFacts)
  | ({ readonly type: 'recent.removed'; readonly ns: string } & RecentFacts)
  /** `-j LOG`: a line of the kernel's log. `level` as syslog(2) numbers them. */
  | { readonly type: 'packet.logged'; readonly ns: string; readonly level: number; readonly line: string }
  /** `-j NFLOG`: `line` is what LOG would write. */
  | {
      readonly type: 'packet.nflog';
      readonly ns: string;
      readonly group: number;
      readonly prefix: string;
      readonly line: string;
    }
  /** `-j TRACE`: a rule that a packet fits, a user chain's end, or a builtin chain's policy. */
  | ({
      readonly type: 'packet.trace';
      readonly ns: string;
      readonly hook: string;
      readonly table: string;
      readonly chain: string;
      readonly kind: 'rule' | 'return' | 'policy';
      /** Of the rule, from 1; one more than there are for a chain's end. */
      readonly number: number;
      /** The rule's text, or the policy. */
      readonly rule?: string;
      /** The packet, as LOG has it. */
      readonly line: string;
    } & OfFamily);
