import { formatBridgePorts } from '../format/bridge-ports.ts';
import { type IpContext, linksOf, takeDevice } from '../ip/context.ts';
import { EXIT_USAGE, garbage, keywordOf, notEmulated, usage, Words } from '../ip/words.ts';
import { ToolError } from '../tool.ts';

const USAGE = 'Usage: bridge link show [dev DEV]';

/** `bridge link`. @throws ToolError */
export function bridgeLink(args: readonly string[], ctx: IpContext): void {
  const [word, ...rest] = args;
  const command =
    word === undefined ? 'show' : keywordOf(word, ['set', 'show', 'lst', 'list', 'help'] as const);
  switch (command) {
    case 'set':
      throw notEmulated('bridge link set');
    case 'help':
      throw usage(USAGE);
    case undefined:
      throw new ToolError(`Command "${word}" is unknown, try "bridge link help".`, EXIT_USAGE);
    default:
      show(new Words(rest), ctx);
  }
}

function show(words: Words, ctx: IpContext): void {
  let dev: string | null = null;
  for (let word = words.next(); word !== undefined; word = words.next()) {
    if (word !== 'dev') throw garbage('dev', word);
    dev = takeDevice(dev, words.argument());
  }
  if (dev !== null && ctx.ns.device(dev) === undefined)
    throw new ToolError(`Cannot find device "${dev}"`, EXIT_USAGE);
  const { json } = ctx.options;
  const text = formatBridgePorts(linksOf(ctx.ns), {
    ns: ctx.ns.name,
    only: (link) => dev === null || link.name === dev,
    ...(json === undefined ? {} : { json }),
  });
  ctx.out.stdout(text);
}
