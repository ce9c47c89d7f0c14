/** Columns as text/tabwriter aligns them for the client: at least ten wide, three apart, the last as it comes. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(10, ...rows.map((row) => (row[i] ?? '').length + 3)),
  );
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)));
      return `${cells.join('')}\n`;
    })
    .join('');
}

const SECOND = 1000;

/** go-units' HumanDuration: `5 seconds`, `About a minute`, `2 hours`. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / SECOND);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(minutes / 60 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** RFC 3339 with nanoseconds, as Go's RFC3339Nano prints it; year 1 for never. */
export function timestamp(ms: number | null): string {
  if (ms === null) return '0001-01-01T00:00:00Z';
  const whole = Math.floor(ms / SECOND) * SECOND;
  const nanos = String(Math.round((ms - whole) * 1_000_000))
    .padStart(9, '0')
    .replace(/0+$/, '');
  const base = new Date(whole).toISOString().slice(0, 19);
  return nanos === '' ? `${base}Z` : `${base}.${nanos}Z`;
}
