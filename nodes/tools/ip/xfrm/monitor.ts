import { bitsOf } from '../../../../protocols/ip.ts';
import type { XfrmNotice } from '../../../kernel/xfrm/notice.ts';
import { EXIT_INTERRUPTED, type RunningTool, type ToolContext, type ToolOutput } from '../../tool.ts';
import { type Detail, policyText, selectorText, stateText } from './text.ts';

export interface MonitorOptions {
  /** `state`, `policy`, `expire`, `acquire`; null: all. */
  readonly kinds: ReadonlySet<string> | null;
  readonly keys: 'shown' | 'hidden';
  readonly detail: Detail;
}

/** `ip xfrm monitor`: what is told of associations and policies from now on (ip/xfrm_monitor.c). */
export class XfrmMonitor implements RunningTool {
  readonly #out: ToolOutput;
  readonly #options: MonitorOptions;
  readonly #stop: () => void;

  constructor({ ns }: ToolContext, out: ToolOutput, options: MonitorOptions) {
    this.#out = out;
    this.#options = options;
    this.#stop = ns.xfrm.watch((notice) => {
      if (this.#wants(notice)) out.stdout(this.#text(notice));
    });
  }

  interrupt(): void {
    this.#stop();
    this.#out.exit(EXIT_INTERRUPTED);
  }

  #wants(notice: XfrmNotice): boolean {
    const { kinds } = this.#options;
    if (kinds === null) return true;
    switch (notice.type) {
      case 'state':
        return kinds.has('state') || kinds.has('SA');
      case 'flushed':
        return kinds.has(notice.what) || (notice.what === 'state' && kinds.has('SA'));
      case 'policy':
        return kinds.has('policy');
      case 'expired':
      case 'policy-expired':
        return kinds.has('expire');
      case 'acquire':
        return kinds.has('acquire');
    }
  }

  #text(notice: XfrmNotice): string {
    const { keys, detail } = this.#options;
    switch (notice.type) {
      case 'state':
        return `${PREFIX[notice.how]}${stateText(notice.state, keys, detail)}`;
      case 'policy':
        return `${PREFIX[notice.how]}${policyText(notice.policy, detail)}`;
      case 'expired':
        return `Expired ${stateText(notice.state, keys, detail)}\thard ${notice.limit === 'hard' ? 1 : 0}\n`;
      case 'policy-expired':
        return `Expired ${policyText(notice.policy, detail)}\thard ${notice.limit === 'hard' ? 1 : 0}\n`;
      case 'flushed':
        return notice.what === 'state' ? 'Flushed state proto any\n' : 'Flushed policy \n';
      case 'acquire':
        return acquireText(notice, detail);
    }
  }
}

const PREFIX = { new: '', updated: 'Updated ', deleted: 'Deleted ' } as const;

/** `xfrm_acquire_print` */
function acquireText({ flow, policy }: Extract<XfrmNotice, { type: 'acquire' }>, detail: Detail): string {
  const len = bitsOf(flow.src);
  const selector = { ...flow, src: { addr: flow.src, len }, dst: { addr: flow.dst, len } };
  const [first = '', ...rest] = policyText(policy, detail).trimEnd().split('\n');
  return [
    'acquire proto esp ',
    `  sel ${selectorText(selector, detail)}`,
    `  policy ${first}`,
    ...rest.map((line) => `    ${line}`),
    '',
    '',
  ].join('\n');
}
