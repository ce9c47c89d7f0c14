import { formatLinks } from '../format/links.ts';
import { ToolError } from '../tool.ts';
import { change, type IpContext, linksOf, netemOf, refused, requireDevice, takeDevice } from './context.ts';
import { linkAdd } from './link-add.ts';
import { linkSet } from './link-set.ts';
import { LinkSelection } from './selection.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { EXIT_USAGE, notEmulated, usage, type Words } from './words.ts';

const USAGE = `Usage: ip link add [link DEV] [ name ] NAME
		[ address LLADDR ]
		[ mtu MTU ]
		[ netns NAME ]
		type TYPE [ ARGS ]

	ip link delete { DEVICE | dev DEVICE }

	ip link set { DEVICE | dev DEVICE } [ { up | down } ]
		[ type { bridge | ipvlan | macvlan } ARGS ]
		[ name NEWNAME ]
		[ address LLADDR ]
		[ mtu MTU ]
		[ netns NAME ]
		[ master DEVICE ]
		[ nomaster ]

	ip link show [ DEVICE ] [up] [master DEV] [type TYPE] [nomaster]

TYPE := { bridge | dummy | gre | gretap | ipip | ipvlan | macvlan | veth | vlan |
	  vxlan | wireguard }`;

const LINK: Subcommands = {
  object: 'ip link',
  help: () => usage(USAGE),
  usual: 'show',
  commands: {
    add: linkAdd,
    set: linkSet,
    change: linkSet,
    replace: null,
    delete: remove,
    show,
    lst: show,
    list: show,
    xstats: null,
    afstats: null,
    property: null,
  },
};

/** `ip link`. @throws ToolError */
export function ipLink(args: readonly string[], ctx: IpContext): void {
  runSubcommand(LINK, args, ctx);
}

function show(words: Words, ctx: IpContext): void {
  const selection = new LinkSelection(ctx);
  for (let word = words.next(); word !== undefined; word = words.next()) selection.take(word, words);
  const { style, json, details } = ctx.options;
  const text = formatLinks(linksOf(ctx.ns), {
    ns: ctx.ns.name,
    netem: netemOf(ctx.ns),
    style,
    only: selection.matches,
    ...(json === undefined ? {} : { json }),
    ...(details === undefined ? {} : { details }),
  });
  ctx.out.stdout(text);
}

function remove(words: Words, ctx: IpContext): void {
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word === 'type') words.argument();
    else if (word === 'group') throw notEmulated('ip link delete group');
    else dev = takeDevice(dev, word === 'dev' ? words.argument() : word);
  }
  if (dev === null) throw new ToolError('Not enough information: "dev" argument is required.', EXIT_USAGE);
  const device = requireDevice(ctx.ns, dev);
  if (device.kind === 'loopback' || device.kind === 'ether')
    throw refused('RTNETLINK answers: Operation not supported');
  change(() => ctx.ns.removeDevice(device.name));
}
