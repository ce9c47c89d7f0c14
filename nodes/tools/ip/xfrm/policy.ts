import { compareIp, familyOf, type IpPrefix } from '../../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../../protocols/ip6.ts';
import type { XfrmDirection, XfrmMode } from '../../../events/xfrm.ts';
import type { XfrmLimits } from '../../../kernel/xfrm/lifetime.ts';
import type { XfrmPolicy, XfrmPolicyEntry, XfrmSelector, XfrmTemplate } from '../../../kernel/xfrm/policy.ts';
import { ToolError } from '../../tool.ts';
import { change, type IpContext } from '../context.ts';
import { EXIT_ARGUMENT, EXIT_KERNEL, EXIT_USAGE, invalidArgument, notEmulated, Words } from '../words.ts';
import { type Detail, policyText } from './text.ts';
import {
  type GivenSelector,
  modeOf,
  noSelector,
  numberOf,
  selectorOf,
  takeId,
  takeLimit,
  takeSelector,
  UNLIMITED,
  type XfrmId,
} from './words.ts';

/** What was said of a policy; null: nothing. */
interface Given extends GivenSelector {
  dir: XfrmDirection | null;
  action: XfrmPolicy['action'] | null;
  priority: number | null;
  index: number | null;
  template: ((like: XfrmSelector) => XfrmTemplate) | null;
  limits: XfrmLimits;
}

/** `ip xfrm policy`. @throws ToolError */
export function xfrmPolicy(args: readonly string[], ctx: IpContext): void {
  const [command = 'list', ...rest] = args;
  const { xfrm } = ctx.ns;
  const detail: Detail = ctx.options.statistics === 'shown' ? 'statistics' : 'plain';
  switch (command) {
    case 'add':
    case 'update': {
      const given = parse(new Words(rest), command, ctx);
      const selector = named(given);
      const policy: XfrmPolicy = {
        ...selector,
        action: given.action ?? 'allow',
        priority: given.priority ?? 0,
        template: given.template?.(selector) ?? null,
        limits: given.limits,
      };
      change(() => xfrm.spd.set(policy, command));
      return;
    }
    case 'delete':
    case 'del': {
      const entry = one(parse(new Words(rest), command, ctx), xfrm.spd.list());
      change(() => xfrm.spd.remove(entry.policy));
      return;
    }
    case 'get':
      ctx.out.stdout(policyText(one(parse(new Words(rest), command, ctx), xfrm.spd.list()), detail));
      return;
    case 'list':
    case 'show':
    case 'lst':
    case 'deleteall':
    case 'delall': {
      const given = parse(new Words(rest), command, ctx);
      const entries = xfrm.spd.list().filter((entry) => matches(entry, given, ctx));
      if (command.startsWith('del')) for (const { policy } of entries) xfrm.spd.remove(policy);
      else ctx.out.stdout(entries.map((entry) => policyText(entry, detail)).join(''));
      return;
    }
    case 'flush':
      xfrm.flush('policy');
      return;
    case 'count': {
      const count = (dir: XfrmDirection) => xfrm.spd.list().filter(({ policy }) => policy.dir === dir).length;
      const sockets = detail === 'statistics' ? ' (Sock: IN 0 OUT 0 FWD 0)' : '';
      ctx.out.stdout(`\t SPD IN  ${count('in')} OUT ${count('out')} FWD ${count('fwd')}${sockets}\n`);
      return;
    }
    default:
      if (['set', 'setdefault', 'getdefault'].includes(command))
        throw notEmulated(`ip xfrm policy ${command}`);
      throw new ToolError(`Command "${command}" is unknown, try "ip xfrm policy help".`, EXIT_USAGE);
  }
}

function named(given: Given): XfrmSelector & { readonly dir: XfrmDirection } {
  if (given.dir === null) throw new ToolError('Not enough information: DIR is required.', EXIT_ARGUMENT);
  return { dir: given.dir, ...selectorOf(given) };
}

/** The policy that a selector or an index names. @throws ToolError where there is none. */
function one(given: Given, entries: readonly XfrmPolicyEntry[]): XfrmPolicyEntry {
  const { src, dst, proto, sport, dport, index } = given;
  const selector = named(given);
  if (index === null && [src, dst, proto, sport, dport].every((part) => part === null))
    throw new ToolError('Not enough information: either SELECTOR or INDEX is required.', EXIT_ARGUMENT);
  const entry = entries.find(({ policy, index: own }) =>
    index === null ? same(policy, selector) : own === index && policy.dir === selector.dir,
  );
  if (entry === undefined) throw new ToolError('RTNETLINK answers: No such file or directory', EXIT_KERNEL);
  return entry;
}

const samePrefix = (a: IpPrefix, b: IpPrefix) => compareIp(a.addr, b.addr) === 0 && a.len === b.len;

function same(policy: XfrmPolicy, other: XfrmSelector & { readonly dir: XfrmDirection }): boolean {
  return (
    policy.dir === other.dir &&
    policy.proto === other.proto &&
    policy.sport === other.sport &&
    policy.dport === other.dport &&
    samePrefix(policy.src, other.src) &&
    samePrefix(policy.dst, other.dst)
  );
}

function matches({ policy, index }: XfrmPolicyEntry, given: Given, ctx: IpContext): boolean {
  const { src, dst, proto, sport, dport, dir, action, priority } = given;
  const is = <T>(wanted: T | null, has: T) => wanted === null || wanted === has;
  const { family } = ctx.options;
  return (
    (family === 'any' || familyOf(policy.src.addr) === family) &&
    (src === null || samePrefix(src, policy.src)) &&
    (dst === null || samePrefix(dst, policy.dst)) &&
    is(proto, policy.proto) &&
    is(sport, policy.sport) &&
    is(dport, policy.dport) &&
    is(dir, policy.dir) &&
    is(action, policy.action) &&
    is(priority, policy.priority) &&
    is(given.index, index)
  );
}

function parse(words: Words, command: string, ctx: IpContext): Given {
  const given: Given = {
    ...noSelector(),
    dir: null,
    action: null,
    priority: null,
    index: null,
    template: null,
    limits: UNLIMITED,
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (takeSelector(given, word, words)) continue;
    switch (word) {
      case 'dir': {
        const text = words.argument();
        if (text !== 'in' && text !== 'out' && text !== 'fwd')
          throw invalidArgument(text, 'DIR value is invalid');
        given.dir = text;
        break;
      }
      case 'action': {
        const text = words.argument();
        if (text !== 'allow' && text !== 'block') throw invalidArgument(text, 'ACTION value is invalid');
        given.action = text;
        break;
      }
      case 'priority':
        given.priority = numberOf(words.argument(), 'PRIORITY');
        break;
      case 'index':
        given.index = numberOf(words.argument(), 'INDEX');
        break;
      case 'ptype':
        if (words.argument() !== 'main') throw notEmulated('ip xfrm policy ptype sub');
        break;
      case 'limit':
        given.limits = takeLimit(given.limits, words);
        break;
      case 'tmpl':
        given.template = parseTemplate(words);
        break;
      default:
        throw notEmulated(`ip xfrm policy ${command} ${word}`);
    }
  }
  // Without an address the family is that which was asked for (`preferred_family`).
  if (given.src === null && given.dst === null && ctx.options.family === 'inet6')
    given.src = { addr: ANY_IP6, len: 0 };
  return given;
}

/** The words behind `tmpl`, which are the last. */
function parseTemplate(words: Words): (like: XfrmSelector) => XfrmTemplate {
  const id: XfrmId = { src: null, dst: null, spi: 0 };
  let mode: XfrmMode = 'transport';
  let reqid = 0;
  let level: XfrmTemplate['level'] = 'required';
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (takeId(id, word, words)) continue;
    if (word === 'mode') mode = modeOf(words.argument());
    else if (word === 'reqid') reqid = numberOf(words.argument(), 'REQID');
    else if (word === 'level') {
      const text = words.argument();
      if (text !== 'required' && text !== 'use') throw invalidArgument(text, 'LEVEL value is invalid');
      level = text;
    } else if (word === 'tmpl') throw notEmulated('ip xfrm policy with more than one tmpl');
    else throw notEmulated(`ip xfrm policy tmpl ${word}`);
  }
  const { src, dst, spi } = id;
  return (like) => {
    const any = typeof (src ?? dst ?? like.src.addr) === 'number' ? 0 : ANY_IP6;
    return { src: src ?? any, dst: dst ?? any, spi, reqid, mode, level };
  };
}
