import test from 'ava';
import { DockerLedger } from '../../../../nodes/daemons/docker/ledger.ts';
import type { OverlayDriver } from '../../../../nodes/daemons/docker/network/drivers/overlay.ts';
import { Peers } from '../../../../nodes/daemons/docker/swarm/peers.ts';
import type { DockerPeerFacts } from '../../../../nodes/events/docker.ts';
import { DockerFold } from '../../../../nodes/state/docker-fold.ts';
import { FakeWorld } from '../../../support/runtime.ts';

function peer(endpointId: string, vtep: string, address = '10.0.1.3'): DockerPeerFacts {
  return { networkId: 'net', endpointId, address, mac: '02:42:0a:00:01:03', vtep, node: 'n2', names: [] };
}

test('of two peers with one address the first is in effect; the second takes its place when it goes', (t) => {
  const rt = new FakeWorld().runtime();
  const ledger = new DockerLedger(rt, null);
  const rows: string[] = [];
  const overlay = {
    addPeer: ({ address, vtep }: DockerPeerFacts) => void rows.push(`+${address} ${vtep}`),
    deletePeer: ({ address, vtep }: DockerPeerFacts) => void rows.push(`-${address} ${vtep}`),
  } as OverlayDriver;
  const bound: string[] = [];
  const balancers = {
    bind: (_network: string, endpoint: string) => void bound.push(`+${endpoint}`),
    unbind: (_network: string, endpoint: string) => void bound.push(`-${endpoint}`),
  };
  const peers = new Peers(ledger, overlay, balancers);
  const done = () => rows.splice(0);
  peers.set(peer('e1', '10.7.0.12'));
  peers.set(peer('e2', '10.7.0.13'));
  peers.set(peer('e3', '10.7.0.13', '10.0.1.4'));
  t.deepEqual(done(), ['+10.0.1.3 10.7.0.12', '+10.0.1.4 10.7.0.13']);
  peers.remove('net', 'e1');
  t.deepEqual(done(), ['-10.0.1.3 10.7.0.12', '+10.0.1.3 10.7.0.13']);
  peers.set(peer('e1', '10.7.0.12'));
  peers.remove('net', 'e1');
  t.deepEqual(done(), [], 'what was not in effect leaves no trace');
  peers.set(peer('e2', '10.7.0.14'));
  t.deepEqual(done(), ['-10.0.1.3 10.7.0.13', '+10.0.1.3 10.7.0.14'], 'a peer that has moved');
  const fold = new DockerFold();
  for (const event of rt.events)
    if (event.type.startsWith('docker.')) fold.apply(event as Parameters<DockerFold['apply']>[0]);
  t.deepEqual(fold.view(), ledger.view());
  peers.forget('net');
  t.deepEqual(ledger.peers, []);
  t.deepEqual(bound, ['+e1', '+e2', '+e3', '-e1', '+e1', '-e1', '+e2']);
});
