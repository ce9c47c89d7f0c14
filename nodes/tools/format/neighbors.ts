import type { NeighborFacts } from '../../events/kernel.ts';
import { formatJson, type JsonStyle } from './json.ts';

interface NeighborFormat {
  readonly json?: JsonStyle;
  /** Left out when the listing is of one device. */
  readonly dev?: 'shown' | 'hidden';
}

/** Text of `ip neigh show`, byte for byte as iproute2 6.1 prints it, in the order given. */
export function formatNeighbors(neighbors: readonly NeighborFacts[], format: NeighborFormat = {}): string {
  const hidden = format.dev === 'hidden';
  if (format.json !== undefined) {
    const objects = neighbors.map(({ ip, dev, mac, state }) => ({
      dst: ip,
      ...(hidden ? {} : { dev }),
      ...(mac === '' ? {} : { lladdr: mac }),
      state: [state],
    }));
    return formatJson(objects, format.json);
  }
  return neighbors
    .map(({ ip, dev, mac, state }) => {
      const lladdr = mac === '' ? '' : `lladdr ${mac} `;
      return `${ip} ${hidden ? '' : `dev ${dev} `}${lladdr}${state} \n`;
    })
    .join('');
}
