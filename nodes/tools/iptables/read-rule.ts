import type { IpFamily } from '../../../protocols/ip.ts';
import { protocolNumber } from '../../../protocols/protocol-names.ts';
import { usage } from '../../kernel/netfilter/xtables/error.ts';
import type {
  Given,
  MatchExtension,
  Options,
  RuleHead,
  TargetExtension,
} from '../../kernel/netfilter/xtables/extension.ts';
import type { AddressSpec, HeadSpec, InterfaceSpec } from '../../kernel/netfilter/xtables/head.ts';
import { extensionsOf, NOT_EMULATED } from '../../kernel/netfilter/xtables/registry.ts';
import { protoName, type Rule, type RuleAction, ruleText } from '../../kernel/netfilter/xtables/rule.ts';
import { isEverything, parseNetwork } from '../../kernel/netfilter/xtables/values.ts';
import type { CommandLine, Token } from './command-line.ts';

interface Loaded<E> {
  readonly extension: E;
  readonly given: Given[];
}

/** Matches that a protocol brings without `-m` (`xtables_find_proto`), by its name. */
const PROTO_MATCHES: Readonly<Record<IpFamily, Readonly<Record<string, string>>>> = {
  inet: { tcp: 'tcp', udp: 'udp', icmp: 'icmp', sctp: 'sctp', dccp: 'dccp', esp: 'esp', ah: 'ah' },
  inet6: { tcp: 'tcp', udp: 'udp', 'ipv6-icmp': 'icmp6', sctp: 'sctp', dccp: 'dccp', esp: 'esp', ah: 'ah' },
};
/** Other names that matches of ip6tables go by (`xtables_find_match`). */
const ALIASES6: Readonly<Record<string, string>> = {
  icmpv6: 'icmp6',
  'ipv6-icmp': 'icmp6',
};
/** Protocols that /etc/protocols has under other names, if at all (`xtables_chain_protos`). */
const OWN_NUMBERS: Readonly<Record<string, number>> = {
  icmpv6: 58,
  'ipv6-icmp': 58,
  'ipv6-mh': 135,
  mh: 135,
};
const IFNAMSIZ = 15;
/** Chains in which one of the two interfaces is not known. */
const WITHOUT_OUT: readonly string[] = ['PREROUTING', 'INPUT'];
const WITHOUT_IN: readonly string[] = ['POSTROUTING', 'OUTPUT'];

export interface Counters {
  readonly packets: number;
  readonly bytes: number;
}

/** Collects what of a command line makes a rule, and makes it. */
export class RuleReader {
  readonly #family: IpFamily;
  readonly #hasChain: (name: string) => boolean;
  readonly #seen = new Set<string>();
  readonly #matches: Loaded<MatchExtension>[] = [];
  #sources: readonly AddressSpec[] | null = null;
  #destinations: readonly AddressSpec[] | null = null;
  #in: InterfaceSpec | null = null;
  #out: InterfaceSpec | null = null;
  #proto = 0;
  #protoNegated = false;
  #fragment: HeadSpec['fragment'] = 'any';
  #target: Loaded<TargetExtension> | null = null;
  #action: Exclude<RuleAction, { type: 'target' }> = { type: 'none' };
  #counters: Counters | null = null;

  constructor(family: IpFamily, hasChain: (name: string) => boolean) {
    this.#family = family;
    this.#hasChain = hasChain;
  }

  /** What `-c` says; null: nothing. */
  get counters(): Counters | null {
    return this.#counters;
  }

  /** For a command that takes no rule. @throws XtablesError if anything of one was given */
  refuse(): void {
    const [first] = this.#seen;
    if (first !== undefined) throw usage(`Illegal option \`-${first}' with this command`);
    // A match that is named for nothing has to be whole all the same.
    this.rules('');
  }

  /** Whether anything has been said that only a rule has. */
  get isEmpty(): boolean {
    return this.#seen.size === 0 && this.#matches.length === 0;
  }

  /** Takes an option of iptables' own; false if it is none of a rule's. @throws XtablesError */
  option({ letter, negated, values }: Extract<Token, { type: 'option' }>): boolean {
    const [value = '', second = ''] = values;
    switch (letter) {
      case 's':
        this.#once('s');
        this.#sources = addresses(value, negated, 'source', this.#family);
        return true;
      case 'd':
        this.#once('d');
        this.#destinations = addresses(value, negated, 'destination', this.#family);
        return true;
      case 'i':
        this.#once('i');
        this.#in = interfaceOf(value, negated);
        return true;
      case 'o':
        this.#once('o');
        this.#out = interfaceOf(value, negated);
        return true;
      case 'p':
        this.#once('p');
        this.#protocol(value, negated);
        return true;
      case 'f':
        if (this.#family === 'inet6') throw usage("`-f' is not supported in IPv6, use -m frag instead");
        this.#once('f');
        this.#fragment = negated ? 'not-later' : 'later';
        return true;
      case 'm': {
        if (negated) throw usage('unexpected ! flag before --match');
        this.#load(value);
        return true;
      }
      case 'j':
      case 'g':
        if (negated) throw usage(`unexpected ! flag before --${letter === 'j' ? 'jump' : 'goto'}`);
        this.#once('j');
        this.#to(letter, value);
        return true;
      case 'c':
        for (const text of values) if (!/^\d+$/.test(text)) throw usage(`-c packet counter not numeric`);
        this.#counters = { packets: Number(value), bytes: Number(second) };
        return true;
      default:
        return false;
    }
  }

  /** Takes an option of an extension. @throws XtablesError */
  extension({ name, negated }: Extract<Token, { type: 'extension' }>, line: CommandLine): void {
    const ofTarget = this.#target === null ? null : optionOf(this.#target.extension.options, name);
    const loaded = ofTarget === null ? this.#matchFor(name) : this.#target;
    if (loaded === null && name === '--proto') {
      this.option({ type: 'option', letter: 'p', negated, values: line.values(name, 1) });
      return;
    }
    if (loaded === null) throw usage(`unknown option "${name}"`);
    const { options } = loaded.extension;
    const option = optionOf(options, name) ?? name;
    loaded.given.push({ option, negated, values: line.values(name, options[option] ?? 0) });
  }

  /** The rules: one for each pair of a source and a destination. @throws XtablesError */
  rules(chain: string): Rule[] {
    if (this.#out !== null && WITHOUT_OUT.includes(chain)) throw usage(`Can't use -o with ${chain}\n`);
    if (this.#in !== null && WITHOUT_IN.includes(chain)) throw usage(`Can't use -i with ${chain}\n`);
    const sources = this.#sources ?? [null];
    const destinations = this.#destinations ?? [null];
    if (
      sources.length * destinations.length > 1 &&
      [...sources, ...destinations].some((spec) => spec?.negated)
    )
      throw usage('! not allowed with multiple source or destination IP addresses');
    const proto: RuleHead = { family: this.#family, proto: this.#proto, protoNegated: this.#protoNegated };
    const bound = this.#matches.map(({ extension, given }) => ({
      name: extension.name,
      match: extension.bind(given, proto),
    }));
    const action = this.#boundAction(proto);
    const rest = { in: this.#in, out: this.#out, ...proto, fragment: this.#fragment };
    return sources.flatMap((src) =>
      destinations.map((dst): Rule => {
        const head = { src, dst, ...rest };
        return { head, matches: bound, action, text: ruleText(head, bound, action) };
      }),
    );
  }

  #boundAction(head: RuleHead): RuleAction {
    const target = this.#target;
    if (target === null) return this.#action;
    const { extension, given } = target;
    const { name, shownAs = name } = extension;
    return { type: 'target', name, shownAs, target: extension.bind(given, head) };
  }

  #once(letter: string): void {
    if (this.#seen.has(letter)) throw usage(`multiple -${letter} flags not allowed`);
    this.#seen.add(letter);
  }

  #protocol(text: string, negated: boolean): void {
    const proto = text.toLowerCase() === 'all' ? 0 : (protocolNumber(text) ?? OWN_NUMBERS[text] ?? null);
    if (proto === null) throw usage(`unknown protocol "${text.toLowerCase()}" specified`);
    if (proto === 0 && negated) throw usage('rule would never match protocol');
    this.#proto = proto;
    this.#protoNegated = negated;
  }

  #load(name: string): Loaded<MatchExtension> {
    const known = this.#family === 'inet6' ? (ALIASES6[name] ?? name) : name;
    const extension = extensionsOf(this.#family).matches.get(known);
    if (extension === undefined) {
      if (NOT_EMULATED.has(name)) throw usage(`match \`${name}' is not emulated`);
      throw usage(`Couldn't load match \`${name}':No such file or directory\n`);
    }
    const loaded = { extension, given: [] };
    this.#matches.push(loaded);
    return loaded;
  }

  #to(letter: 'j' | 'g', name: string): void {
    if (letter === 'g') {
      if (!this.#hasChain(name)) throw usage(`goto '${name}' is not a chain`);
      this.#action = { type: 'goto', chain: name };
    } else if (name === 'ACCEPT' || name === 'DROP' || name === 'RETURN') {
      this.#action = { type: 'verdict', verdict: name };
    } else if (this.#hasChain(name)) this.#action = { type: 'jump', chain: name };
    else {
      const extension = extensionsOf(this.#family).targets.get(name);
      if (extension === undefined) {
        if (NOT_EMULATED.has(name) || name === 'QUEUE') throw usage(`target \`${name}' is not emulated`);
        throw usage(`Couldn't load target \`${name}':No such file or directory\n`);
      }
      this.#target = { extension, given: [] };
    }
  }

  /** The match that an option belongs to: the one named last that has it, else that of the protocol. */
  #matchFor(name: string): Loaded<MatchExtension> | null {
    const named = this.#matches.findLast(({ extension }) => optionOf(extension.options, name) !== null);
    if (named !== undefined) return named;
    const proto = this.#proto === 0 ? '' : protoName(this.#proto);
    const match = PROTO_MATCHES[this.#family][proto];
    if (match === undefined || this.#protoNegated) return null;
    const isLoaded = this.#matches.some(({ extension }) => extension.name === match);
    const options = extensionsOf(this.#family).matches.get(match)?.options ?? {};
    return !isLoaded && optionOf(options, name) !== null ? this.#load(match) : null;
  }
}

/** The option that is meant: as it stands, or the only one that begins so, as getopt_long(3) has it. */
function optionOf(options: Options, name: string): string | null {
  if (options[name] !== undefined) return name;
  const longer = Object.keys(options).filter((option) => option.startsWith(name));
  return longer.length === 1 ? longer[0]! : null;
}

/** Null for every address. */
function addresses(
  text: string,
  negated: boolean,
  what: string,
  family: IpFamily,
): readonly AddressSpec[] | null {
  const list = text.split(',').map((one) => ({ ...parseNetwork(one, family), negated }));
  if (negated && list.length > 1) throw usage(`! not allowed with multiple ${what} IP addresses`);
  const [first] = list;
  return list.length === 1 && first !== undefined && isEverything(first) && !negated ? null : list;
}

function interfaceOf(name: string, negated: boolean): InterfaceSpec | null {
  if (name.length > IFNAMSIZ)
    throw usage(`interface name \`${name}' must be shorter than IFNAMSIZ (${IFNAMSIZ})`);
  if (name === '') throw usage('Empty interface is likely to be undesired');
  return { name, negated };
}
