/** A value of iproute2's JSON output. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** How a listing is written: plain, `-j`, or `-j -p`. */
export type JsonStyle = 'compact' | 'pretty';

/** JSON as iproute2's json_writer.c lays it out, with a newline at its end. */
export function formatJson(value: Json, style: JsonStyle): string {
  return `${style === 'compact' ? JSON.stringify(value) : pretty(value, 0)}\n`;
}

/** Objects are broken into lines, indented by four columns a level; arrays are not. */
function pretty(value: Json, depth: number): string {
  if (isArray(value)) {
    return value.length === 0 ? '[ ]' : `[ ${value.map((item) => pretty(item, depth + 1)).join(',')} ]`;
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const indent = ' '.repeat(4 * (depth + 1));
  const lines = Object.entries(value).map(
    ([key, item]) => `${indent}${JSON.stringify(key)}: ${pretty(item, depth + 1)}`,
  );
  return lines.length === 0 ? '{ }' : `{\n${lines.join(',\n')}\n${' '.repeat(4 * depth)}}`;
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
