import type { CaptureCounts } from '../capture/recorder.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { formatEventId } from '../observe/format-event.ts';
import type { RunningLab } from '../running-lab.ts';
import { plural } from './output.ts';
import { withAddresses } from './target.ts';

export interface CaptureCliOptions {
  readonly lab?: string;
  readonly write: string;
  /** ms */
  readonly for?: number;
  readonly count?: number;
  readonly filter: string;
  readonly snapLength: number;
  readonly causes?: true;
  /** Command lines that begin with a node or a pod. */
  readonly exec: readonly string[];
  readonly simulate?: string;
  readonly recorded?: true;
  /** Moments, as `get --at` has them. */
  readonly from?: string;
  readonly to?: string;
}

/** What came of a capture. */
export function report({ delivered, received, accepted, dropped }: CaptureCounts): void {
  const filtered = received - accepted;
  const parts = [
    `${plural(delivered, 'frame')} captured`,
    ...(filtered > 0 ? [`${filtered} not wanted by the filter`] : []),
    `${dropped} dropped`,
  ];
  say(parts.join(', '));
}

const MAX_NAMES = 6;

export function shortList(names: readonly string[]): string {
  const more = names.length - MAX_NAMES;
  return `${names.slice(0, MAX_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** To standard error: standard output may be the capture's own. */
export function say(text: string): void {
  process.stderr.write(`reroute: ${text}\n`);
}

/** `host @web-1`: the words of a filter that begin with @ become addresses of pods. */
export async function withPodAddresses(lab: RunningLab, filter: string): Promise<string> {
  const parts = filter.split(/([\s()!]+)/);
  return (await withAddresses(lab, parts)).join('');
}

/** Text of a packet's comment, where the user wants them. */
export function causeComment(compiled: CompiledLab, options: CaptureCliOptions): (cause: number) => string {
  const names = ['orchestrator', ...compiled.nodes.map((node) => node.name)];
  const nameOf = (number: number) => names[number] ?? `node ${number}`;
  return (cause) => (options.causes && cause !== 0 ? `caused by ${formatEventId(cause, nameOf)}` : '');
}
