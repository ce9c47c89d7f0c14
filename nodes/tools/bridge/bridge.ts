import type { IpContext, IpOptions } from '../ip/context.ts';
import { openNamespace } from '../ip/namespaces.ts';
import { abbreviates, EXIT_USAGE, keywordOf, notEmulated, usage } from '../ip/words.ts';
import type { Command } from '../tool.ts';
import { ToolError } from '../tool.ts';
import { bridgeFdb } from './fdb.ts';
import { bridgeLink } from './link.ts';
import { bridgeVlan } from './vlan.ts';

const OBJECTS = ['link', 'fdb', 'mdb', 'vlan', 'vni', 'monitor', 'help'];

const USAGE = `Usage: bridge [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { link | fdb | vlan }
       OPTIONS := { -V[ersion] | -d[etails] | -o[neline] | -c[ompressvlans] |
                    -n[etns] name | -p[retty] | -j[son] }`;

const VERSION = 'bridge utility, 6.1.0, reroute';

/** bridge(8) of iproute2: link, fdb, vlan. */
export const bridge: Command = (args, ctx, out) => {
  const seen = new Set<string>();
  let netns: string | null = null;
  let at = 0;
  for (; args[at]?.startsWith('-'); at++) {
    const name = args[at]!.replace(/^--?/, '');
    // Asked for before `-compressvlans`, whose first letters it has: colours there are none.
    if (abbreviates(name, 'color') || name.startsWith('color=')) continue;
    if (name !== '' && abbreviates(name, 'netns')) {
      netns = args[++at] ?? '';
      continue;
    }
    const known = ['Version', 'oneline', 'json', 'pretty', 'details', 'compressvlans'].find((keyword) =>
      abbreviates(name, keyword),
    );
    if (known !== undefined) seen.add(known);
    else if (abbreviates(name, 'help')) throw usage(USAGE);
    else if (['statistics', 'timestamp', 'batch', 'force'].some((word) => abbreviates(name, word)))
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
    ...(seen.has('details') ? { details: 'shown' as const } : {}),
    ...(seen.has('compressvlans') ? { ranges: 'compressed' as const } : {}),
    ...(seen.has('json') ? { json: seen.has('pretty') ? 'pretty' : 'compact' } : {}),
  };
  const ns = netns === null ? ctx.ns : openNamespace(ctx, netns);
  const context: IpContext = { tool: { ...ctx, ns }, ns, options, out };
  switch (object) {
    case 'link':
      bridgeLink(words, context);
      return 0;
    case 'fdb':
      bridgeFdb(words, context);
      return 0;
    case 'vlan':
      bridgeVlan(words, context);
      return 0;
    case 'help':
      throw usage(USAGE);
    case undefined:
      throw new ToolError(`Object "${word}" is unknown, try "bridge help".`, EXIT_USAGE);
    default:
      throw notEmulated(`bridge ${object}`);
  }
};
