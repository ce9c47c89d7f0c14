import type { IpFamily } from '../../../../protocols/ip.ts';
import type { Netns } from '../../netns.ts';
import type { Hook, Verdict } from '../hooks.ts';
import type { Skb } from '../skb.ts';

/** An option of an extension as it stood on the command line: `! --dport 80`. */
export interface Given {
  readonly option: string;
  readonly negated: boolean;
  readonly values: readonly string[];
}

/** What a rule says before its extensions, as far as they depend on it. */
export interface RuleHead {
  readonly family: IpFamily;
  /** 0 for any. */
  readonly proto: number;
  readonly protoNegated: boolean;
}

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';

export interface CompileContext {
  readonly ns: Netns;
  readonly family: IpFamily;
}

export type MatchFunction = (skb: Skb) => boolean;

/** What a target makes of a packet; 'continue' goes on with the next rule. */
export type TargetFunction = (skb: Skb, hook: Hook) => Verdict | 'continue';

interface Bound {
  /** Its options as `iptables -S` prints them, '' for none. */
  readonly save: string;
  /** What `iptables -L` prints of it, '' for nothing. */
  list(numeric: boolean): string;
}

export interface BoundMatch extends Bound {
  /** Hooks that its chain may be reached from; absent: any. */
  readonly hooks?: readonly Hook[];
  /** Tables that it can stand in; absent: any. */
  readonly tables?: readonly TableName[];
  /** Of the flags of TCP, SYN has to be set (`find_syn_match`). */
  readonly asksForSyn?: boolean;
  /** Set of ipset that it asks, which cannot go as long as it does. */
  readonly usesSet?: string;
  /**
   * It counts packets where nobody but its rule does: the kernel, which is given a whole table for each change of one, has it begin
   * anew (`checkentry`).
   */
  readonly countsAlone?: true;
  /** Refuses where what it needs is not there, before anything of the table is changed. @throws XtablesError */
  check?(context: CompileContext): void;
  compile(context: CompileContext): MatchFunction;
}

export interface BoundTarget extends Bound {
  /** Hooks that its chain may be reached from, with these options; absent: those of the extension. */
  readonly hooks?: readonly Hook[];
  /** Sets of ipset that it changes. */
  readonly usesSets?: readonly string[];
  /** Refuses where what it needs is not there, before anything of the table is changed. @throws XtablesError */
  check?(context: CompileContext): void;
  compile(context: CompileContext): TargetFunction;
}

/** How an option is written: how many values follow it. */
export type Options = Readonly<Record<string, 0 | 1 | 2>>;

/** A match or target by the name that `-m` or `-j` has. */
export interface Extension<B extends Bound> {
  readonly name: string;
  readonly options: Options;
  /** Name that -L shows it by, where that is another. */
  readonly shownAs?: string;
  /** @throws XtablesError */
  bind(given: readonly Given[], head: RuleHead): B;
}

export type MatchExtension = Extension<BoundMatch>;

export interface TargetExtension extends Extension<BoundTarget> {
  /** Tables that it can stand in; absent: any. */
  readonly tables?: readonly TableName[];
  /** Refused where no match of the rule asks for SYN. */
  readonly needsSyn?: true;
  /** Hooks that its chain may be reached from; absent: any. */
  readonly hooks?: readonly Hook[];
}
