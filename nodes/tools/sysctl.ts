import type { Netns } from '../kernel/netns.ts';
import { SysctlError } from '../kernel/sysctl.ts';
import { getopt } from './getopt.ts';
import type { Command } from './tool.ts';
import { ToolError } from './tool.ts';

const USAGE = `Usage:
 sysctl [options] [variable[=value] ...]

Options:
  -a, --all     display all variables
  -e, --ignore  ignore unknown variables errors
  -n, --values  print only values of the given variable(s)
  -N, --names   print only variable names without values
  -q, --quiet   do not echo variable set
  -w, --write   enable writing a value to variable`;

const LONG: Readonly<Record<string, string>> = {
  all: 'a',
  ignore: 'e',
  values: 'n',
  names: 'N',
  quiet: 'q',
  write: 'w',
};

/** Where net.ipv4 is below /proc/sys. */
const ROOT = 'net/ipv4/';

/** sysctl(8) of procps, on the variables of `net.ipv4` that the emulated kernel has. */
export const sysctl: Command = (args, ctx, out) => {
  const parsed = getopt(args, { flags: ['a', 'e', 'n', 'N', 'q', 'w', ...Object.keys(LONG)], values: '' });
  if (!parsed.ok) throw new ToolError(`sysctl: unknown option -- '${parsed.name}'\n${USAGE}`, 1);
  const flags = new Set(parsed.options.map(({ name }) => LONG[name] ?? name));
  const show = (path: string, value: number) => {
    const name = flags.has('n') ? '' : swapped(path);
    const text = flags.has('N') ? '' : String(value);
    out.stdout(`${name}${name !== '' && text !== '' ? ' = ' : ''}${text}\n`);
  };
  if (flags.has('a')) {
    for (const path of paths(ctx.ns)) show(path, read(ctx.ns, path));
    return 0;
  }
  if (parsed.operands.length === 0) throw new ToolError(USAGE, 1);
  let code = 0;
  for (const { text } of parsed.operands) {
    const [variable = '', value] = text.split(/=(.*)/s);
    const path = pathOf(variable.trim());
    const problem = (): string | null => {
      if (!paths(ctx.ns).includes(path))
        return flags.has('e') ? '' : `cannot stat /proc/sys/${path}: No such file or directory`;
      if (value === undefined && flags.has('w')) return `"${text}" must be of the form name=value`;
      if (value !== undefined && !write(ctx.ns, path, value.trim()))
        return `setting key "${swapped(path)}": Invalid argument`;
      return null;
    };
    const complaint = problem();
    if (complaint === null) {
      if (value === undefined || !flags.has('q')) show(path, read(ctx.ns, path));
    } else if (complaint !== '') {
      out.stderr(`sysctl: ${complaint}\n`);
      code = 1;
    }
  }
  return code;
};

/** The file of a variable: `net.ipv4.conf.flannel/1.proxy_arp` and `net/ipv4/conf/flannel.1/proxy_arp` are one. */
function pathOf(variable: string): string {
  return /[./]/.exec(variable)?.[0] === '/' ? variable : swapped(variable);
}

function swapped(text: string): string {
  return text.replace(/[./]/g, (mark) => (mark === '.' ? '/' : '.'));
}

/** The files of all variables, in order. */
function paths(ns: Netns): string[] {
  const own = ns.sysctls.names('').map((name) => `${ROOT}${swapped(name)}`);
  const ofDevices = ns
    .devices()
    .flatMap(({ name: dev }) => ns.sysctls.names(dev).map((name) => `${ROOT}conf/${dev}/${name}`));
  return [...own, ...ofDevices].sort();
}

function keyOf(path: string): { readonly dev: string; readonly name: string } {
  const name = path.slice(ROOT.length);
  const [, dev = '', own = ''] = /^conf\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
  return dev === '' || dev === 'all' ? { dev: '', name: swapped(name) } : { dev, name: own };
}

function read(ns: Netns, path: string): number {
  const { dev, name } = keyOf(path);
  return ns.sysctls.get(dev, name);
}

/** False if the variable does not take the value. */
function write(ns: Netns, path: string, value: string): boolean {
  const { dev, name } = keyOf(path);
  try {
    ns.sysctls.set(dev, name, /^\d{1,10}$/.test(value) ? Number(value) : -1);
    return true;
  } catch (error) {
    if (error instanceof SysctlError) return false;
    throw error;
  }
}
