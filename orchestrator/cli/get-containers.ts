import type { DockerContainerFacts } from '../../nodes/events/docker.ts';
import type { GetOptions, Views } from './get.ts';
import { printAs, table } from './output.ts';

/** `reroute get containers`: those of every node's Docker Engine, by node and name. */
export function printContainers(views: Views, options: GetOptions): void {
  const data = [...views].flatMap(([node, view]) =>
    view.docker.containers
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((container) => ({ node, ...container })),
  );
  printAs(options.output, data, (wide) =>
    table(
      ['node', 'name', 'status', 'ip', 'ports', 'image', ...(wide === 'wide' ? ['networks', 'id'] : [])],
      data.map((row) => [
        row.node,
        row.name,
        row.state.status === 'exited' ? `exited (${row.state.exitCode})` : row.state.status,
        addresses(row),
        row.published.map(({ hostPort, port, proto }) => `${hostPort}->${port}/${proto}`).join(','),
        row.image,
        ...(wide === 'wide'
          ? [row.endpoints.map(({ network }) => network).join(','), row.id.slice(0, 12)]
          : []),
      ]),
    ),
  );
}

function addresses({ endpoints }: DockerContainerFacts): string {
  return endpoints.flatMap(({ address }) => (address === '' ? [] : [address.split('/')[0]])).join(',');
}
