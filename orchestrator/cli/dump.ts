import type { LabEvent } from '../../nodes/events/index.ts';
import { BgpFold } from '../../nodes/state/bgp-fold.ts';
import { compareKeys, formatKey, type PrefixKey } from '../../protocols/bgp/nlri.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import { type TablePath, tableDump } from '../../protocols/mrt/table.ts';
import { parseScoped } from '../../protocols/scoped-address.ts';
import { LabHome, LabHomeError } from '../home.ts';
import { isDaemon } from '../lab/external.ts';
import { MessageRecords } from '../mrt/messages.ts';
import { writeMrtFile } from '../mrt/write.ts';
import { type OpenLog, openLog } from '../observe/past.ts';
import { plural, write } from './output.ts';

export interface DumpOptions {
  readonly lab?: string;
  readonly mrt: string;
  /** The messages and state changes in the place of the table. */
  readonly updates?: true;
}

/**
 * `reroute dump NODE --mrt FILE`: what the node's peers have told it, as TABLE_DUMP_V2, or every message received and sent and
 * every change of state, as BGP4MP_ET. Read from the node's log, so also of a lab that is down. Exit code.
 */
export async function dump(node: string, options: DumpOptions): Promise<number> {
  const source = await openLog(LabHome.choose(options.lab, 'any'));
  try {
    const config = source.lab.nodes.find(({ name }) => name === node);
    if (config === undefined) {
      const known = source.lab.nodes.map(({ name }) => name).join(', ');
      throw new LabHomeError(`there is no node ${node} in this lab; nodes: ${known}`);
    }
    if (config.bgp === undefined) throw new LabHomeError(`${node} speaks no BGP`);
    if (isDaemon(config.role)) {
      const [neighbor] = config.bgp.neighbors;
      const mend = neighbor === undefined ? 'ask it itself' : `dump what it has told ${neighbor.name}`;
      throw new LabHomeError(`${node} is a real daemon and keeps no log here; ${mend}`);
    }
    const records = options.updates ? await messageRecords(source, node) : await tableRecords(source, node);
    await writeMrtFile(options.mrt, records);
    write(`${options.mrt}: ${plural(records.length, 'record')} of ${node}\n`);
    return 0;
  } finally {
    await source.close();
  }
}

async function tableRecords(source: OpenLog, node: string): Promise<Uint8Array[]> {
  const bgp = source.lab.nodes.find(({ name }) => name === node)?.bgp;
  const fold = new BgpFold();
  let timestamp = 0;
  for await (const { at, event } of source.records(node)) {
    timestamp = at;
    const known = event as LabEvent;
    if (known.type.startsWith('bgp.') || known.type === 'node.booted') {
      fold.apply(known as Parameters<BgpFold['apply']>[0]);
    }
  }
  const tables = fold.tables();
  const byPrefix = new Map<string, { readonly prefix: PrefixKey; readonly paths: TablePath[] }>();
  const peers = tables.map(({ peer, identifier }) => {
    const neighbor = bgp?.neighbors.find(({ name }) => name === peer);
    const address = parseScoped(neighbor?.address ?? peer)?.addr ?? 0;
    return { address, asn: neighbor?.remoteAs ?? 0, asSize: 4 as const, identifier };
  });
  for (const [peerIndex, { routes }] of tables.entries()) {
    for (const { key, pathId, attributes } of routes) {
      const text = formatKey(key);
      let row = byPrefix.get(text);
      if (row === undefined) {
        row = { prefix: key, paths: [] };
        byPrefix.set(text, row);
      }
      row.paths.push({
        peerIndex,
        originatedAt: timestamp,
        pathId: pathId === 0 ? null : pathId,
        attributes,
      });
    }
  }
  const routes = [...byPrefix.values()].sort((a, b) => compareKeys(a.prefix, b.prefix));
  const collector = parseIp4(bgp?.routerId ?? '') ?? 0;
  return [...tableDump({ timestamp, collector, viewName: node, peers, routes })];
}

async function messageRecords(source: OpenLog, node: string): Promise<Uint8Array[]> {
  const bgp = source.lab.nodes.find(({ name }) => name === node)?.bgp;
  if (bgp === undefined) return [];
  const records = new MessageRecords(bgp);
  const encoded: Uint8Array[] = [];
  for await (const { at, event } of source.records(node)) {
    const known = event as LabEvent;
    if (known.type !== 'bgp.received' && known.type !== 'bgp.sent' && known.type !== 'bgp.session') continue;
    const record = records.encode(at, known);
    if (record !== null) encoded.push(record);
  }
  return encoded;
}
