import { type RunningTool, type ToolContext, ToolError, type ToolOutput } from '../../tool.ts';
import type { IpContext } from '../context.ts';
import { abbreviates, usage } from '../words.ts';
import { XfrmMonitor } from './monitor.ts';
import { xfrmPolicy } from './policy.ts';
import { xfrmState } from './state.ts';

const USAGE = `Usage: ip xfrm XFRM-OBJECT { COMMAND | help }
where  XFRM-OBJECT := state | policy | monitor`;

/** `ip xfrm`: state and policy, of ESP. @throws ToolError */
export function ipXfrm(args: readonly string[], ctx: IpContext): void {
  const [object = '', ...rest] = args;
  if (abbreviates(object, 'state') || object === 'sa') xfrmState(rest, ctx);
  else if (abbreviates(object, 'policy')) xfrmPolicy(rest, ctx);
  else throw usage(USAGE);
}

/** `ip [-s] xfrm monitor`, which goes on until it is interrupted; null where something else is asked for. @throws ToolError */
export function xfrmMonitor(args: readonly string[], ctx: ToolContext, out: ToolOutput): RunningTool | null {
  const words = args.filter((word) => !/^-(s|stats|statistics)$/.test(word));
  const [object = '', command = '', ...rest] = words;
  if (object === '' || !abbreviates(object, 'xfrm') || command === '' || !abbreviates(command, 'monitor'))
    return null;
  const what = rest.filter((word) => word !== 'nokeys');
  const unknown = what.find((word) => !['all', 'state', 'SA', 'policy', 'expire', 'acquire'].includes(word));
  if (unknown !== undefined)
    throw new ToolError(`Argument "${unknown}" is unknown, try "ip xfrm monitor help".`, 255);
  return new XfrmMonitor(ctx, out, {
    kinds: what.length === 0 || what.includes('all') ? null : new Set(what),
    keys: rest.includes('nokeys') ? 'hidden' : 'shown',
    detail: words.length === args.length ? 'plain' : 'statistics',
  });
}
