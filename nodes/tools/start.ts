import { arping } from './arping.ts';
import { bridge } from './bridge/bridge.ts';
import { cat } from './cat.ts';
import { conntrack } from './conntrack/conntrack.ts';
import { curl } from './curl.ts';
import { dmesg } from './dmesg.ts';
import { dig } from './dns/dig.ts';
import { getent } from './dns/getent.ts';
import { nslookup } from './dns/nslookup.ts';
import { hostname } from './hostname.ts';
import { ip } from './ip/ip.ts';
import { netnsExec } from './ip/netns.ts';
import { xfrmMonitor } from './ip/xfrm/xfrm.ts';
import { iperf } from './iperf/iperf.ts';
import { ipset } from './ipset/ipset.ts';
import {
  ip6tables,
  ip6tablesRestore,
  ip6tablesSave,
  iptables,
  iptablesRestore,
  iptablesSave,
} from './iptables/iptables.ts';
import { ipvsadm, ipvsadmRestore, ipvsadmSave } from './ipvsadm/ipvsadm.ts';
import { nc } from './nc.ts';
import { arp } from './net-tools/arp.ts';
import { ifconfig } from './net-tools/ifconfig.ts';
import { netstat } from './net-tools/netstat.ts';
import { route } from './net-tools/route.ts';
import { ping } from './ping.ts';
import { echo, grep, headOrTail, printf, sleep, wc } from './shell/coreutils.ts';
import { shell } from './shell/sh.ts';
import { ss } from './ss.ts';
import { sysctl } from './sysctl.ts';
import { tc } from './tc.ts';
import { tcpdump } from './tcpdump/tcpdump.ts';
import {
  type Command,
  ENDED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  type ToolOutput,
} from './tool.ts';
import { traceroute } from './traceroute.ts';
import { extractHandshakes } from './wg/extract-handshakes.ts';
import { wg } from './wg/wg.ts';
import { wget } from './wget.ts';

const tools: ReadonlyMap<string, Tool> = new Map([
  ['ping', ping],
  ['iperf', iperf],
  ['ipset', atOnce(ipset)],
  ['ipvsadm', atOnce(ipvsadm)],
  ['ipvsadm-save', atOnce(ipvsadmSave)],
  ['ipvsadm-restore', atOnce(ipvsadmRestore)],
  ['iptables', atOnce(iptables)],
  ['iptables-legacy', atOnce(iptables)],
  ['iptables-save', atOnce(iptablesSave)],
  ['iptables-restore', atOnce(iptablesRestore)],
  ['iptables-legacy-save', atOnce(iptablesSave)],
  ['iptables-legacy-restore', atOnce(iptablesRestore)],
  ['ip6tables', atOnce(ip6tables)],
  ['ip6tables-legacy', atOnce(ip6tables)],
  ['ip6tables-save', atOnce(ip6tablesSave)],
  ['ip6tables-restore', atOnce(ip6tablesRestore)],
  ['ip6tables-legacy-save', atOnce(ip6tablesSave)],
  ['ip6tables-legacy-restore', atOnce(ip6tablesRestore)],
  ['dmesg', atOnce(dmesg)],
  ['traceroute', traceroute],
  ['curl', curl],
  ['tcpdump', tcpdump],
  ['arping', arping],
  ['dig', dig],
  ['ss', atOnce(ss)],
  ['netstat', atOnce(netstat)],
  ['arp', arp],
  ['ifconfig', atOnce(ifconfig)],
  ['route', atOnce(route)],
  ['nslookup', nslookup],
  ['getent', getent],
  ['wget', wget],
  ['wg', atOnce(wg)],
  ['extract-handshakes', atOnce(extractHandshakes)],
  ['nc', nc],
  ['netcat', nc],
  ['sh', shell(startInShell)],
  ['bash', shell(startInShell)],
  ['ash', shell(startInShell)],
  ['echo', atOnce(echo)],
  ['printf', atOnce(printf)],
  ['true', atOnce(() => 0)],
  ['false', atOnce(() => 1)],
  ['sleep', sleep],
  ['head', atOnce(headOrTail('head'))],
  ['tail', atOnce(headOrTail('tail'))],
  ['wc', atOnce(wc)],
  ['grep', atOnce(grep)],
  ['ip', endingOnError(ipOrExec)],
  ['bridge', atOnce(bridge)],
  ['hostname', atOnce(hostname)],
  ['cat', atOnce(cat)],
  ['sysctl', atOnce(sysctl)],
  ['tc', atOnce(tc)],
  ['conntrack', atOnce(conntrack)],
]);

/** What there is to run, by name. */
export const toolNames: readonly string[] = [...tools.keys()].sort();

/** No such executable; docker exec's and kubectl exec's exit code too. */
const EXIT_NOT_FOUND = 127;

/**
 * Runs a command line in a namespace, as `docker exec` would. Output comes as the tool writes it, from within this
 * call or from the kernel's timers; `exit` ends it. A command that is not there exits 127, bad usage as the tool's own.
 */
export function startTool(argv: readonly string[], ctx: ToolContext, out: ToolOutput): RunningTool {
  const [name = '', ...args] = argv;
  const tool = tools.get(name.slice(name.lastIndexOf('/') + 1));
  if (tool === undefined) {
    const reason = name.includes('/') ? 'no such file or directory' : 'executable file not found in $PATH';
    out.stderr(`exec: ${JSON.stringify(name)}: ${reason}\nThere are: ${toolNames.join(', ')}\n`);
    out.exit(EXIT_NOT_FOUND);
    return ENDED;
  }
  return tool(args, ctx, out);
}

/** The same for a command of a script, where the shell is the one to say that there is no such. */
function startInShell(argv: readonly string[], ctx: ToolContext, out: ToolOutput): RunningTool {
  const [name = ''] = argv;
  if (tools.has(name.slice(name.lastIndexOf('/') + 1))) return startTool(argv, ctx, out);
  out.stderr(`sh: 1: ${name}: not found\n`);
  out.exit(EXIT_NOT_FOUND);
  return ENDED;
}

/** `ip netns exec` runs a tool that may take its time, and `ip xfrm monitor` is one. */
function ipOrExec(args: readonly string[], ctx: ToolContext, out: ToolOutput): RunningTool {
  const inner = netnsExec(args, ctx);
  const monitor = xfrmMonitor(args, ctx, out);
  if (monitor !== null) return monitor;
  return inner === null ? atOnce(ip)(args, ctx, out) : startTool(inner.argv, inner.ctx, out);
}

function atOnce(command: Command): Tool {
  return endingOnError((args, ctx, out) => {
    out.exit(command(args, ctx, out));
    return ENDED;
  });
}
