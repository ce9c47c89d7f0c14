import { ENGINE_VERSION } from '../cli/version.ts';
import type { NodeRow, NodeStatusRow } from './rows.ts';
import { MANAGER_PORT } from './sessions.ts';

/** `docker node inspect`, key by key in the Engine API's order, as far as there is anything to say. */
export function inspectNode(node: NodeRow, status: NodeStatusRow, leader: string): Record<string, unknown> {
  const { id, hostname, address, role, availability, labels } = node;
  return {
    ID: id,
    Spec: { Labels: labels, Role: role, Availability: availability },
    Description: {
      Hostname: hostname,
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Engine: {
        EngineVersion: ENGINE_VERSION,
        Plugins: ['bridge', 'host', 'ipvlan', 'macvlan', 'null', 'overlay'].map((name) => ({
          Type: 'Network',
          Name: name,
        })),
      },
    },
    Status: {
      State: status.state,
      ...(status.message === '' ? {} : { Message: status.message }),
      Addr: address,
    },
    ...(role === 'manager'
      ? {
          ManagerStatus: {
            ...(leader === hostname ? { Leader: true } : {}),
            Reachability: status.state === 'down' ? 'unreachable' : 'reachable',
            Addr: `${address}:${MANAGER_PORT}`,
          },
        }
      : {}),
  };
}
