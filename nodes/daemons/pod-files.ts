import type { Kernel } from '../kernel/kernel.ts';

/** Lines that kubelet begins every pod's hosts file with (`managedHostsFileContent`). */
const HOSTS_HEAD = `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
`;

/** Writes a pod's hosts, a line for each of its addresses, hostname and resolv.conf, the latter as the node has it (dnsPolicy Default). */
export function writePodFiles(kernel: Kernel, netns: string, pod: string, ips: readonly string[]): void {
  const { files } = kernel;
  files.write(netns, '/etc/hostname', `${pod}\n`);
  files.write(netns, '/etc/hosts', HOSTS_HEAD + ips.map((ip) => `${ip}\t${pod}\n`).join(''));
  const resolvConf = files.read('', '/etc/resolv.conf');
  if (resolvConf !== null) files.write(netns, '/etc/resolv.conf', resolvConf);
}
