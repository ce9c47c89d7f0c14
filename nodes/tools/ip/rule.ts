import { formatIpPrefix, ipPrefixContains, parseIpPrefix } from '../../../protocols/ip.ts';
import { formatPrefix, parseAddress } from '../../../protocols/ip4.ts';
import type { RuleFacts } from '../../events/kernel.ts';
import { MAIN_TABLE } from '../../kernel/route-table.ts';
import type { RuleTable } from '../../kernel/rules.ts';
import { formatRules } from '../format/rules.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, refused, requireInterfaceAddress, requirePrefix } from './context.ts';
import { parseDsfield } from './dsfield.ts';
import { ruleProtocolName, ruleProtocolOf, tableName, tableNumber } from './route-protocols.ts';
import { ipProtocolOf, numberOf } from './rule-words.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { EXIT_ARGUMENT, EXIT_USAGE, invalidArgument, notEmulated, usage, type Words } from './words.ts';

const USAGE = `Usage: ip rule { add | del } SELECTOR ACTION
       ip rule flush
       ip rule [ list [ SELECTOR ]]
SELECTOR := [ not ] [ from PREFIX ] [ to PREFIX ] [ tos TOS ]
            [ fwmark FWMARK[/MASK] ]
            [ iif STRING ] [ oif STRING ] [ pref NUMBER ]
            [ ipproto PROTOCOL ]
            [ sport [ NUMBER | NUMBER-NUMBER ]
            [ dport [ NUMBER | NUMBER-NUMBER ] ]
ACTION := [ table TABLE_ID ]
          [ protocol PROTO ]
          [ goto NUMBER ]
          SUPPRESSOR
SUPPRESSOR := [ suppress_prefixlength NUMBER ]
TABLE_ID := [ local | main | default | NUMBER ]`;

const RULE: Subcommands = {
  object: 'ip rule',
  help: () => usage(USAGE),
  usual: 'list',
  commands: {
    list,
    lst: list,
    show: list,
    add,
    delete: remove,
    flush,
    save: null,
    restore: null,
    showdump: null,
  },
};

/** `ip rule`. @throws ToolError */
export function ipRule(args: readonly string[], ctx: IpContext): void {
  runSubcommand(RULE, args, ctx);
}

/** A rule under construction: what a command line says, null where it says nothing of its priority or action. */
type Given = { -readonly [K in keyof RuleFacts]?: RuleFacts[K] | undefined };

/** `IFNAMSIZ` without its NUL. */
const NAME_LENGTH = 15;

function markOf(word: string): { readonly mark: number; readonly mask: number } {
  const [mark = '', mask] = word.split(/\/(.*)/s);
  return {
    mark: numberOf(mark, 0xffff_ffff, 'fwmark value is invalid\n'),
    mask: mask === undefined ? 0xffff_ffff : numberOf(mask, 0xffff_ffff, 'fwmask value is invalid\n'),
  };
}

function rangeOf(word: string, which: 'sport' | 'dport'): readonly [number, number] {
  const [first = '', last = first] = word.split(/-(.*)/s);
  const bad = 'invalid port range\n';
  const range = [numberOf(first, 65_535, bad), numberOf(last, 65_535, bad)] as const;
  if (range[0] === 0 || range[1] < range[0]) throw new ToolError(`Error: Invalid ${which} range.`, 2);
  return range;
}

function nameOf(word: string, message: string): string {
  if (word.length > NAME_LENGTH || word === '' || /[\s/]/.test(word))
    throw new ToolError(`Error: argument "${word}" is wrong: ${message}`, EXIT_USAGE);
  return word;
}

const UNKNOWN = ['realms', 'tun_id', 'suppress_ifgroup', 'sup_group', 'l3mdev', 'uidrange', 'nat', 'map-to'];
const ACTIONS = ['nop', 'blackhole', 'unreachable', 'prohibit'] as const;

/** A rule shows its prefixes with their host bits. Without `-6` it is one of IPv4. @throws ToolError */
function prefixText(word: string, { options }: IpContext, which: 'source' | 'dst'): string {
  const { family } = options;
  if (family !== 'inet6' && !word.includes(':')) {
    const prefix = requirePrefix(word, family);
    const given = parseAddress(word);
    return formatPrefix(given?.len === prefix.len ? given : prefix);
  }
  if (word === 'default' || word === 'any' || word === 'all') return '::/0';
  const prefix = requireInterfaceAddress(word, family);
  if (family === 'any') throw refused(`Error: Invalid ${which} address.`);
  return formatIpPrefix(prefix);
}

/** @throws ToolError */
function parse(words: Words, ctx: IpContext): Given {
  const rule: Given = {};
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'not':
        rule.not = true;
        break;
      case 'from':
      case 'to':
        rule[word] = prefixText(words.argument(), ctx, word === 'from' ? 'source' : 'dst');
        break;
      case 'preference':
      case 'order':
      case 'priority':
      case 'pref':
        rule.priority = numberOf(words.argument(), 0xffff_ffff, 'preference value is invalid\n');
        break;
      case 'tos':
      case 'dsfield': {
        const text = words.argument();
        const value = parseDsfield(text);
        if (value === null) throw invalidArgument(text, 'TOS value is invalid\n');
        rule.tos = value;
        break;
      }
      case 'fwmark':
        Object.assign(rule, markOf(words.argument()));
        break;
      case 'protocol':
        rule.protocol = ruleProtocolOf(words.argument());
        break;
      case 'table':
      case 'lookup': {
        const text = words.argument();
        const table = tableNumber(text);
        if (table === null) throw invalidArgument(text, 'invalid table ID\n');
        rule.action = 'lookup';
        rule.table = table;
        break;
      }
      case 'suppress_prefixlength':
      case 'sup_pl':
        rule.suppressPrefixLength = numberOf(
          words.argument(),
          0x7fff_ffff,
          'suppress_prefixlength value is invalid\n',
        );
        break;
      case 'dev':
      case 'iif':
        rule.iif = nameOf(words.argument(), '"iif"/"dev" not a valid ifname');
        break;
      case 'oif':
        rule.oif = nameOf(words.argument(), '"oif" not a valid ifname');
        break;
      case 'ipproto':
        rule.ipproto = ipProtocolOf(words.argument());
        break;
      case 'sport':
      case 'dport':
        rule[word] = rangeOf(words.argument(), word);
        break;
      case 'goto':
        rule.action = 'goto';
        rule.target = numberOf(words.argument(), 0xffff_ffff, 'invalid target\n');
        break;
      default: {
        if (UNKNOWN.includes(word)) throw notEmulated(`ip rule ${word}`);
        const kind = word === 'type' ? words.argument() : word;
        const action = ACTIONS.find((candidate) => candidate === kind);
        if (action === undefined)
          throw new ToolError(`Error: argument "${kind}" is wrong: Failed to parse rule type`, EXIT_USAGE);
        rule.action = action;
      }
    }
  }
  return rule;
}

/** The rules that a command is about. */
function rulesOf({ ns, options }: IpContext): Pick<RuleTable, 'add' | 'delete' | 'list' | 'nextPriority'> {
  return options.family === 'inet6' ? ns.ipv6.rules : ns.rules;
}

function add(words: Words, ctx: IpContext): void {
  const given = parse(words, ctx);
  const rules = rulesOf(ctx);
  const table = given.action === undefined || given.table === 0 ? MAIN_TABLE : given.table;
  const rule = Object.fromEntries(
    Object.entries({
      protocol: 0,
      ...given,
      action: given.action ?? 'lookup',
      table,
      priority: given.priority ?? rules.nextPriority(),
    }).filter(([, value]) => value !== undefined),
  ) as unknown as RuleFacts;
  change(() => rules.add(rule));
}

function remove(words: Words, ctx: IpContext): void {
  if (words.done) throw new ToolError('"ip rule del" requires arguments.', EXIT_ARGUMENT);
  const given = parse(words, ctx);
  change(() => rulesOf(ctx).delete((rule) => isMeant(given, rule)));
}

/** `rule_find`: what the command line does not say is not asked for, nor is `not`. */
function isMeant(given: Given, rule: RuleFacts): boolean {
  const same = <K extends keyof RuleFacts>(key: K) =>
    given[key] === undefined || JSON.stringify(given[key]) === JSON.stringify(rule[key]);
  const unset = (prefix: string | undefined) => prefix === undefined || /^(0\.0\.0\.0|::)\/0$/.test(prefix);
  return (
    (given.table === undefined || given.table === 0 || given.table === rule.table) &&
    (unset(given.from) || given.from === rule.from) &&
    (unset(given.to) || given.to === rule.to) &&
    (given.mark === undefined || given.mark === 0 || (same('mark') && same('mask'))) &&
    (
      [
        ...(['priority', 'action', 'target', 'iif', 'oif', 'tos', 'ipproto', 'sport', 'dport'] as const),
        'suppressPrefixLength',
      ] as const
    ).every(same)
  );
}

/** Every rule but those of priority 0, which netlink does not number (`iprule_flush_or_save`). */
function flush(words: Words, ctx: IpContext): void {
  if (!words.done) throw notEmulated('ip rule flush with a selector');
  const rules = rulesOf(ctx);
  for (const gone of rules.list())
    if (gone.priority !== 0) change(() => rules.delete((rule) => rule === gone));
}

function list(words: Words, ctx: IpContext): void {
  const { ns, options, out } = ctx;
  const tests = listTests(words, ctx);
  const all = rulesOf(ctx).list();
  const text = formatRules(
    all.filter((rule) => tests.every((test) => test(rule))),
    {
      devices: new Set(ns.devices().map(({ name }) => name)),
      priorities: new Set(all.map(({ priority }) => priority)),
      tableName,
      protocolName: ruleProtocolName,
      ...(options.json === undefined ? {} : { json: options.json }),
      ...(options.details === undefined ? {} : { details: options.details }),
    },
  );
  out.stdout(text);
}

/** @throws ToolError */
function listTests(words: Words, ctx: IpContext): ((rule: RuleFacts) => boolean)[] {
  if (words.done) return [];
  const given = parse(words, ctx);
  const within = (wanted: string | undefined, own: string | undefined) => {
    const prefix = wanted === undefined ? null : parseIpPrefix(wanted);
    const other = own === undefined ? null : parseIpPrefix(own);
    if (prefix === null || prefix.len === 0) return true;
    return other !== null && other.len >= prefix.len && ipPrefixContains(prefix, other.addr);
  };
  return [
    (rule) => given.priority === undefined || rule.priority === given.priority,
    (rule) => given.table === undefined || rule.table === given.table,
    (rule) => given.protocol === undefined || rule.protocol === given.protocol,
    (rule) => within(given.from, rule.from) && within(given.to, rule.to),
    (rule) => given.iif === undefined || rule.iif === given.iif,
    (rule) => given.oif === undefined || rule.oif === given.oif,
    (rule) => given.tos === undefined || (rule.tos ?? 0) === given.tos,
    (rule) =>
      given.mark === undefined || ((rule.mark ?? 0) === given.mark && (rule.mask ?? 0) === given.mask),
  ];
}
