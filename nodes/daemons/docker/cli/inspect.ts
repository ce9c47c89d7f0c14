import type { ToolOutput } from '../../../tools/tool.ts';
import { DockerError } from '../error.ts';
import { inspectContainer, inspectNetwork } from '../inspect.ts';
import { type CliCommand, CliError } from './command.ts';
import { parseTemplate } from './template.ts';

/** Prints what there is of each, by the template if one is given; the exit code is 1 where one is not there. */
export function inspectAll(
  refs: readonly string[],
  format: string,
  out: Pick<ToolOutput, 'stdout' | 'stderr'>,
  find: (ref: string) => Record<string, unknown>,
  missing: (ref: string) => string,
): number {
  const template = format === '' ? null : parseTemplate(format === 'json' ? '{{json .}}' : format);
  const found: Record<string, unknown>[] = [];
  const errors: string[] = [];
  for (const ref of refs) {
    try {
      found.push(find(ref));
    } catch (error) {
      if (!(error instanceof DockerError)) throw error;
      errors.push(missing(ref));
    }
  }
  if (template === null) out.stdout(`${JSON.stringify(found, null, 4)}\n`);
  else for (const item of found) out.stdout(`${template.execute(item)}\n`);
  for (const error of errors) out.stderr(`${error}\n`);
  return errors.length === 0 ? 0 : 1;
}

export const inspectCommand: CliCommand = {
  name: 'inspect',
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  help: 'Return low-level information on Docker objects',
  flags: [
    { name: 'format', short: 'f', type: 'string', help: 'Format the output using the given Go template' },
    { name: 'size', short: 's', type: 'bool', help: 'Display total file sizes if the type is container' },
    { name: 'type', type: 'string', help: 'Return JSON for specified type' },
  ],
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  run: (flags, { dockerd, out }) => {
    const type = flags.text('type');
    if (!['', 'container', 'network'].includes(type))
      throw new CliError(`${JSON.stringify(type)} is not a valid value for --type`);
    const { ledger } = dockerd;
    const find = (ref: string) => {
      if (type === 'network') return inspectNetwork(dockerd, ledger.network(ref));
      try {
        return inspectContainer(dockerd, ledger.container(ref));
      } catch (error) {
        if (type === 'container' || !(error instanceof DockerError)) throw error;
        return inspectNetwork(dockerd, ledger.network(ref));
      }
    };
    const what = type === '' ? 'object' : type;
    out.exit(
      inspectAll(flags.args, flags.text('format'), out, find, (ref) => `Error: No such ${what}: ${ref}`),
    );
  },
};
