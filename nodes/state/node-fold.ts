import type { LabEvent } from '../events/index.ts';
import { BfdFold } from './bfd-fold.ts';
import type { BfdView } from './bfd-view.ts';
import { BgpFold } from './bgp-fold.ts';
import type { BgpView } from './bgp-view.ts';
import { ClusterFold } from './cluster-fold.ts';
import type { ClusterDisk, ClusterView } from './cluster-view.ts';
import { DockerFold } from './docker-fold.ts';
import type { DockerView } from './docker-view.ts';
import { FilesFold } from './files-fold.ts';
import type { FilesView } from './files-view.ts';
import { KernelFold } from './kernel-fold.ts';
import type { KernelView } from './kernel-view.ts';
import { OpenFlowFold } from './openflow-fold.ts';
import type { OpenFlowView } from './openflow-view.ts';

/** All of a node's state that its log determines, slice by slice. */
export interface NodeView {
  readonly kernel: KernelView;
  readonly bgp: BgpView;
  readonly bfd: BfdView;
  readonly cluster: ClusterView;
  readonly files: FilesView;
  readonly docker: DockerView;
  readonly openflow: OpenFlowView;
}

/** What a reboot finds on the node's disk. */
export interface NodeDisk extends ClusterDisk {
  readonly docker: DockerView;
}

/** The fold of a node's log: what the node's state was after the events applied so far. */
export class NodeFold {
  readonly #kernel = new KernelFold();
  readonly #bgp = new BgpFold();
  readonly #bfd = new BfdFold();
  readonly #cluster = new ClusterFold();
  readonly #files = new FilesFold();
  readonly #docker = new DockerFold();
  readonly #openflow = new OpenFlowFold();

  apply(event: LabEvent): void {
    switch (event.type) {
      case 'node.booted':
        this.#kernel.apply(event);
        this.#bgp.apply(event);
        this.#bfd.apply(event);
        this.#cluster.apply(event);
        this.#docker.apply(event);
        this.#files.apply(event);
        this.#openflow.apply(event);
        break;
      case 'node.stopped':
      case 'command.received':
      case 'frames.dropped':
        break;
      case 'bgp.session':
      case 'bgp.stale':
      case 'bgp.vanished':
      case 'bgp.restarted':
      case 'bgp.notice':
      case 'bgp.received':
      case 'bgp.sent':
      case 'bgp.best':
      case 'bgp.originated':
      case 'bgp.unoriginated':
        this.#bgp.apply(event);
        break;
      case 'bfd.added':
      case 'bfd.session':
      case 'bfd.intervals':
      case 'bfd.discarded':
      case 'bfd.removed':
        this.#bfd.apply(event);
        break;
      case 'pod.sandbox':
      case 'pod.removed':
      case 'ipam.block':
      case 'ipam.block.released':
      case 'ipam.assigned':
      case 'ipam.released':
      case 'flannel.acquired':
      case 'flannel.revoked':
      case 'flannel.peer':
      case 'flannel.peer.removed':
        this.#cluster.apply(event);
        break;
      case 'file.set':
      case 'file.removed':
      case 'files.removed':
        this.#files.apply(event);
        break;
      case 'docker.command':
      case 'docker.swarm':
      case 'docker.peer':
      case 'docker.peer.removed':
      case 'docker.network':
      case 'docker.network.removed':
      case 'docker.container':
      case 'docker.container.removed':
        this.#docker.apply(event);
        break;
      case 'openflow.bridge':
      case 'openflow.fail-mode':
      case 'openflow.channel':
      case 'openflow.mode':
      case 'openflow.flow':
      case 'openflow.flow.removed':
      case 'openflow.group':
      case 'openflow.group.removed':
      case 'openflow.meter':
      case 'openflow.meter.removed':
      case 'openflow.port':
      case 'openflow.role':
      case 'openflow.async':
      case 'openflow.fdb':
      case 'openflow.fdb.removed':
      case 'openflow.switch':
      case 'openflow.controller':
      case 'openflow.host':
      case 'openflow.packet-in':
      case 'openflow.error':
        this.#openflow.apply(event);
        break;
      default:
        this.#kernel.apply(event);
    }
  }

  view(): NodeView {
    return {
      kernel: this.#kernel.view(),
      bgp: this.#bgp.view(),
      bfd: this.#bfd.view(),
      cluster: this.#cluster.view(),
      files: this.#files.view(),
      docker: this.#docker.view(),
      openflow: this.#openflow.view(),
    };
  }

  /** What a reboot finds on the node's disk. */
  disk(): NodeDisk {
    return { ...this.#cluster.disk(), docker: this.#docker.view() };
  }
}
