import type { IpContext } from '../context.ts';
import { abbreviates, notEmulated, usage } from '../words.ts';
import { xfrmPolicy } from './policy.ts';
import { xfrmState } from './state.ts';

const USAGE = `Usage: ip xfrm XFRM-OBJECT { COMMAND | help }
where  XFRM-OBJECT := state | policy | monitor`;

/** `ip xfrm`: state and policy, of ESP and IPv4. @throws ToolError */
export function ipXfrm(args: readonly string[], ctx: IpContext): void {
  const [object = '', ...rest] = args;
  if (abbreviates(object, 'state') || object === 'sa') xfrmState(rest, ctx);
  else if (abbreviates(object, 'policy')) xfrmPolicy(rest, ctx);
  else if (abbreviates(object, 'monitor')) throw notEmulated('ip xfrm monitor');
  else throw usage(USAGE);
}
