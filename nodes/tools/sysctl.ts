import type { Netns } from '../kernel/netns.ts';
import { SysctlError, type SysctlName } from '../kernel/sysctl.ts';
import { getopt } from './getopt.ts';
import type { Command } from './tool.ts';
import { ToolError } from './tool.ts';

const USAGE = `Usage:
 sysctl [options] [variable[=value] ...]

Options:
  -a, --all            display all variables
  -b, --binary         print value without new line
  -e, --ignore         ignore unknown variables errors
  -N, --names          print variable names without values
  -n, --values         print only values of the given variable(s)
  -q, --quiet          do not echo variable set
  -r, --pattern <expression>
                       select setting that match expression
  -w, --write          only enable writing a value to variable`;

const LONG: Readonly<Record<string, string>> = {
  all: 'a',
  binary: 'b',
  ignore: 'e',
  values: 'n',
  names: 'N',
  quiet: 'q',
  pattern: 'r',
  write: 'w',
};

/** Where the variables are below /proc/sys. */
const ROOT = 'net/';

/** sysctl(8) of procps 4.0, on the variables below `net` that the emulated kernel has. */
export const sysctl: Command = (args, ctx, out) => {
  const flagNames = Object.entries(LONG)
    .flat()
    .filter((name) => name !== 'r' && name !== 'pattern');
  const parsed = getopt(args, { flags: flagNames, values: ['r', 'pattern'] });
  if (!parsed.ok) throw new ToolError(`sysctl: invalid option -- '${parsed.name}'\n${USAGE}`, 1);
  const flags = new Set(parsed.options.map(({ name }) => LONG[name] ?? name));
  const expression = parsed.options.find(({ name }) => (LONG[name] ?? name) === 'r')?.value;
  const pattern = expression === undefined ? null : patternOf(expression);
  const show = (path: string, value: string) => {
    const name = flags.has('n') || flags.has('b') ? '' : swapped(path);
    const text = flags.has('N') ? '' : value;
    const separator = name !== '' && !flags.has('N') ? ' = ' : '';
    out.stdout(`${name}${separator}${text}${flags.has('b') ? '' : '\n'}`);
  };
  const variables = variablesOf(ctx.ns);
  const read = (path: string) => {
    if (pattern === null || pattern.test(swapped(path))) show(path, textOf(ctx.ns, variables.get(path)!));
  };
  if (flags.has('a')) {
    for (const path of variables.keys()) read(path);
    return 0;
  }
  if (parsed.operands.length === 0)
    throw new ToolError("sysctl: no variables specified\nTry `sysctl --help' for more information.", 1);
  let code = 0;
  const complain = (text: string) => {
    out.stderr(`sysctl: ${text}\n`);
    code = 1;
  };
  for (const { text } of parsed.operands) {
    const [variable = '', value] = text.split(/=(.*)/s);
    const path = pathOf(variable.trim());
    const found = variables.get(path);
    const below = [...variables.keys()].filter((name) => name.startsWith(`${path}/`));
    if (found === undefined && (below.length === 0 || value !== undefined)) {
      if (!flags.has('e')) complain(`cannot stat /proc/sys/${path}: No such file or directory`);
    } else if (value === undefined) {
      if (flags.has('w')) complain(`"${text}" must be of the form name=value`);
      else for (const name of found === undefined ? below : [path]) read(name);
    } else if (found !== undefined) {
      const written = value.trim();
      if (!write(ctx.ns, found, written)) complain(`setting key "${swapped(path)}": Invalid argument`);
      // As it was given, whatever the kernel made of it.
      else if (!flags.has('q')) show(path, written);
    }
  }
  return code;
};

/** @throws ToolError */
function patternOf(expression: string): RegExp {
  try {
    return new RegExp(expression);
  } catch {
    throw new ToolError(`sysctl: ${expression}: Invalid regular expression`, 1);
  }
}

/** The file of a variable: `net.ipv4.conf.flannel/1.proxy_arp` and `net/ipv4/conf/flannel.1/proxy_arp` are one. */
function pathOf(variable: string): string {
  return /[./]/.exec(variable)?.[0] === '/' ? variable : swapped(variable);
}

function swapped(text: string): string {
  return text.replace(/[./]/g, (mark) => (mark === '.' ? '/' : '.'));
}

/** The variables by their files, in order. */
function variablesOf(ns: Netns): Map<string, SysctlName> {
  const rows = ns.sysctls.names().map((variable): [string, SysctlName] => {
    const path = variable.name.replaceAll('.', '/').replace('*', () => variable.dev);
    return [`${ROOT}${path}`, variable];
  });
  return new Map(rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

function textOf(ns: Netns, { name, dev }: SysctlName): string {
  return String(ns.sysctls.get(name, dev));
}

/** False if the variable does not take the value. */
function write(ns: Netns, { name, dev }: SysctlName, value: string): boolean {
  try {
    ns.sysctls.write(name, value, dev);
    return true;
  } catch (error) {
    if (error instanceof SysctlError) return false;
    throw error;
  }
}
