/** Words of a command line, divided by blanks; what stands in double quotes is one. */
export function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** Our iptables is the legacy one, which Linux has under another name. */
export function onLinux(command: string): string {
  return command.replace(/^(ip6?tables)(-save|-restore)?(?= |$)/, '$1-legacy$2');
}

/**
 * Until addresses that were added with `nodad` are good in Linux too: a worker makes their local routes (`addrconf_dad_completed`),
 * without which a packet for them is sent on. They are not `tentative` meanwhile.
 */
export const AWAIT_ADDRESSES = String.raw`
for i in $(seq 100); do
  routes=$(ip -6 route show table all type local)
  ip -6 -o addr show up | sed -n 's|^[0-9]*: *\([^ ]*\) *inet6 \([^/ ]*\).* nodad.*|local \2 dev \1 |p' | {
    while read -r route; do case "$routes" in *"$route "*) ;; *) exit 1 ;; esac; done
  } && break
  sleep 0.002
done`;

/** A shell line that says whether a command of ours is taken. */
export function takenOrRefused(command: string): string {
  return `${onLinux(command)} >/dev/null 2>&1 && echo taken || echo refused`;
}
