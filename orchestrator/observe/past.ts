import { readFile } from 'node:fs/promises';
import { decode } from '../../bus/codec.ts';
import { connectBus } from '../../bus/connection.ts';
import { LogReader } from '../../bus/log.ts';
import { BusServer } from '../../bus/server.ts';
import { type AnyRecord, ORCHESTRATOR } from '../events.ts';
import type { LabHome } from '../home.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { projectRoot } from '../root.ts';
import { ensureNatsServer } from '../setup/nats-server.mjs';
import type { LogSource } from './time-travel.ts';

/** A lab's logs, opened for reading whether the lab runs or not. */
export interface OpenLog extends LogSource {
  readonly lab: CompiledLab;
  /** Present for logs on a bus; a simulated run has only what was written at its end. */
  readonly reader: LogReader<AnyRecord> | null;
  nameOf(number: number): string;
  close(): Promise<void>;
}

/** The logs of a simulated run, as its file holds them. */
export type SimulatedLog = Readonly<Record<string, readonly AnyRecord[]>>;

/**
 * Opens a lab's log: on the lab's own bus while it runs; from the file of a simulated run; else by a NATS server
 * that is started on the lab's store for as long as it takes.
 */
export async function openLog(home: LabHome): Promise<OpenLog> {
  const status = home.status();
  const lab = home.compiled();
  if (status?.shell === 'simulator') {
    const logs = decode(await readFile(home.simulatedLog)) as SimulatedLog;
    return source(lab, null, async function* (node) {
      yield* logs[node] ?? [];
    });
  }
  const borrowed = home.isRunning() || status?.busOwner === 'user';
  const server = borrowed
    ? null
    : await BusServer.start({ program: ensureNatsServer(projectRoot()), folder: home.natsFolder });
  const address = server ?? status?.bus ?? { url: '', token: '' };
  const nc = await connectBus({ url: address.url, token: address.token, name: 'log', echo: 'on' });
  const reader = new LogReader<AnyRecord>(nc, home.name);
  return source(
    lab,
    reader,
    (node) => reader.read(node),
    async () => {
      await nc.close();
      await server?.stop();
    },
  );
}

function source(
  lab: CompiledLab,
  reader: LogReader<AnyRecord> | null,
  records: (node: string) => AsyncIterable<AnyRecord>,
  close: () => Promise<void> = async () => {},
): OpenLog {
  const names = new Map([[0, ORCHESTRATOR], ...lab.nodes.map((node) => [node.number, node.name] as const)]);
  const numbers = new Map([...names].map(([number, name]) => [name, number]));
  return {
    lab,
    reader,
    records,
    close,
    numberOf: (node) => numbers.get(node),
    nameOf: (number) => names.get(number) ?? `#${number}`,
    startedAt: async () => {
      for await (const record of records(ORCHESTRATOR)) return record.at;
      return 0;
    },
  };
}
