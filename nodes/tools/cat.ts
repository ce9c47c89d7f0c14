import { getopt } from './getopt.ts';
import type { Command } from './tool.ts';
import { ToolError } from './tool.ts';

/** cat(1) on the files that the namespace has. `-` and no file at all are its standard input. */
export const cat: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: '', values: '' });
  if (!parsed.ok)
    throw new ToolError(`cat: invalid option -- '${parsed.name}'\nTry 'cat --help' for more information.`, 1);
  let code = 0;
  const paths = parsed.operands.length === 0 ? ['-'] : parsed.operands.map(({ text }) => text);
  for (const path of paths) {
    const text = path === '-' ? (ctx.stdin ?? '') : (ctx.files?.(path) ?? null);
    if (text === null) {
      out.stderr(`cat: ${path}: No such file or directory\n`);
      code = 1;
    } else out.stdout(text);
  }
  return code;
};
