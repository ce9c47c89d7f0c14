import type { ToolOutput } from '../../../tools/tool.ts';
import type { Dockerd } from '../dockerd.ts';
import { DockerError } from '../error.ts';
import { inspectContainer, inspectNetwork } from '../inspect.ts';
import { inspectNode } from '../swarm/inspect-node.ts';
import { inspectService, inspectTask } from '../swarm/inspect-service.ts';
import { type CliCommand, CliError } from './command.ts';
import { parseTemplate } from './template.ts';

export const FORMAT_FLAG: CliCommand['flags'][number] = {
  name: 'format',
  short: 'f',
  type: 'string',
  help: 'Format the output using the given Go template',
};

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

/** @throws DockerError for a node that is no member */
export function inspectMember({ swarm, node }: Dockerd, ref: string): Record<string, unknown> {
  const { members } = swarm;
  const row = members.find(ref, node);
  return inspectNode(row, members.statusOf(row), members.leader);
}

/** What a manager knows beside. */
function swarmKinds(dockerd: Dockerd): [string, (ref: string) => Record<string, unknown>][] {
  const { swarm, services } = dockerd;
  if (swarm.refuseManager() !== null) return [];
  return [
    ['service', (ref) => inspectService(services.find(ref))],
    ['task', (ref) => inspectTask(services.store, ref)],
    ['node', (ref) => inspectMember(dockerd, ref)],
  ];
}

export const inspectCommand: CliCommand = {
  name: 'inspect',
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  help: 'Return low-level information on Docker objects',
  flags: [
    FORMAT_FLAG,
    { name: 'size', short: 's', type: 'bool', help: 'Display total file sizes if the type is container' },
    { name: 'type', type: 'string', help: 'Return JSON for specified type' },
  ],
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  run: (flags, { dockerd, out }) => {
    const type = flags.text('type');
    if (!['', 'container', 'network', 'node', 'service', 'task'].includes(type))
      throw new CliError(`${JSON.stringify(type)} is not a valid value for --type`);
    const { ledger } = dockerd;
    // In the order in which the client tries them where it is not told what it is.
    const kinds: readonly (readonly [string, (ref: string) => Record<string, unknown>])[] = [
      ['container', (ref) => inspectContainer(dockerd, ledger.container(ref))],
      ['network', (ref) => inspectNetwork(dockerd, ledger.network(ref))],
      ...swarmKinds(dockerd),
    ];
    const find = (ref: string) => {
      for (const [kind, inspect] of kinds) {
        if (type !== '' && type !== kind) continue;
        try {
          return inspect(ref);
        } catch (error) {
          if (!(error instanceof DockerError)) throw error;
        }
      }
      throw new DockerError(`No such object: ${ref}`);
    };
    const what = type === '' ? 'object' : type;
    out.exit(
      inspectAll(flags.args, flags.text('format'), out, find, (ref) => `Error: No such ${what}: ${ref}`),
    );
  },
};
