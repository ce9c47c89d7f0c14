import { setU16, setU32 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { PROTO_ICMP, writeIpv4Header } from '../../../protocols/ipv4.ts';
import { frameOf } from '../../support/router.ts';
import { PACKET_ID } from './settle.ts';
import { linuxTest } from './suite.ts';
import { Twin } from './twin.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

function sealed(message: Uint8Array): Uint8Array {
  setU16(message, 2, 0);
  setU16(message, 2, internetChecksum(message, 0, message.length));
  return message;
}

/** A redirect about an echo reply that 10.0.1.1 sends of itself, which needs no socket. */
function redirect(router: string, gateway: string, about: string, code = 1, from = '10.0.1.1'): Uint8Array {
  const message = new Uint8Array(8 + 28);
  message[0] = 5;
  message[1] = code;
  setU32(message, 4, ip(gateway));
  const quoted = {
    src: ip(from),
    dst: ip(about),
    proto: PROTO_ICMP,
    ttl: 64,
    totalLength: 28,
    id: 1,
    df: false,
  };
  writeIpv4Header(message, 8, quoted);
  message.set(sealed(new Uint8Array(8)), 28);
  return frameOf(ip(router), ip('10.0.1.1'), PROTO_ICMP, sealed(message), PACKET_ID);
}

function timestamp(to: string, code: number, rest: readonly number[]): Uint8Array {
  const message = new Uint8Array(8 + rest.length);
  message[0] = 13;
  message[1] = code;
  message.set(rest, 8);
  return frameOf(ip('10.0.1.2'), ip(to), PROTO_ICMP, sealed(message), PACKET_ID);
}

const SET_UP = [
  'ip addr add 10.0.1.1/24 dev v0',
  ...[2, 3, 4].map((n) => `ip neigh add 10.0.1.${n} lladdr 02:00:00:00:00:02 dev v0 nud permanent`),
  'ip route add 10.9.0.0/16 via 10.0.1.2',
  'sysctl -w net.ipv4.ip_forward=0',
];

/** Seconds pass as they will. */
const settle = (text: string) => text.replaceAll(/expires \d+sec/g, 'expires').replaceAll(/ +\n/g, '\n');

linuxTest('a host heeds redirects, or not, as Linux does', async (t) => {
  const twin = await Twin.start([{ name: 'v0' }], SET_UP);
  try {
    const asks = async (about: string, frames: readonly Uint8Array[]) => {
      for (const frame of frames) await twin.send(0, frame);
      await twin.same(`ip route get ${about}`, settle);
    };
    await asks('10.9.0.1', [redirect('10.0.1.3', '10.0.1.4', '10.9.0.1')]);
    await asks('10.9.0.1', [redirect('10.0.1.2', '10.0.1.3', '10.9.0.1')]);
    await asks('10.9.0.1', [redirect('10.0.1.2', '10.0.1.4', '10.9.0.1')]);
    await asks('10.9.0.1', [redirect('10.0.1.3', '10.0.1.4', '10.9.0.1', 0)]);
    for (const code of [2, 3, 4, 7, 9]) {
      const about = `10.9.1.${code}`;
      await asks(about, [redirect('10.0.1.2', '10.0.1.3', about, code)]);
    }
    for (const [i, gateway] of [
      '10.0.1.2',
      '10.0.1.1',
      '10.0.1.255',
      '224.0.0.1',
      '255.255.255.255',
      '0.0.0.1',
      '127.0.0.1',
    ].entries()) {
      const about = `10.9.2.${i}`;
      await asks(about, [redirect('10.0.1.2', gateway, about)]);
    }
    await asks('10.9.3.1', [redirect('10.0.1.2', '10.0.1.3', '10.9.3.1', 1, '10.7.7.7')]);
    await asks('10.0.1.9', [redirect('10.0.1.2', '10.0.1.3', '10.0.1.9')]);
    let about = ip('10.9.4.0');
    const variants = async () => {
      for (const gateway of ['10.0.1.3', '10.0.1.4']) {
        const address = formatIp4(++about);
        await asks(address, [redirect('10.0.1.2', gateway, address)]);
      }
    };
    const set = (...values: readonly string[]) =>
      twin.all(values.map((value) => `sysctl -w net.ipv4.conf.${value}`));
    await set('all.shared_media=0', 'v0.shared_media=0');
    await variants();
    await twin.all(['ip route add default via 10.0.1.3']);
    await variants();
    await set('all.secure_redirects=0', 'v0.secure_redirects=0');
    await variants();
    await set('v0.shared_media=1', 'v0.accept_redirects=0');
    await variants();
    await set('all.accept_redirects=0');
    await variants();
    await set('v0.accept_redirects=1');
    await variants();
    await twin.all(['sysctl -w net.ipv4.ip_forward=1']);
    await variants();
    await set('all.accept_redirects=1');
    await variants();
    await twin.same('sysctl net.ipv4.conf.v0.accept_redirects');
    await twin.all(['ip route replace 10.9.0.0/16 via 10.0.1.4']);
    await twin.same('ip route get 10.9.0.1', settle);
    await twin.all(['ip route replace 10.9.0.0/16 via 10.0.1.2']);
    await twin.same('ip route get 10.9.0.1', settle);
    await twin.all(['ip route flush cache']);
    await twin.same('ip route get 10.9.0.1', settle);
    t.pass();
  } finally {
    twin.stop();
  }
});

linuxTest('ICMP timestamps are told where Linux tells them', async (t) => {
  const twin = await Twin.start([{ name: 'v0' }], SET_UP);
  try {
    for (const [to, code, length] of [
      ['10.0.1.1', 0, 12],
      ['10.0.1.1', 5, 12],
      ['10.0.1.1', 0, 4],
      ['10.0.1.1', 0, 0],
      ['10.0.1.1', 0, 20],
      ['10.0.1.255', 0, 12],
    ] as const) {
      const frame = timestamp(
        to,
        code,
        Array.from({ length }, (_, i) => i + 1),
      );
      const lengths = (out: readonly { readonly frame: Uint8Array }[]) =>
        out.map((one) => [one.frame.length, ...one.frame.subarray(34, 36), ...one.frame.subarray(38, 46)]);
      const theirs = await twin.linux.send(0, frame);
      // All but the times and the checksum over them.
      t.deepEqual(lengths(twin.ours.send(0, frame)), lengths(theirs), `${to} ${code} ${length}`);
    }
  } finally {
    twin.stop();
  }
});
