import { setU32 } from '../../../protocols/bytes.ts';
import { type EspSuite, EspWindow, ivLength } from '../../../protocols/esp.ts';
import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import type { XfrmMode, XfrmStateFacts } from '../../events/xfrm.ts';
import type { Random } from '../../runtime.ts';
import { Lifetime, limitFacts, type XfrmLimits } from './lifetime.ts';

/** ESP in UDP (RFC 3948). */
export interface XfrmEncap {
  readonly sport: number;
  readonly dport: number;
  /** What NAT made another of (`encap_oa`). */
  readonly original: IpAddress;
}

export interface XfrmStateOptions {
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  readonly replayWindow: number;
  readonly suite: EspSuite;
  /** Sequence numbers of 64 bits (`flag esn`). */
  readonly esn: 'on' | 'off';
  /** 'any': packets of the other family go through its tunnel too (`flag af-unspec`). */
  readonly inner: 'own' | 'any';
  readonly encap: XfrmEncap | null;
  readonly limits: XfrmLimits;
}

const SEQUENCE_MAX = 0xffff_ffff;
const WRAP = 2 ** 32;

/** A security association (`struct xfrm_state`): one direction between two hosts, its keys and its numbers. */
export class XfrmState {
  readonly options: XfrmStateOptions;
  readonly window: EspWindow;
  readonly lifetime: Lifetime;
  /** Number of the packet that was sent last. */
  oseq = 0;
  /** Packets that came twice or too late, and that were not authentic. */
  replayed = 0;
  failed = 0;

  constructor(options: XfrmStateOptions, now: number) {
    this.options = options;
    this.window = new EspWindow(options.replayWindow);
    this.lifetime = new Lifetime(options.limits, now);
  }

  /** The next sequence number; null when all are used up, for none may come twice (RFC 4303 §3.3.3). */
  next(): number | null {
    const most = this.options.esn === 'on' ? Number.MAX_SAFE_INTEGER : SEQUENCE_MAX;
    return this.oseq >= most ? null : ++this.oseq;
  }

  /** Upper half of an extended sequence number; null where they are none. */
  high(sequence: number): number | null {
    return this.options.esn === 'on' ? Math.floor(sequence / WRAP) : null;
  }

  /** The number of a packet that has come, of which only the lower half was sent. */
  received(low: number): number {
    return this.options.esn === 'on' ? this.window.extended(low) : low;
  }

  /** AES-GCM must not have an IV twice: the sequence number. That of AES-CBC must not be known before: chance. */
  iv(sequence: number, random: Random): Uint8Array {
    const { suite } = this.options;
    const iv = new Uint8Array(ivLength(suite));
    if (suite.type === 'gcm') {
      setU32(iv, 0, Math.floor(sequence / WRAP));
      setU32(iv, 4, sequence >>> 0);
    } else for (let i = 0; i < iv.length; i++) iv[i] = random.int(0, 255);
    return iv;
  }

  facts(): XfrmStateFacts {
    const { src, dst, spi, reqid, mode, replayWindow, suite, esn, inner, encap, limits } = this.options;
    const limited = limitFacts(limits);
    return {
      src: formatIp(src),
      dst: formatIp(dst),
      spi,
      reqid,
      mode,
      replayWindow,
      cipher: suite.type === 'gcm' ? 'rfc4106(gcm(aes))' : 'cbc(aes)',
      keyBits: 8 * suite.key.length,
      auth: suite.type === 'gcm' ? '' : `hmac(${suite.hmac})`,
      icvBits: 8 * suite.icvLength,
      ...(esn === 'on' ? { esn } : {}),
      ...(inner === 'any' ? { inner } : {}),
      ...(encap === null
        ? {}
        : { encap: `espinudp ${encap.sport} ${encap.dport} ${formatIp(encap.original)}` }),
      ...(limited === null ? {} : { limits: limited }),
    };
  }
}
