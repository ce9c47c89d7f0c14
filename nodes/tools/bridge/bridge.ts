import type { IpContext, IpOptions } from '../ip/context.ts';
import { abbreviates, EXIT_USAGE, keywordOf, notEmulated, usage } from '../ip/words.ts';
import type { Command } from '../tool.ts';
import { ToolError } from '../tool.ts';
import { bridgeFdb } from './fdb.ts';
import { bridgeLink } from './link.ts';

const OBJECTS = ['link', 'fdb', 'mdb', 'vlan', 'vni', 'monitor', 'help'];

const USAGE = `Usage: bridge [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { link | fdb }
       OPTIONS := { -V[ersion] | -o[neline] | -p[retty] | -j[son] }`;

const VERSION = 'bridge utility, 6.1.0, reroute';

/** bridge(8) of iproute2: link, fdb. */
export const bridge: Command = (args, ctx, out) => {
  const seen = new Set<string>();
  let at = 0;
  for (; args[at]?.startsWith('-'); at++) {
    const name = args[at]!.replace(/^--?/, '');
    if (name === 'c' || abbreviates(name, 'compressvlans') || name.startsWith('color')) continue;
    const known = ['Version', 'oneline', 'json', 'pretty'].find((keyword) => abbreviates(name, keyword));
    if (known !== undefined) seen.add(known);
    else if (abbreviates(name, 'help')) throw usage(USAGE);
    else if (
      ['statistics', 'details', 'timestamp', 'netns', 'batch', 'force'].some((word) =>
        abbreviates(name, word),
      )
    )
      throw notEmulated(`bridge -${name}`);
    else throw new ToolError(`Option "-${name}" is unknown, try "bridge help".`, EXIT_USAGE);
  }
  if (seen.has('Version')) {
    out.stdout(`${VERSION}\n`);
    return 0;
  }
  const [word, ...words] = args.slice(at);
  if (word === undefined) throw usage(USAGE);
  const object = keywordOf(word, OBJECTS);
  const options: IpOptions = {
    family: 'any',
    style: seen.has('oneline') ? 'oneline' : 'full',
    ...(seen.has('json') ? { json: seen.has('pretty') ? 'pretty' : 'compact' } : {}),
  };
  const context: IpContext = { tool: ctx, ns: ctx.ns, options, out };
  switch (object) {
    case 'link':
      bridgeLink(words, context);
      return 0;
    case 'fdb':
      bridgeFdb(words, context);
      return 0;
    case 'help':
      throw usage(USAGE);
    case undefined:
      throw new ToolError(`Object "${word}" is unknown, try "bridge help".`, EXIT_USAGE);
    default:
      throw notEmulated(`bridge ${object}`);
  }
};
