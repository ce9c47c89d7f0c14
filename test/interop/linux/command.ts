/** Words of a command line, divided by blanks; what stands in double quotes is one. */
export function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** Our iptables is the legacy one, which Linux has under another name. */
export function onLinux(command: string): string {
  return command.replace(/^(ip6?tables)(-save|-restore)?(?= |$)/, '$1-legacy$2');
}

/** Until addresses that were added with `nodad` are good in Linux too: a worker sees to that. */
export const AWAIT_ADDRESSES =
  'for i in $(seq 100); do ip -6 addr show tentative | grep -q nodad || break; sleep 0.002; done';

/** A shell line that says whether a command of ours is taken. */
export function takenOrRefused(command: string): string {
  return `${onLinux(command)} >/dev/null 2>&1 && echo taken || echo refused`;
}
