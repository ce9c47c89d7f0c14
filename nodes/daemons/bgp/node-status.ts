import type { BgpSpeaker } from '../../../protocols/bgp/speaker.ts';
import type { BgpConfig } from '../../config.ts';
import { protocolInfo, protocolState, since } from './format.ts';

const HEAD = ['PEER ADDRESS', 'PEER TYPE', 'STATE', 'SINCE', 'INFO'];

/** The text of `calicoctl node status`: one row a neighbour, in order of configuration. */
export function nodeStatus(config: BgpConfig, speaker: BgpSpeaker, now: number): string {
  const rows: Record<'4' | '6', string[][]> = { 4: [], 6: [] };
  for (const { name, address, type } of config.neighbors) {
    const session = speaker.session(name);
    if (session === undefined) continue;
    const { state, error } = protocolInfo(session);
    const info = error === '' ? state : `${state} ${error}`;
    rows[address.includes(':') ? '6' : '4'].push([
      address,
      type,
      protocolState(session),
      since(session.since, now),
      info,
    ]);
  }
  const status = (version: '4' | '6') =>
    `IPv${version} BGP status\n${rows[version].length === 0 ? `No IPv${version} peers found.\n` : table(rows[version])}\n`;
  return `Calico process is running.\n\n${status('4')}${status('6')}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = HEAD.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+\n`;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const head = line(HEAD.map((title, i) => centered(title, widths[i] ?? 0)));
  const body = rows.map((row) => line(row.map((cell, i) => cell.padEnd(widths[i] ?? 0))));
  return `${rule}${head}${rule}${body.join('')}${rule}`;
}

function centered(text: string, width: number): string {
  return text.padStart(text.length + Math.floor((width - text.length) / 2)).padEnd(width);
}
