import { formatJson } from '../format/json.ts';
import type { ToolContext } from '../tool.ts';
import { ToolError } from '../tool.ts';
import type { IpContext } from './context.ts';
import { openNamespace } from './namespaces.ts';
import { runSubcommand, type Subcommands } from './subcommand.ts';
import { abbreviates, EXIT_ARGUMENT, notEmulated, usage, type Words } from './words.ts';

const USAGE = `Usage:	ip netns list
	ip netns add NAME
	ip netns delete NAME
	ip netns exec NAME cmd ...`;

const NETNS: Subcommands = {
  object: 'ip netns',
  help: () => usage(USAGE),
  usual: 'list',
  commands: {
    list,
    show: list,
    lst: list,
    'list-id': null,
    add,
    set: null,
    delete: remove,
    identify: null,
    pids: null,
    exec: () => {
      throw notEmulated('ip netns exec with options before it');
    },
    monitor: null,
    attach: null,
  },
};

/** `ip netns`, but for `exec`. @throws ToolError */
export function ipNetns(args: readonly string[], ctx: IpContext): void {
  runSubcommand(NETNS, args, ctx);
}

/** What `ip netns exec NAME COMMAND` runs, and where; null for any other command line. @throws ToolError */
export function netnsExec(
  args: readonly string[],
  ctx: ToolContext,
): { readonly argv: readonly string[]; readonly ctx: ToolContext } | null {
  const [object = '', command = '', name, ...argv] = args;
  if (object.length < 3 || !abbreviates(object, 'netns') || !abbreviates(command, 'exec')) return null;
  if (name === undefined) throw new ToolError('No netns name specified', EXIT_ARGUMENT);
  if (argv.length === 0) throw new ToolError('No command specified', EXIT_ARGUMENT);
  return { argv, ctx: { ...ctx, ns: openNamespace(ctx, name) } };
}

/** The newest first, as the directory has them. */
function list(_: Words, ctx: IpContext): void {
  const names = ctx.tool.kernel
    .namespaces()
    .map(({ name }) => name)
    .filter((name) => name !== '')
    .reverse();
  const { json } = ctx.options;
  if (json === undefined) ctx.out.stdout(names.map((name) => `${name}\n`).join(''));
  else
    ctx.out.stdout(
      formatJson(
        names.map((name) => ({ name })),
        json,
      ),
    );
}

function nameOf(words: Words): string {
  const name = words.next();
  if (name === undefined) throw new ToolError('No netns name specified', EXIT_ARGUMENT);
  if (name === '' || name === '.' || name === '..' || name.includes('/'))
    throw new ToolError(`Invalid netns name "${name}"`, EXIT_ARGUMENT);
  return name;
}

function add(words: Words, ctx: IpContext): void {
  const name = nameOf(words);
  const { kernel } = ctx.tool;
  if (kernel.netns(name) !== undefined)
    throw new ToolError(`Cannot create namespace file "/run/netns/${name}": File exists`, EXIT_ARGUMENT);
  kernel.addNetns(name);
}

function remove(words: Words, ctx: IpContext): void {
  const name = nameOf(words);
  const { kernel } = ctx.tool;
  if (kernel.netns(name) === undefined)
    throw new ToolError(
      `Cannot remove namespace file "/run/netns/${name}": No such file or directory`,
      EXIT_ARGUMENT,
    );
  kernel.removeNetns(name);
}
