import { protocolName } from '../../../protocols/protocol-names.ts';
import type { RuleFacts } from '../../events/kernel.ts';
import { dsfieldText } from '../ip/dsfield.ts';
import { formatJson, type Json, type JsonStyle } from './json.ts';

interface RuleFormat {
  readonly json?: JsonStyle;
  /** `-d`: shows who made the kernel's rules, and those that nobody in particular made. */
  readonly details?: 'shown';
  /** Names of the devices that there are: a rule for another is detached. */
  readonly devices: ReadonlySet<string>;
  /** Priorities that there are: a goto elsewhere is unresolved. */
  readonly priorities: ReadonlySet<number>;
  readonly tableName: (table: number) => string;
  readonly protocolName: (protocol: number) => string;
}

/** Text of `ip rule show`, byte for byte as iproute2 6.1 prints it (`print_rule`). */
export function formatRules(rules: readonly RuleFacts[], format: RuleFormat): string {
  if (format.json !== undefined)
    return formatJson(
      rules.map((rule) => ruleObject(rule, format)),
      format.json,
    );
  return rules.map((rule) => `${ruleText(rule, format)}\n`).join('');
}

function shownProtocol({ protocol }: RuleFacts, format: RuleFormat): string {
  const quiet = protocol === 0 || protocol === 2;
  return quiet && format.details === undefined ? '' : format.protocolName(protocol);
}

/** A prefix as iproute2 writes it: a host without its /32 or /128. */
function host(prefix: string): string {
  return prefix.replace(prefix.includes(':') ? /\/128$/ : /\/32$/, '');
}

function hex(value: number): string {
  return value === 0 ? '0' : `0x${value.toString(16)}`;
}

function ports([first, last]: readonly [number, number]): string {
  return first === last ? String(first) : `${first}-${last}`;
}

function ruleText(rule: RuleFacts, format: RuleFormat): string {
  const { not, from, to, iif, oif, mark, mask, tos, ipproto, sport, dport } = rule;
  const detached = (dev: string) => (format.devices.has(dev) ? '' : ' [detached]');
  const words = [not === true ? 'not from' : 'from', from === undefined ? 'all' : host(from)];
  if (to !== undefined) words.push('to', host(to));
  if (tos !== undefined) words.push('tos', dsfieldText(tos));
  if (mark !== undefined)
    words.push('fwmark', `${hex(mark)}${mask === 0xffff_ffff ? '' : `/${hex(mask ?? 0)}`}`);
  if (iif !== undefined) words.push('iif', `${iif}${detached(iif)}`);
  if (oif !== undefined) words.push('oif', `${oif}${detached(oif)}`);
  if (ipproto !== undefined) words.push('ipproto', protocolName(ipproto) ?? `ipproto-${ipproto}`);
  if (sport !== undefined) words.push('sport', ports(sport));
  if (dport !== undefined) words.push('dport', ports(dport));
  if (rule.action === 'lookup') {
    words.push('lookup', format.tableName(rule.table ?? 0));
    if (rule.suppressPrefixLength !== undefined)
      words.push('suppress_prefixlength', String(rule.suppressPrefixLength));
  } else if (rule.action === 'goto') {
    const { target = 0 } = rule;
    words.push('goto', `${target}${format.priorities.has(target) ? '' : ' [unresolved]'}`);
  } else words.push(rule.action);
  const protocol = shownProtocol(rule, format);
  if (protocol !== '') words.push('proto', protocol);
  return `${rule.priority}:\t${words.join(' ')}`;
}

function ruleObject(rule: RuleFacts, format: RuleFormat): Json {
  const { not, from, to, iif, oif, mark, mask, tos, ipproto, sport, dport } = rule;
  const prefix = (name: string, text: string): { [key: string]: Json } => {
    const [address = '', len] = host(text).split('/');
    return { [name]: address, ...(len === undefined ? {} : { [`${name}len`]: Number(len) }) };
  };
  const device = (name: string, dev: string): { [key: string]: Json } => ({
    [name]: dev,
    ...(format.devices.has(dev) ? {} : { [`${name}_detached`]: null }),
  });
  const range = (name: string, [first, last]: readonly [number, number]): { [key: string]: Json } =>
    first === last ? { [name]: first } : { [`${name}_start`]: first, [`${name}_end`]: last };
  const protocol = shownProtocol(rule, format);
  return {
    priority: rule.priority,
    ...(not === true ? { not: null } : {}),
    ...(from === undefined ? { src: 'all' } : prefix('src', from)),
    ...(to === undefined ? {} : prefix('dst', to)),
    ...(tos === undefined ? {} : { tos: dsfieldText(tos) }),
    ...(mark === undefined ? {} : { fwmark: hex(mark) }),
    ...(mark === undefined || mask === 0xffff_ffff ? {} : { fwmask: hex(mask ?? 0) }),
    ...(iif === undefined ? {} : device('iif', iif)),
    ...(oif === undefined ? {} : device('oif', oif)),
    ...(ipproto === undefined ? {} : { ipproto: protocolName(ipproto) ?? `ipproto-${ipproto}` }),
    ...(sport === undefined ? {} : range('sport', sport)),
    ...(dport === undefined ? {} : range('dport', dport)),
    ...actionOf(rule, format),
    ...(protocol === '' ? {} : { protocol }),
  };
}

function actionOf(rule: RuleFacts, format: RuleFormat): { [key: string]: Json } {
  const { target = 0, suppressPrefixLength } = rule;
  switch (rule.action) {
    case 'lookup':
      return {
        table: format.tableName(rule.table ?? 0),
        ...(suppressPrefixLength === undefined ? {} : { suppress_prefixlen: suppressPrefixLength }),
      };
    case 'goto':
      return { goto: target, ...(format.priorities.has(target) ? {} : { unresolved: null }) };
    case 'nop':
      return { nop: null };
    default:
      return { action: rule.action };
  }
}
