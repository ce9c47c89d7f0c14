import { formatIp4, formatPrefix, type Prefix } from '../../../../protocols/ip4.ts';
import { protocolName, protocolNumber } from '../../../../protocols/protocol-names.ts';
import type { XfrmDirection, XfrmMode } from '../../../events/xfrm.ts';
import type { XfrmPolicy, XfrmTemplate } from '../../../kernel/xfrm/xfrm.ts';
import { ToolError } from '../../tool.ts';
import { change, type IpContext, requirePrefix } from '../context.ts';
import { EXIT_ARGUMENT, EXIT_KERNEL, EXIT_USAGE, invalidArgument, notEmulated, Words } from '../words.ts';
import { modeOf, numberOf, takeId, type XfrmId } from './words.ts';

/** What was said of a policy; null: nothing. */
interface Given {
  src: Prefix | null;
  dst: Prefix | null;
  proto: number | null;
  dir: XfrmDirection | null;
  action: XfrmPolicy['action'] | null;
  priority: number | null;
  template: XfrmTemplate | null;
}

const ANY: Prefix = { addr: 0, len: 0 };

/** `ip xfrm policy`. @throws ToolError */
export function xfrmPolicy(args: readonly string[], ctx: IpContext): void {
  const [command = 'list', ...rest] = args;
  const { xfrm } = ctx.ns;
  switch (command) {
    case 'add':
    case 'update': {
      const given = parse(new Words(rest), command);
      const { action, priority, template } = given;
      const policy = {
        ...selectorOf(given),
        action: action ?? 'allow',
        priority: priority ?? 0,
        template,
      } as const;
      change(() => xfrm.setPolicy(policy, command));
      return;
    }
    case 'delete':
    case 'del': {
      const selector = selectorOf(parse(new Words(rest), command));
      change(() => xfrm.removePolicy(selector));
      return;
    }
    case 'get': {
      const selector = selectorOf(parse(new Words(rest), command));
      const policy = xfrm.policies().find((other) => sameSelector(other, selector));
      if (policy === undefined)
        throw new ToolError('RTNETLINK answers: No such file or directory', EXIT_KERNEL);
      ctx.out.stdout(policyText(policy));
      return;
    }
    case 'list':
    case 'show':
    case 'lst':
    case 'deleteall':
    case 'delall': {
      const given = parse(new Words(rest), command);
      const policies = xfrm.policies().filter((policy) => matches(policy, given));
      if (command.startsWith('del')) for (const policy of policies) xfrm.removePolicy(policy);
      else ctx.out.stdout(policies.map(policyText).join(''));
      return;
    }
    case 'flush':
      for (const policy of xfrm.policies()) xfrm.removePolicy(policy);
      return;
    case 'count': {
      const count = (dir: XfrmDirection) => xfrm.policies().filter((policy) => policy.dir === dir).length;
      ctx.out.stdout(`\t SPD IN  ${count('in')} OUT ${count('out')} FWD ${count('fwd')}\n`);
      return;
    }
    default:
      if (['set', 'setdefault', 'getdefault'].includes(command))
        throw notEmulated(`ip xfrm policy ${command}`);
      throw new ToolError(`Command "${command}" is unknown, try "ip xfrm policy help".`, EXIT_USAGE);
  }
}

function selectorOf({ src, dst, proto, dir }: Given): Pick<XfrmPolicy, 'dir' | 'src' | 'dst' | 'proto'> {
  if (dir === null) throw new ToolError('Not enough information: DIR is required.', EXIT_ARGUMENT);
  return { dir, src: src ?? ANY, dst: dst ?? ANY, proto: proto ?? 0 };
}

const samePrefix = (a: Prefix, b: Prefix) => a.addr === b.addr && a.len === b.len;

function sameSelector(policy: XfrmPolicy, { dir, src, dst, proto }: ReturnType<typeof selectorOf>): boolean {
  return (
    policy.dir === dir && policy.proto === proto && samePrefix(policy.src, src) && samePrefix(policy.dst, dst)
  );
}

function matches(policy: XfrmPolicy, { src, dst, proto, dir, action, priority }: Given): boolean {
  return (
    (src === null || samePrefix(src, policy.src)) &&
    (dst === null || samePrefix(dst, policy.dst)) &&
    (proto === null || proto === policy.proto) &&
    (dir === null || dir === policy.dir) &&
    (action === null || action === policy.action) &&
    (priority === null || priority === policy.priority)
  );
}

function prefixOf(text: string): Prefix {
  if (text.includes(':')) throw notEmulated('ip xfrm with IPv6');
  return requirePrefix(text);
}

function parse(words: Words, command: string): Given {
  const given: Given = {
    src: null,
    dst: null,
    proto: null,
    dir: null,
    action: null,
    priority: null,
    template: null,
  };
  for (let word = words.next(); word !== undefined; word = words.next()) {
    switch (word) {
      case 'src':
        given.src = prefixOf(words.argument());
        break;
      case 'dst':
        given.dst = prefixOf(words.argument());
        break;
      case 'proto': {
        const text = words.argument();
        given.proto = protocolNumber(text);
        if (given.proto === null) throw invalidArgument(text, 'PROTO value is invalid');
        break;
      }
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
      case 'ptype':
        if (words.argument() !== 'main') throw notEmulated('ip xfrm policy ptype sub');
        break;
      case 'tmpl':
        given.template = parseTemplate(words);
        break;
      default:
        throw notEmulated(`ip xfrm policy ${command} ${word}`);
    }
  }
  return given;
}

/** The words behind `tmpl`, which are the last. */
function parseTemplate(words: Words): XfrmTemplate {
  const id: XfrmId = { src: 0, dst: 0, spi: 0 };
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
  return { src, dst, spi, reqid, mode, level };
}

/** As iproute2 6.1 prints a policy (`xfrm_policy_info_print`). */
function policyText({ dir, src, dst, proto, action, priority, template }: XfrmPolicy): string {
  const upper = proto === 0 ? '' : `proto ${protocolName(proto)} `;
  const block = action === 'block' ? 'action block ' : '';
  const lines = [
    `src ${formatPrefix(src)} dst ${formatPrefix(dst)} ${upper}`,
    `\tdir ${dir} ${block}priority ${priority} ptype main `,
  ];
  if (template !== null) {
    const { spi, reqid, mode, level } = template;
    const number = spi === 0 ? '' : `spi 0x${spi.toString(16).padStart(8, '0')} `;
    lines.push(
      `\ttmpl src ${formatIp4(template.src)} dst ${formatIp4(template.dst)}`,
      `\t\tproto esp ${number}reqid ${reqid} mode ${mode}`,
    );
    if (level === 'use') lines.push('\t\tlevel use ');
  }
  return `${lines.join('\n')}\n`;
}
