import { formatIp, formatIpPrefix } from '../../../../protocols/ip.ts';
import { protocolName } from '../../../../protocols/protocol-names.ts';
import type { Lifetime } from '../../../kernel/xfrm/lifetime.ts';
import type { XfrmPolicyEntry, XfrmSelector } from '../../../kernel/xfrm/policy.ts';
import type { XfrmState } from '../../../kernel/xfrm/state.ts';

/** What iproute2 6.1 prints of policies and associations (ip/ipxfrm.c); `ip -s` shows more of them. */

export type Detail = 'plain' | 'statistics';

const hex8 = (value: number) => `0x${value.toString(16).padStart(8, '0')}`;
const hex = (value: number) => `0x${value.toString(16)}`;
const WRAP = 2 ** 32;

/** `xfrm_selector_print` */
export function selectorText({ src, dst, proto, sport, dport }: XfrmSelector, detail: Detail): string {
  const name = protocolName(proto) ?? String(proto);
  const [first, second] = name.includes('icmp') ? ['type', 'code'] : ['sport', 'dport'];
  return [
    `src ${formatIpPrefix(src)} dst ${formatIpPrefix(dst)} `,
    proto === 0 ? '' : `proto ${name} `,
    sport === null ? '' : `${first} ${sport} `,
    dport === null ? '' : `${second} ${dport} `,
    detail === 'statistics' ? 'uid 0' : '',
  ].join('');
}

/** `xfrm_id_info_print`, its second line. */
function idText(spi: number, reqid: number, mode: string, detail: Detail, always: boolean): string {
  const all = detail === 'statistics';
  const number = all || always || spi !== 0 ? `spi ${hex8(spi)}${all ? `(${spi})` : ''} ` : '';
  return `proto esp ${number}reqid ${reqid}${all ? `(${hex8(reqid)})` : ''} mode ${mode}`;
}

function timeText(at: number | null): string {
  // Of the first second the kernel thinks as of never.
  if (at === null || at < 1_000) return '-';
  return new Date(Math.floor(at)).toISOString().slice(0, 19).replace('T', ' ');
}

/** `xfrm_lifetime_print` */
function lifetimeLines({ limits, bytes, packets, added, used }: Lifetime): string[] {
  const { softBytes, hardBytes, softPackets, hardPackets, softAdd, hardAdd, softUse, hardUse } = limits;
  const limit = (value: number) => (value === Number.POSITIVE_INFINITY ? '(INF)' : String(value));
  return [
    'lifetime config:',
    `  limit: soft ${limit(softBytes)}(bytes), hard ${limit(hardBytes)}(bytes)`,
    `  limit: soft ${limit(softPackets)}(packets), hard ${limit(hardPackets)}(packets)`,
    `  expire add: soft ${softAdd}(sec), hard ${hardAdd}(sec)`,
    `  expire use: soft ${softUse}(sec), hard ${hardUse}(sec)`,
    'lifetime current:',
    `  ${bytes}(bytes), ${packets}(packets)`,
    `  add ${timeText(added)} use ${timeText(used)}`,
  ].map((line) => `\t${line}`);
}

/** Windows that large are kept as those of extended sequence numbers are. */
const BITMAP = 32;

function replayLines(state: XfrmState): string[] {
  const { window, oseq, options } = state;
  if (options.esn === 'off' && options.replayWindow <= BITMAP)
    return [`anti-replay context: seq ${hex(window.last)}, oseq ${hex(oseq)}, bitmap ${hex8(window.bitmap)}`];
  const words = Math.ceil(options.replayWindow / BITMAP);
  const shown = window
    .words(words)
    .reverse()
    .map((word) => `${word.toString(16).padStart(8, '0')} `);
  const rows = Array.from({ length: Math.ceil(words / 8) }, (_, i) => shown.slice(8 * i, 8 * i + 8));
  const [high, low] = [Math.floor(window.last / WRAP), window.last % WRAP];
  return [
    'anti-replay esn context:',
    ` seq-hi ${hex(high)}, seq ${hex(low)}, oseq-hi ${hex(Math.floor(oseq / WRAP))}, oseq ${hex(oseq % WRAP)}`,
    ` replay_window ${options.replayWindow}, bitmap-length ${words}`,
    ...rows.map((row) => ` ${row.join('')}`),
  ];
}

const AF_UNSPEC = 0x20;
const ESN = 0x80;

/** `xfrm_state_info_print` */
export function stateText(state: XfrmState, keys: 'shown' | 'hidden', detail: Detail): string {
  const { src, dst, spi, reqid, mode, replayWindow, suite, esn, inner, encap } = state.options;
  const all = detail === 'statistics';
  const key = (bytes: Uint8Array) =>
    keys === 'hidden' ? '<<Keys hidden>>' : `0x${Buffer.from(bytes).toString('hex')}`;
  const bits = 8 * suite.icvLength;
  // What its length says of the key is shown beside it.
  const length = (bytes: Uint8Array, tail = '') => (all ? ` (${8 * bytes.length} bits)` : '') + tail;
  const aeadKey = suite.type === 'gcm' ? Buffer.concat([suite.key, suite.salt]) : new Uint8Array(0);
  const algorithms =
    suite.type === 'gcm'
      ? [`aead rfc4106(gcm(aes)) ${key(aeadKey)}${length(aeadKey)} ${bits}`]
      : [
          `auth-trunc hmac(${suite.hmac}) ${key(suite.authKey)}${length(suite.authKey)} ${bits}`,
          `enc cbc(aes) ${key(suite.key)}${length(suite.key)}`,
        ];
  const extended = esn === 'on' || replayWindow > BITMAP;
  const flags = [...(inner === 'any' ? ['af-unspec'] : []), ...(esn === 'on' ? ['esn'] : [])];
  const bitsOfFlags = (inner === 'any' ? AF_UNSPEC : 0) | (esn === 'on' ? ESN : 0);
  const any = typeof src === 'number' ? '0.0.0.0/0' : '::/0';
  const shown = all || flags.length > 0 ? `flag ${flags.join(' ')}` : '';
  return [
    `src ${formatIp(src)} dst ${formatIp(dst)}`,
    `\t${idText(spi, reqid, mode, detail, true)}`,
    `\treplay-window ${extended ? 0 : replayWindow} ${all ? 'seq 0x00000000 ' : ''}${shown}${all ? ` (0x${bitsOfFlags.toString(2).padStart(8, '0')})` : ''}`,
    ...algorithms.map((line) => `\t${line}`),
    ...(encap === null
      ? []
      : [`\tencap type espinudp sport ${encap.sport} dport ${encap.dport} addr ${formatIp(encap.original)}`]),
    ...replayLines(state).map((line) => `\t${line}`),
    ...(inner === 'own' ? [`\tsel src ${any} dst ${any} ${all ? 'uid 0' : ''}`] : []),
    ...(all
      ? [
          ...lifetimeLines(state.lifetime),
          '\tstats:',
          `\t  replay-window 0 replay ${state.replayed} failed ${state.failed}`,
        ]
      : []),
    '',
  ].join('\n');
}

/** `xfrm_policy_info_print` */
export function policyText({ policy, index, lifetime }: XfrmPolicyEntry, detail: Detail): string {
  const { dir, action, priority, template } = policy;
  const all = detail === 'statistics';
  const verdict = action === 'block' ? 'action block ' : all ? 'action allow ' : '';
  const lines = [
    selectorText(policy, detail),
    `\tdir ${dir} ${verdict}${all ? `index ${index} ` : ''}priority ${priority} ptype main ${all ? 'share any flag  (0x00000000)' : ''}`,
  ];
  if (all) lines.push(...lifetimeLines(lifetime));
  if (template !== null) {
    const { src, dst, spi, reqid, mode, level } = template;
    lines.push(
      `\ttmpl src ${formatIp(src)} dst ${formatIp(dst)}`,
      `\t\t${idText(spi, reqid, mode, detail, false)}`,
    );
    if (all || level === 'use') lines.push(`\t\tlevel ${level} ${all ? 'share any ' : ''}`);
    if (all) lines.push('\t\tenc-mask ffffffff auth-mask ffffffff comp-mask ffffffff');
  }
  return `${lines.join('\n')}\n`;
}
