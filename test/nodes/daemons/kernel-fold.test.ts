import test from 'ava';
import type { CniConfig } from '../../../nodes/config.ts';
import type { LabEvent } from '../../../nodes/events/index.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { calico, flannel, Lab } from './lab.ts';

const networks: readonly CniConfig[] = [
  calico,
  flannel({ type: 'vxlan', vni: 1, port: 8472, directRouting: false }),
  flannel({ type: 'udp', port: 8285 }),
  flannel({ type: 'host-gw' }),
  flannel({ type: 'ipip', directRouting: false }),
  flannel({ type: 'wireguard', port: 51_820 }),
  flannel({ type: 'ipsec', psk: 'k'.repeat(96) }),
];

function isKernelEvent(event: LabEvent): event is Parameters<KernelFold['apply']>[0] {
  return (
    event.type === 'node.booted' ||
    /^(netns|link|addr|route|neighbor|fdb|sysctl|pmtu|conntrack|wireguard|xfrm)\./.test(event.type)
  );
}

for (const cni of networks) {
  const name = cni.type === 'calico' ? cni.type : `${cni.type} ${cni.backend.type}`;
  test(`${name}: what the daemons do to the kernel is in the log, over pods that come and go and reboots`, (t) => {
    const lab = new Lab(cni);
    const nodes = [lab.addNode('n1'), lab.addNode('n2')];
    const check = () => {
      for (const node of nodes) {
        const fold = new KernelFold();
        for (const event of node.events) if (isKernelEvent(event)) fold.apply(event);
        t.deepEqual(fold.view(), node.kernel.snapshot());
      }
    };
    for (let i = 0; i < 3; i++) for (const node of nodes) lab.pod(node, `pod-${i}`);
    lab.settle();
    check();
    for (const node of nodes) {
      lab.removePod(node, 'pod-0');
      lab.pod(node, 'pod-1');
    }
    lab.settle();
    check();
    nodes[0]!.kill();
    nodes[0]!.boot();
    lab.settle();
    check();
  });
}
