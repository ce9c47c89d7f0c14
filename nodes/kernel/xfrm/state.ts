import { type EspSuite, EspWindow, ivLength } from '../../../protocols/esp.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import type { XfrmMode, XfrmStateFacts } from '../../events/xfrm.ts';
import type { Random } from '../../runtime.ts';

export interface XfrmStateOptions {
  readonly src: number;
  readonly dst: number;
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  readonly replayWindow: number;
  readonly suite: EspSuite;
}

const SEQUENCE_MAX = 0xffff_ffff;

/** A security association (`struct xfrm_state`): one direction between two hosts, its keys and its numbers. */
export class XfrmState {
  readonly options: XfrmStateOptions;
  readonly window: EspWindow;
  /** Number of the packet that was sent last. */
  oseq = 0;

  constructor(options: XfrmStateOptions) {
    this.options = options;
    this.window = new EspWindow(options.replayWindow);
  }

  /** The next sequence number; null when all are used up, for none may come twice (RFC 4303 §3.3.3). */
  next(): number | null {
    return this.oseq >= SEQUENCE_MAX ? null : ++this.oseq;
  }

  /** AES-GCM must not have an IV twice: the sequence number. That of AES-CBC must not be known before: chance. */
  iv(sequence: number, random: Random): Uint8Array {
    const { suite } = this.options;
    const iv = new Uint8Array(ivLength(suite));
    if (suite.type === 'gcm') new DataView(iv.buffer).setUint32(4, sequence);
    else for (let i = 0; i < iv.length; i++) iv[i] = random.int(0, 255);
    return iv;
  }

  facts(): XfrmStateFacts {
    const { src, dst, spi, reqid, mode, replayWindow, suite } = this.options;
    return {
      src: formatIp4(src),
      dst: formatIp4(dst),
      spi,
      reqid,
      mode,
      replayWindow,
      cipher: suite.type === 'gcm' ? 'rfc4106(gcm(aes))' : 'cbc(aes)',
      keyBits: 8 * suite.key.length,
      auth: suite.type === 'gcm' ? '' : `hmac(${suite.hmac})`,
      icvBits: 8 * suite.icvLength,
    };
  }
}
