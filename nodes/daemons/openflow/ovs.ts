import { FlowSyntaxError, formatPort } from '../../../protocols/openflow/match-text.ts';
import { OvsError, ofctl, RefusedError } from './ofctl.ts';
import type { Vswitchd } from './vswitchd.ts';

interface Result {
  readonly text: string;
  readonly code: number;
}

type OvsProgram = 'ovs-ofctl' | 'ovs-vsctl' | 'ovs-appctl';

/** Open vSwitch's tools on a switch: what of them there is, in their own words. */
export function runOvs(name: OvsProgram, args: readonly string[], vswitchd: Vswitchd | null): Result {
  // Versions and formats are what they are.
  const words = args.filter(
    (word, i) => !/^-O|^--?(names|no-names|timeout=\d+|protocols=.*)$/.test(word) && args[i - 1] !== '-O',
  );
  try {
    if (vswitchd === null) {
      const socket = 'unix:/var/run/openvswitch/db.sock';
      throw new OvsError(
        `${socket}: database connection failed (No such file or directory); \`kind: switch\` in the lab file makes a node a switch`,
      );
    }
    switch (name) {
      case 'ovs-ofctl':
        return { text: ofctl(words, vswitchd), code: 0 };
      case 'ovs-vsctl':
        return { text: vsctl(words, vswitchd), code: 0 };
      case 'ovs-appctl':
        return { text: appctl(words, vswitchd), code: 0 };
    }
  } catch (error) {
    if (error instanceof OvsError || error instanceof FlowSyntaxError)
      return { text: `${name}: ${error.message}\n`, code: 1 };
    if (error instanceof RefusedError) return { text: error.message, code: error.code };
    throw error;
  }
}

function vsctl(words: readonly string[], vswitchd: Vswitchd): string {
  const { config } = vswitchd;
  const [command = '', bridge = '', value = ''] = words;
  if (command === 'list-br') return `${config.bridge}\n`;
  if (command === 'show') {
    const controller = vswitchd
      .connections()
      .flatMap(({ target, conn }) => [
        `        Controller ${JSON.stringify(target)}\n`,
        ...(conn === null ? [] : ['            is_connected: true\n']),
      ]);
    const ports = config.ports.map((name) => `        Port ${name}\n            Interface ${name}\n`);
    const local = `        Port ${config.bridge}\n            Interface ${config.bridge}\n                type: internal\n`;
    return [
      `    Bridge ${config.bridge}\n`,
      ...controller,
      `        fail_mode: ${vswitchd.failMode}\n`,
      ...ports,
      local,
    ].join('');
  }
  if (bridge !== config.bridge) throw new OvsError(`no bridge named ${bridge}`);
  switch (command) {
    case 'list-ports':
      return config.ports.map((name) => `${name}\n`).join('');
    case 'get-controller':
      return vswitchd.targets.map((target) => `${target}\n`).join('');
    case 'get-fail-mode':
      return `${vswitchd.failMode}\n`;
    case 'set-fail-mode':
      if (value !== 'secure' && value !== 'standalone')
        throw new OvsError('fail-mode must be "standalone" or "secure"');
      vswitchd.setFailMode(value);
      return '';
    default:
      throw new OvsError(`unknown command '${command}'; use --help for help`);
  }
}

function appctl(words: readonly string[], { bridge, config }: Vswitchd): string {
  const [command = '', name = ''] = words;
  if (command !== 'fdb/show')
    throw new OvsError(`"${command}" is not a valid command (reroute has fdb/show of it)`);
  if (name !== config.bridge) throw new OvsError('no such bridge');
  const rows = bridge.normal
    .ages()
    .map(
      ({ mac, vlan, port, age }) =>
        `${formatPort(port).padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${String(Math.floor(age / 1000)).padStart(3)}\n`,
    );
  return ` port  VLAN  MAC                Age\n${rows.join('')}`;
}
