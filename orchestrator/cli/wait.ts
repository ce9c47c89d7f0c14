import type { Convergence } from '../observe/quiescence.ts';
import { bad, humanTime } from './output.ts';

/** What `reroute wait` says of how it ended. `within` is how long it was to wait, ms. */
export function waitText({ converged, waited, reasons, sessionsDown }: Convergence, within: number): string {
  if (!converged) return `${bad('not converged')} within ${humanTime(within)}:${indented(reasons)}\n`;
  const text = `converged after ${humanTime(waited)}`;
  if (sessionsDown.length === 0) return `${text}\n`;
  return `${text}, with BGP sessions that are not established:${indented(sessionsDown)}\n`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `\n  ${line}`).join('');
}
