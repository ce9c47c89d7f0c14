import { formatIp4 } from '../../protocols/ip4.ts';
import type { ToolContext } from './tool.ts';

export interface Target {
  /** As it was written. */
  readonly text: string;
  readonly addr: number;
  readonly kind: 'address' | 'name';
}

/** An address as inet_aton(3) reads it: `10.0.0.1`, `10.1`, `0x7f000001`. Null if it is none. */
export function inetAton(text: string): number | null {
  const parts = text.split('.');
  if (parts.length > 4) return null;
  const numbers: number[] = [];
  for (const part of parts) {
    if (/^0x[0-9a-f]+$/i.test(part)) numbers.push(Number.parseInt(part.slice(2), 16));
    else if (/^0[0-7]*$/.test(part)) numbers.push(Number.parseInt(part, 8));
    else if (/^[1-9]\d*$/.test(part)) numbers.push(Number(part));
    else return null;
  }
  const last = numbers.pop() ?? 0;
  if (numbers.some((number) => number > 255) || last >= 2 ** (32 - 8 * numbers.length)) return null;
  return numbers.reduce((addr, number, i) => addr + number * 2 ** (24 - 8 * i), last);
}

/** The address that a host argument means; null: no such name. */
export function resolve(ctx: ToolContext, text: string): Target | null {
  const numeric = inetAton(text);
  if (numeric !== null) return { text, addr: numeric, kind: 'address' };
  const addr = ctx.hosts?.(text) ?? null;
  return addr === null ? null : { text, addr, kind: 'name' };
}

/** The name of an address, as the resolver has it; what the user called the target is its name in any case. */
export function nameOf(ctx: ToolContext, addr: number, target: Target): string {
  const name = ctx.reverse?.(addr) ?? null;
  if (name !== null) return name;
  return target.kind === 'name' && addr === target.addr ? target.text : formatIp4(addr);
}
