import type { NodeCommand } from '../../nodes/commands.ts';
import type { CaptureBatch, CaptureStarted } from '../../nodes/daemons/capturer.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW } from '../../protocols/pcapng.ts';
import type { CompiledLab } from '../lab/compiled.ts';
import { findPod, listPods, podName } from '../pods.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';
import type { CaptureCounts, Recorder, RecorderInterface } from './recorder.ts';
import { type CaptureTarget, CaptureTargetError, targetName } from './target.ts';

export type DeviceTarget = Extract<CaptureTarget, { type: 'device' }>;

export interface DeviceCaptureOptions {
  readonly lab: RunningLab;
  readonly compiled: CompiledLab;
  readonly recorder: Pick<Recorder, 'addInterface'>;
  /** Text of the filter, '' for none. */
  readonly filter: string;
  readonly snapLength: number;
  /** Says why a capture has ended before its time. */
  readonly warn: (message: string) => void;
}

/** A capture of a device inside a node, read from the node's own packet socket by command. */
export class DeviceCapture {
  readonly #options: DeviceCaptureOptions;
  readonly #name: string;
  readonly #node: string;
  readonly #id: string;
  readonly #recorded: RecorderInterface;
  readonly #reading: Promise<void>;
  #state: 'open' | 'stopping' | 'ended' = 'open';

  private constructor(
    options: DeviceCaptureOptions,
    socket: { readonly name: string; readonly node: string; readonly id: string },
    recorded: RecorderInterface,
  ) {
    this.#options = options;
    this.#name = socket.name;
    this.#node = socket.node;
    this.#id = socket.id;
    this.#recorded = recorded;
    this.#reading = this.#readOn().finally(() => {
      this.#state = 'ended';
    });
  }

  /** @throws CaptureTargetError when there is no such node, pod or device, or its node is down. */
  static async open(target: DeviceTarget, options: DeviceCaptureOptions): Promise<DeviceCapture> {
    const { lab, recorder, filter, snapLength } = options;
    const name = targetName(target);
    const { node, pod } = await locate(target, options);
    const id = crypto.randomUUID();
    const { device } = target;
    const reply = await command(lab, node, {
      type: 'capture.start',
      capture: id,
      pod,
      device,
      snapLength,
      filter,
    });
    if (reply.type === 'failed') throw new CaptureTargetError(`${name}: ${reply.message}`);
    const { linkType, kind, mac } = reply.value as CaptureStarted;
    const description = pod === '' ? `${kind} of node ${node}` : `${kind} of pod ${pod} on ${node}`;
    const info = { linkType: linkType === 'raw' ? LINKTYPE_RAW : LINKTYPE_ETHERNET, name, description, mac };
    const recorded = recorder.addInterface({ ...info, filter }, lab.now());
    return new DeviceCapture(options, { name, node, id }, recorded);
  }

  /** Resolves when there will be no more: it was stopped, or the device or its node has gone. */
  get ended(): Promise<void> {
    return this.#reading;
  }

  /** Ends the capture; resolves when what the node still held has been recorded. */
  async stop(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'stopping';
    await command(this.#options.lab, this.#node, { type: 'capture.stop', capture: this.#id });
    await this.#reading;
  }

  async #readOn(): Promise<void> {
    const { lab, warn } = this.#options;
    const { counts } = this.#recorded;
    let before: Omit<CaptureCounts, 'delivered'> = { received: 0, accepted: 0, dropped: 0 };
    for (;;) {
      const reply = await command(lab, this.#node, { type: 'capture.read', capture: this.#id });
      if (reply.type === 'failed') {
        if (this.#state === 'open') warn(`${this.#name}: ${reply.message}; its capture has ended`);
        return;
      }
      const { frames, state, received, accepted, dropped } = reply.value as CaptureBatch;
      counts.received += received - before.received;
      counts.accepted += accepted - before.accepted;
      counts.dropped += dropped - before.dropped;
      before = { received, accepted, dropped };
      for (const frame of frames) this.#recorded.take(frame);
      if (state === 'open') continue;
      if (this.#state === 'open') warn(`${this.#name}: the device has gone; its capture has ended`);
      return;
    }
  }
}

type Outcome =
  | { readonly type: 'value'; readonly value: unknown }
  | { readonly type: 'failed'; readonly message: string };

/** A command whose failure, or whose node's end, is an answer too. */
async function command(lab: RunningLab, node: string, what: NodeCommand): Promise<Outcome> {
  try {
    const reply = await lab.command(node, what);
    if (reply.type === 'value') return reply;
    return { type: 'failed', message: reply.type === 'error' ? reply.message : `unexpected ${reply.type}` };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { type: 'failed', message: error.message };
  }
}

async function locate(
  { place }: DeviceTarget,
  { lab, compiled }: DeviceCaptureOptions,
): Promise<{ readonly node: string; readonly pod: string }> {
  if (compiled.nodes.some((node) => node.name === place)) {
    const info = (await lab.nodes()).find((node) => node.name === place);
    if (info?.state === 'down') throw new CaptureTargetError(new NodeDownError(place).message);
    return { node: place, pod: '' };
  }
  const pod = findPod(await listPods(lab), place);
  if (pod === undefined) {
    const [host = '', ...container] = place.split('/');
    if (compiled.nodes.some((node) => node.name === host)) return { node: host, pod: container.join('/') };
    throw new CaptureTargetError(
      `there is no node, pod or node/container ${place}; reroute get nodes, pods and containers list them`,
    );
  }
  return { node: pod.spec.node, pod: podName(pod) };
}
