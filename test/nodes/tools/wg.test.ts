import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { startTool } from '../../../nodes/tools/start.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { needing } from '../../support/needs.ts';
import { type Host, Network } from '../../support/network.ts';

function run(host: Host, argv: readonly string[], stdin = ''): { text: string; code: number } {
  let text = '';
  let code = -1;
  const write = (part: string) => {
    text += part;
  };
  const context = { rt: host.rt, kernel: host.kernel, ns: host.kernel.root, stdin };
  startTool(argv, context, {
    stdout: write,
    stderr: write,
    exit: (value) => {
      code = value;
    },
  });
  return { text, code };
}

function ok(t: ExecutionContext, host: Host, line: string, stdin = ''): string {
  const { text, code } = run(host, line.split(' '), stdin);
  t.is(code, 0, `${line}: ${text}`);
  return text;
}

/** Two hosts that know each other by wg set alone. */
function pair(t: ExecutionContext) {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  const keys = [a, b].map((host) => {
    const key = ok(t, host, 'wg genkey');
    return { key, pub: ok(t, host, 'wg pubkey', key).trim() };
  });
  for (const [i, host] of [a, b].entries()) {
    net.attach(host, 'lan', 'eth0', `10.0.0.${i + 1}/24`);
    ok(t, host, 'ip link add wg0 type wireguard');
    ok(t, host, `ip addr add 192.168.7.${i + 1}/24 dev wg0`);
    ok(t, host, 'wg set wg0 listen-port 51820 private-key /dev/stdin', keys[i]!.key);
    ok(
      t,
      host,
      `wg set wg0 peer ${keys[1 - i]!.pub} endpoint 10.0.0.${2 - i}:51820 allowed-ips 192.168.7.${2 - i}/32,10.9.0.0/16`,
    );
    ok(t, host, 'ip link set wg0 up');
  }
  const ping = (size: number) => {
    const socket = a.kernel.root.openIcmp({ onReply: () => {}, onError: () => {} });
    socket.sendEcho(parseIp4('192.168.7.2') ?? 0, { id: 1, seq: 1, size });
    net.advance(100);
    socket.close();
  };
  return { net, a, b, keys, ping };
}

test('wg show: an interface and its peer, before and after a handshake', (t) => {
  const { net, a, keys, ping } = pair(t);
  const head = `interface: wg0
  public key: ${keys[0]!.pub}
  private key: (hidden)
  listening port: 51820

peer: ${keys[1]!.pub}
  endpoint: 10.0.0.2:51820
  allowed ips: 192.168.7.2/32, 10.9.0.0/16
`;
  net.advance(5_000);
  t.is(ok(t, a, 'wg'), head);
  ping(56);
  // 148 + 128 and then 16 times 1024 padded to 1056, with 32.
  net.advance(4_950);
  t.is(
    ok(t, a, 'wg show wg0'),
    `${head}  latest handshake: 5 seconds ago\n  transfer: 220 B received, 276 B sent\n`,
  );
  for (let i = 0; i < 16; i++) ping(1024);
  ok(t, a, `wg set wg0 fwmark 0x1f peer ${keys[1]!.pub} persistent-keepalive 85`);
  const text = ok(t, a, 'wg show');
  t.regex(text, /\n {2}fwmark: 0x1f\n/);
  t.regex(text, /\n {2}transfer: 17\.21 KiB received, 17\.\d\d KiB sent\n/);
  t.regex(text, /\n {2}persistent keepalive: every 1 minute, 25 seconds\n$/);
});

test('a private key that is set again ends no session, another one does (`wg_set_device`)', (t) => {
  const { net, a, keys, ping } = pair(t);
  const transfer = () => ok(t, a, 'wg show wg0 transfer').trim().split('\t').slice(1).map(Number);
  net.advance(1_000);
  ping(56);
  const [received = 0, sent = 0] = transfer();
  ok(t, a, 'wg set wg0 private-key /dev/stdin', keys[0]!.key);
  ping(56);
  t.deepEqual(transfer(), [received + 128, sent + 128], 'no handshake');
  // No sooner than five seconds after the last one (`REKEY_TIMEOUT`).
  net.advance(6_000);
  ok(t, a, 'wg set wg0 private-key /dev/stdin', ok(t, a, 'wg genkey'));
  ping(56);
  t.deepEqual(transfer(), [received + 128, sent + 128 + 148], 'a handshake that nobody answers');
});

test('wg show for scripts, and wg showconf', (t) => {
  const { net, a, keys, ping } = pair(t);
  net.advance(7_000);
  ping(56);
  const [own, other] = [keys[0]!, keys[1]!];
  t.is(ok(t, a, 'wg show interfaces'), 'wg0\n');
  t.is(ok(t, a, 'wg show wg0 public-key'), `${own.pub}\n`);
  t.is(ok(t, a, 'wg show wg0 private-key'), own.key);
  t.is(ok(t, a, 'wg show all listen-port'), 'wg0\t51820\n');
  t.is(ok(t, a, 'wg show wg0 fwmark'), 'off\n');
  t.is(ok(t, a, 'wg show wg0 peers'), `${other.pub}\n`);
  t.is(ok(t, a, 'wg show all endpoints'), `wg0\t${other.pub}\t10.0.0.2:51820\n`);
  t.is(ok(t, a, 'wg show wg0 allowed-ips'), `${other.pub}\t192.168.7.2/32 10.9.0.0/16\n`);
  t.is(ok(t, a, 'wg show wg0 latest-handshakes'), `${other.pub}\t7\n`);
  t.is(ok(t, a, 'wg show wg0 transfer'), `${other.pub}\t220\t276\n`);
  t.is(
    ok(t, a, 'wg show wg0 dump'),
    `${own.key.trim()}\t${own.pub}\t51820\toff\n` +
      `${other.pub}\t(none)\t10.0.0.2:51820\t192.168.7.2/32,10.9.0.0/16\t7\t220\t276\toff\n`,
  );
  t.is(
    ok(t, a, 'wg showconf wg0'),
    `[Interface]
ListenPort = 51820
PrivateKey = ${own.key.trim()}

[Peer]
PublicKey = ${other.pub}
AllowedIPs = 192.168.7.2/32, 10.9.0.0/16
Endpoint = 10.0.0.2:51820
`,
  );
  ok(t, a, `wg set wg0 peer ${other.pub} remove`);
  t.is(ok(t, a, 'wg show wg0 peers'), '');
  ok(t, a, 'wg set wg0 private-key /dev/null');
  t.is(ok(t, a, 'wg show wg0 private-key'), '(none)\n');
});

test('what wg complains of is what wireguard-tools 1.0.20210914 does', (t) => {
  const host = new Network().host('h');
  const key = 'mXJDP0WGQIycNnal/D5y7FWT/vfPpJStusTR+lGKvG8=';
  for (const [line, complaint] of [
    ['pubkey', 'wg: Key is not the correct length or format\n'],
    ['set wg0 listen-port x', "Servname not supported for ai_socktype: `x'\n"],
    ['set wg0 peer x', "Key is not the correct length or format: `x'\n"],
    ['set wg0 foo', 'Invalid argument: foo\n'],
    ['set wg0 persistent-keepalive 5', 'Invalid argument: persistent-keepalive\n'],
    ['set wg0 fwmark zz', "Fwmark is neither 0/off nor 0-0xffffffff: `zz'\n"],
    ['set wg0 private-key /nonexist', 'fopen: No such file or directory\n'],
    [`set wg0 peer ${key} endpoint foo`, "Unable to find port of endpoint: `foo'\n"],
    [`set wg0 peer ${key} allowed-ips foo/99`, "Unable to parse IP address: `foo'\n"],
    [
      `set wg0 peer ${key} allowed-ips 10.0.0.0/99`,
      "AllowedIP is not in the correct format: `10.0.0.0/99'\n",
    ],
    [
      `set wg0 peer ${key} persistent-keepalive foo`,
      "Persistent keepalive interval is neither 0/off nor 1-65535: `foo'\n",
    ],
    ['genkey extra', 'Usage: wg genkey\n'],
    ['showconf', 'Usage: wg showconf <interface>\n'],
    ['show wg9', 'Unable to access interface: No such device\n'],
    ['set wg9 listen-port 1', 'Unable to modify interface: No such device\n'],
    ['show lo', 'Unable to access interface: Operation not supported\n'],
  ] as const)
    t.deepEqual(run(host, ['wg', ...line.split(' ')]), { text: complaint, code: 1 }, line);
});

needing('wg', 'wireguard-tools')('wg pubkey and the usage text are those of the real wg', (t) => {
  const host = new Network().host('h');
  const real = (args: string[], input = '') => {
    const { stdout, stderr, status } = spawnSync('wg', args, { input, encoding: 'utf8' });
    return { text: stdout + stderr, code: status ?? -1 };
  };
  for (let i = 0; i < 5; i++) {
    const key = ok(t, host, 'wg genkey');
    t.deepEqual(run(host, ['wg', 'pubkey'], key), real(['pubkey'], key));
  }
  for (const args of [['help'], ['foo'], ['show', '--help'], ['set'], ['genpsk', 'x']])
    t.deepEqual(run(host, ['wg', ...args]), real(args), args.join(' '));
});
