import { fromEvent, take, takeUntil } from 'rxjs';
import { type AnyRecord, ORCHESTRATOR } from '../events.ts';
import { LabHome, LabHomeError } from '../home.ts';
import { formatRecord } from '../observe/format-event.ts';
import { type OpenLog, openLog } from '../observe/past.ts';
import { write } from './output.ts';

export interface LogOptions {
  readonly node?: string;
  readonly follow?: true;
  readonly output: 'table' | 'json';
}

/** `reroute log`: the events of a lab in order of time. */
export async function log(name: string | undefined, options: LogOptions): Promise<void> {
  const source = await openLog(LabHome.choose(name, 'any'));
  try {
    if (options.node !== undefined && source.numberOf(options.node) === undefined) {
      throw new LabHomeError(
        `there is no node ${options.node} in this lab; nodes: ${ORCHESTRATOR}, ${source.lab.nodes.map((node) => node.name).join(', ')}`,
      );
    }
    const start = await source.startedAt();
    const print = (record: AnyRecord) => {
      write(
        options.output === 'json'
          ? `${JSON.stringify(record, (_key, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value))}\n`
          : `${formatRecord(record, start, source.nameOf)}\n`,
      );
    };
    if (options.follow) await follow(source, options.node ?? null, print);
    else for (const record of await collect(source, options.node)) print(record);
  } finally {
    await source.close();
  }
}

async function collect(source: OpenLog, node: string | undefined): Promise<AnyRecord[]> {
  const names =
    node !== undefined ? [node] : [ORCHESTRATOR, ...source.lab.nodes.map((config) => config.name)];
  const records: AnyRecord[] = [];
  for (const name of names) for await (const record of source.records(name)) records.push(record);
  return records.sort((a, b) => a.at - b.at || a.id - b.id);
}

function follow(source: OpenLog, node: string | null, print: (record: AnyRecord) => void): Promise<void> {
  const { reader } = source;
  if (reader === null) throw new LabHomeError('a simulated run has ended; there is nothing to follow');
  return new Promise((resolve, reject) => {
    reader
      .follow(node, 'beginning')
      .pipe(takeUntil(fromEvent(process, 'SIGINT').pipe(take(1))))
      .subscribe({
        next: (batch) => {
          for (const record of batch) print(record);
        },
        error: reject,
        complete: () => resolve(),
      });
  });
}
