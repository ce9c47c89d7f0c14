import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { startTool } from '../../../../nodes/tools/start.ts';

/** Runs a tool in a namespace that is done at once. */
export function run(ns: Netns, line: string, stdin?: string) {
  const result = { code: -1, stdout: '', stderr: '' };
  const { kernel } = ns;
  const ctx = { rt: kernel.rt, kernel, ns, ...(stdin === undefined ? {} : { stdin }) };
  startTool(line.split(' '), ctx, {
    stdout: (text) => {
      result.stdout += text;
    },
    stderr: (text) => {
      result.stderr += text;
    },
    exit: (code) => {
      result.code = code;
    },
  });
  return result;
}

/** The same, of lines that have to do. */
export function sh(ns: Netns, ...lines: string[]): string {
  return lines
    .map((line) => {
      const { code, stdout, stderr } = run(ns, line);
      if (code !== 0) throw new Error(`${line}: ${stderr}`);
      return stdout;
    })
    .join('');
}

/** Virtual addresses as kube-proxy has them. */
export function kubeIpvs0(ns: Netns, ...addresses: string[]): void {
  ns.addDummy({ name: 'kube-ipvs0', mac: 0x5254_00ff_0000, mtu: 1500 });
  for (const address of addresses) ns.addAddress('kube-ipvs0', `${address}/32`);
}

/** Active and inactive connections by destination, as `ipvsadm -Ln` prints them. */
export function counts(ns: Netns): Record<string, string> {
  const lines = run(ns, 'ipvsadm -Ln').stdout.split('\n');
  const rows = lines.filter((line) => /^ {2}-> \d/.test(line)).map((line) => line.trim().split(/\s+/));
  return Object.fromEntries(
    rows.map(([, name = '', , , active, inactive]) => [name, `${active} ${inactive}`]),
  );
}
