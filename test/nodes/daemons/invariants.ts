import type { ExecutionContext } from 'ava';
import { formatIp4, parsePrefix } from '../../../protocols/ip4.ts';
import { parseBlock } from '../../../protocols/ipam/calico-block.ts';
import type { Lab } from './lab.ts';

/** What must hold at every moment, whatever has happened. */
export function checkAlways(t: ExecutionContext, lab: Lab): void {
  const holders = new Map<string, string>();
  for (const node of lab.nodes) {
    if (node.daemons === null) continue;
    t.deepEqual(
      node.daemons.snapshot(),
      node.fold.view(),
      `${node.name}: the fold of the log is not the state`,
    );
    for (const sandbox of node.daemons.snapshot().sandboxes) {
      if (sandbox.ip === '') continue;
      const name = `${sandbox.namespace}/${sandbox.pod} on ${node.name}`;
      t.is(holders.get(sandbox.ip), undefined, `${sandbox.ip} is held by ${name} too`);
      holders.set(sandbox.ip, name);
    }
  }
}

/** What must hold when no node has work left, and all are up. */
export function checkSettled(t: ExecutionContext, lab: Lab): void {
  checkAlways(t, lab);
  const inUse = new Set<string>();
  for (const node of lab.nodes) {
    const { sandboxes, ipam } = node.daemons!.snapshot();
    for (const sandbox of sandboxes) inUse.add(`${sandbox.ip} ${sandbox.containerId}`);
    const expected = sandboxes.map(({ ip, containerId }) => `${ip} ${containerId}`).sort();
    t.deepEqual(
      ipam.assigned.map(({ ip, handle }) => `${ip} ${handle}`).sort(),
      expected,
      `${node.name}: ledger`,
    );
    const namespaces = node.kernel.namespaces().map((ns) => ns.name);
    t.deepEqual(
      namespaces.slice(1).sort(),
      sandboxes.map((sandbox) => sandbox.netns).sort(),
      `${node.name}: namespaces`,
    );
  }
  if (lab.cni.type !== 'calico') return;
  const allocated = new Set<string>();
  for (const { value } of lab.store.list('ipam.blocks.>')) {
    const block = parseBlock(value)!;
    const base = parsePrefix(block.cidr)!.addr;
    for (const [ordinal, { handle }] of Object.entries(block.allocations)) {
      allocated.add(`${formatIp4(base + Number(ordinal))} ${handle}`);
    }
  }
  t.deepEqual([...allocated].sort(), [...inUse].sort(), 'addresses allocated in the store are those in use');
}
