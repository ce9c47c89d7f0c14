import type { ConntrackTable } from '../../kernel/netfilter/conntrack.ts';
import type { Flow } from '../../kernel/netfilter/flow.ts';
import type { Command, ToolOutput } from '../tool.ts';
import { compileFilter, strtoul } from './filter.ts';
import { parseOutput } from './format.ts';
import { type ConntrackOptions, parseConntrackOptions } from './options.ts';
import { protocolName, protocolNumber } from './protocols.ts';
import { HELP, NAME, notEmulated } from './usage.ts';

/** conntrack(8) of conntrack-tools, on the flows of the namespace. */
export const conntrack: Command = (args, ctx, out) => {
  const options = parseConntrackOptions(args, (text) => {
    const number = protocolNumber(text);
    return number === null ? null : protocolName(number);
  });
  const table = ctx.ns.conntrack;
  switch (options.command) {
    case 'help':
      out.stdout(HELP);
      return 0;
    case 'version':
      out.stdout(`${NAME}\n`);
      return 0;
    case 'count':
      out.stdout(`${options.table === 'conntrack' ? table.count : 0}\n`);
      return 0;
    case 'stats':
      out.stdout(statistics(table));
      return 0;
    case 'flush':
      // The family that is named is not asked for (`ctnetlink_del_conntrack`: messages of version 0).
      if (options.table === 'conntrack') table.flush();
      out.stderr(`${NAME}: connection tracking table has been emptied.\n`);
      return 0;
    default:
      return onFlows(options, table, ctx.rt.now, out);
  }
};

/** Lists, deletes or updates what the options name. As conntrack itself, it fails where there was nothing to change. */
function onFlows(
  { command, table: name, values }: ConntrackOptions,
  table: ConntrackTable,
  now: number,
  out: Pick<ToolOutput, 'stdout' | 'stderr'>,
): number {
  const format = parseOutput(values.get('output') ?? '');
  // Of an update, the mark is what is to be, and names no flow.
  const named = command === 'update' ? new Map([...values].filter(([key]) => key !== 'mark')) : values;
  const matches = compileFilter(named);
  const flows = name === 'conntrack' ? table.flows().filter(matches) : [];
  const change = command === 'list' ? null : changeOf(command, values, table);
  for (const flow of flows) {
    change?.(flow);
    out.stdout(`${format(flow, now)}\n`);
  }
  const done = command === 'list' ? 'shown' : command === 'delete' ? 'deleted' : 'updated';
  out.stderr(`${NAME}: ${flows.length} flow entries have been ${done}.\n`);
  return command !== 'list' && flows.length === 0 ? 1 : 0;
}

function changeOf(
  command: ConntrackOptions['command'],
  values: ReadonlyMap<string, string>,
  table: ConntrackTable,
): (flow: Flow) => void {
  if (command === 'delete') return (flow) => table.destroy(flow);
  if (values.has('timeout') || values.has('status'))
    throw notEmulated('to set anything but the mark (-U -m) of a flow');
  const mark = strtoul(values.get('mark') ?? '0');
  return (flow) => {
    if (values.has('mark')) flow.mark = mark;
  };
}

function statistics({ stats }: ConntrackTable): string {
  const { invalid, insertFailed, drop, earlyDrop, error, clashResolve } = stats;
  return (
    `cpu=0   \tfound=0 invalid=${invalid} insert=0 insert_failed=${insertFailed} drop=${drop} ` +
    `early_drop=${earlyDrop} error=${error} search_restart=0 clash_resolve=${clashResolve} chaintoolong=0 \n`
  );
}
