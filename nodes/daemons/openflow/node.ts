import type { CommandReply, OpenFlowRequest } from '../../commands.ts';
import type { NodeConfig } from '../../config.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Runtime } from '../../runtime.ts';
import type { OpenFlowView } from '../../state/openflow-view.ts';
import { OpenFlowController } from './controller.ts';
import { handleRequest } from './request.ts';
import { Vswitchd } from './vswitchd.ts';

/** What a node has of OpenFlow: a bridge, a controller, or neither. */
export class OpenFlowNode {
  readonly vswitchd: Vswitchd | null;
  readonly #controller: OpenFlowController | null;

  constructor(rt: Runtime, kernel: Kernel, { openflow, controller }: NodeConfig) {
    this.vswitchd = openflow === undefined ? null : new Vswitchd(rt, kernel.root, openflow);
    this.#controller = controller === undefined ? null : new OpenFlowController(rt, kernel.root, controller);
  }

  get work(): number {
    return (this.vswitchd?.work ?? 0) + (this.#controller?.work ?? 0);
  }

  start(): void {
    this.vswitchd?.start();
    this.#controller?.start();
  }

  shutdown(): void {
    this.vswitchd?.shutdown();
    this.#controller?.shutdown();
  }

  command(request: OpenFlowRequest, answer: (reply: CommandReply) => void): void {
    if (this.#controller === null) answer({ type: 'error', message: 'this node is no OpenFlow controller' });
    else handleRequest(this.#controller, request, answer);
  }

  snapshot(): OpenFlowView {
    const controller = this.#controller?.view() ?? { switches: [], hosts: [], role: 'equal' };
    return { bridges: this.vswitchd === null ? [] : [this.vswitchd.facts()], ...controller };
  }
}
