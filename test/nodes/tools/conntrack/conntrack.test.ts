import test from 'ava';
import { NF_LOCAL_OUT } from '../../../../nodes/kernel/netfilter/hooks.ts';
import { Network } from '../../../support/network.ts';
import { addDefault, ip, natTable, to, udpClient, udpEcho } from '../../kernel/netfilter/lab.ts';
import { run } from '../support/run.ts';

/**
 * What conntrack 1.4.7 printed in a network namespace of Linux 6.18 with these flows (10.0.0.1 asks 10.0.0.2, 10.96.0.10 is
 * DNATed to it, OUTPUT sets connmark 16); the order is ours.
 */
const RECORDED = `tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.96.0.10 sport=40001 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=40001 [ASSURED] mark=16 use=1
tcp      6 59 CLOSE_WAIT src=10.0.0.1 dst=10.96.0.10 sport=40001 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=8080 dport=40001 [ASSURED] mark=16 use=1
udp      17 29 src=10.0.0.1 dst=10.96.0.10 sport=40010 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=5353 dport=40010 mark=16 use=1
udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=40010 dport=99 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=99 dport=40010 mark=16 use=1
udp      17 29 src=10.0.0.1 dst=10.0.0.77 sport=40010 dport=99 [UNREPLIED] src=10.0.0.77 dst=10.0.0.1 sport=99 dport=40010 mark=16 use=1
icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=6738 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=6738 mark=16 use=1
`;
const [ESTABLISHED, CLOSE_WAIT, DNS, CLOSED_PORT, NOBODY, ECHO] = RECORDED.trim()
  .split('\n')
  .map((line) => `${line}\n`) as [string, string, string, string, string, string];
const V = 'conntrack v1.4.7 (conntrack-tools)';
const HINT = "Try `conntrack -h' or 'conntrack --help' for more information.\n";

function lab() {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  const { root } = a.kernel;
  addDefault(root, '10.0.0.2');
  natTable(root, [
    { dst: '10.96.0.10', port: 80, target: to('10.0.0.2', 8080) },
    { dst: '10.96.0.10', port: 53, target: to('10.0.0.2', 5353) },
  ]);
  root.netfilter.register(NF_LOCAL_OUT, 0, (skb) => {
    if (skb.ctState === 'new' && skb.ct !== null) skb.ct.mark = 16;
    return 'accept';
  });
  udpEcho(b.kernel.root, 5353);
  b.kernel.root.listenTcp({ addr: 0, port: 8080 }, () => {});
  const sockets = [0, 1].map(() => root.connectTcp({ src: 0, dst: ip('10.96.0.10'), port: 80 }));
  const client = udpClient(root, 40_010);
  client.send('10.96.0.10', 53, 'x');
  client.send('10.0.0.2', 99, 'x');
  client.send('10.0.0.77', 99, 'x');
  root
    .openIcmp({ onReply: () => {}, onError: () => {} })
    .sendEcho(ip('10.0.0.2'), { id: 6738, seq: 1, size: 8 });
  net.advance(10);
  sockets[1]!.close();
  net.advance(100);
  /** With the ports that TCP drew told as those of the record, and stderr behind it. */
  const conntrack = (args: string) => {
    const { streams, code } = run(`conntrack ${args}`, root);
    let { stdout } = streams;
    for (const { local } of sockets) stdout = stdout.replaceAll(String(local.port), '40001');
    return { stdout, stderr: streams.stderr, code };
  };
  return { net, root, conntrack };
}

const shown = (count: number) => `${V}: ${count} flow entries have been shown.\n`;

test('-L prints what the real one does', (t) => {
  const { conntrack } = lab();
  t.deepEqual(conntrack('-L'), { stdout: RECORDED, stderr: shown(6), code: 0 });
});

test('-L with filters', (t) => {
  const { conntrack } = lab();
  const cases: readonly (readonly [string, string])[] = [
    ['-p tcp', ESTABLISHED + CLOSE_WAIT],
    ['-p 17', DNS + CLOSED_PORT + NOBODY],
    ['-p tcp --state ESTABLISHED', ESTABLISHED],
    ['-u ASSURED', ESTABLISHED + CLOSE_WAIT],
    ['-u UNREPLIED', CLOSED_PORT + NOBODY],
    ['-u assured,seen_reply', ESTABLISHED + CLOSE_WAIT],
    ['-d 10.96.0.10', ESTABLISHED + CLOSE_WAIT + DNS],
    ['--src 10.0.0.0/24 -p udp', DNS + CLOSED_PORT + NOBODY],
    ['-p udp --dport 53', DNS],
    ['-p udp --sport 40010 --orig-port-dst=99', CLOSED_PORT + NOBODY],
    ['-r 10.0.0.2', ESTABLISHED + CLOSE_WAIT + DNS + CLOSED_PORT + ECHO],
    ['-q 10.0.0.1', RECORDED],
    ['-g', ESTABLISHED + CLOSE_WAIT + DNS + ECHO],
    ['-g 10.0.0.2 -p udp', DNS],
    ['-n', ECHO],
    ['-n 1.2.3.4', ''],
    ['-m 16', RECORDED],
    ['-m 0x10/0xff', RECORDED],
    ['--mark 1', ''],
    ['-m foo', RECORDED],
    ['-f ipv4', RECORDED],
    ['-f ipv6', ''],
    ['-p icmp --icmp-type 8', ECHO],
    ['-p tcp --sport foo', ''],
    ['dying', ''],
  ];
  for (const [args, expected] of cases) t.is(conntrack(`-L ${args}`).stdout, expected, args);
});

test('-L -o', (t) => {
  const { conntrack } = lab();
  t.is(conntrack('-L -o extended -p icmp').stdout, `ipv4     2 ${ECHO}`);
  t.regex(conntrack('-L -o id -p icmp').stdout, / mark=16 use=1 id=\d+\n$/);
  t.is(
    conntrack('-L -o save').stdout,
    `-A -t 431999 -u SEEN_REPLY,ASSURED -s 10.0.0.1 -d 10.96.0.10 -g 10.0.0.2 -q 10.0.0.1 -p tcp --sport 40001 --dport 80 --reply-port-src 8080 --reply-port-dst 40001 --state ESTABLISHED
-A -t 59 -u SEEN_REPLY,ASSURED -s 10.0.0.1 -d 10.96.0.10 -g 10.0.0.2 -q 10.0.0.1 -p tcp --sport 40001 --dport 80 --reply-port-src 8080 --reply-port-dst 40001 --state CLOSE_WAIT
-A -t 29 -u SEEN_REPLY -s 10.0.0.1 -d 10.96.0.10 -g 10.0.0.2 -q 10.0.0.1 -p udp --sport 40010 --dport 53 --reply-port-src 5353 --reply-port-dst 40010
-A -t 29 -u UNSET -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -q 10.0.0.1 -p udp --sport 40010 --dport 99 --reply-port-src 99 --reply-port-dst 40010
-A -t 29 -u UNSET -s 10.0.0.1 -d 10.0.0.77 -r 10.0.0.77 -q 10.0.0.1 -p udp --sport 40010 --dport 99 --reply-port-src 99 --reply-port-dst 40010
-A -t 29 -u SEEN_REPLY -s 10.0.0.1 -d 10.0.0.2 -r 10.0.0.2 -q 10.0.0.1 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 6738
`,
  );
});

test('-D, -U, -C, -F, -S', (t) => {
  const { conntrack, root } = lab();
  t.deepEqual(conntrack('-C'), { stdout: '6\n', stderr: '', code: 0 });
  t.deepEqual(conntrack('-D -p udp --dport 53'), {
    stdout: DNS,
    stderr: `${V}: 1 flow entries have been deleted.\n`,
    code: 0,
  });
  t.deepEqual(conntrack('-D -p udp --dport 53'), {
    stdout: '',
    stderr: `${V}: 0 flow entries have been deleted.\n`,
    code: 1,
  });
  t.is(conntrack('-U -p icmp -m 5').stdout, ECHO.replace('mark=16', 'mark=5'));
  t.is(root.conntrack.count, 5);
  t.deepEqual(conntrack('-F'), {
    stdout: '',
    stderr: `${V}: connection tracking table has been emptied.\n`,
    code: 0,
  });
  t.is(conntrack('-C').stdout, '0\n');
  t.is(
    conntrack('-S').stdout,
    'cpu=0   \tfound=0 invalid=0 insert=0 insert_failed=0 drop=0 early_drop=0 error=0 search_restart=0 clash_resolve=0 chaintoolong=0 \n',
  );
});

test('bad usage, as the real one complains of it', (t) => {
  const { conntrack } = lab();
  const cases: readonly (readonly [string, string])[] = [
    ['-L foo', "unknown type `foo'"],
    ['-L -p foo', "`foo' unsupported protocol"],
    ['-L -x', "unknown option `-x'"],
    ['-L --dport 53', "unknown option `--dport'"],
    ['-L -p udp --state ESTABLISHED', "unknown option `--state'"],
    ['-L --list', "unknown option `--list'"],
    ['-L -s nonsense', "Invalid IP address `nonsense'"],
    ['-L -d 1.2.3.4/33', 'Invalid netmask'],
    ['-L -d 10.0.0.0/255.0.0.0', 'Invalid netmask'],
    ['-L -p tcp --state FOO', "unknown TCP state `FOO'"],
    ['-L -u FOO', "Bad parameter `FOO'"],
    ['-L -o foo', "Bad parameter `foo'"],
    ['-L -f foo', "`foo' unsupported protocol"],
    ['-L -C', 'Invalid commands combination'],
    ['-L -s', "option `-s' requires an argument"],
    ['-L --status', "option `--status' requires an argument"],
    ['-F -p tcp', "Illegal option `--protonum' with this command"],
    ['-L -t 5', "Illegal option `--timeout' with this command"],
    ['-p tcp', "Illegal option `--protonum' with this command"],
    ['-S foo', "unknown type `foo'"],
  ];
  for (const [args, message] of cases)
    t.deepEqual(conntrack(args), { stdout: '', stderr: `${V}: ${message}\n${HINT}`, code: 2 }, args);
  t.is(conntrack('--version').stdout, `${V}\n`);
  t.is(conntrack('').stdout, conntrack('-h').stdout);
});
