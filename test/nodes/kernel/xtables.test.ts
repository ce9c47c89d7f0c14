import test, { type ExecutionContext } from 'ava';
import type { KernelEvent } from '../../../nodes/events/kernel.ts';
import type { IcmpErrorReport } from '../../../nodes/kernel/icmp.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { runIptables } from '../../../nodes/tools/iptables/iptables.ts';
import { split } from '../../../nodes/tools/iptables/restore.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { type Host, Network } from '../../support/network.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** a (10.1.0.2) and b (10.2.0.2) with a router (.1) between them. */
function lab(t: ExecutionContext) {
  const net = new Network();
  const [a, r, b] = [net.host('a'), net.host('r'), net.host('b')];
  net.attach(a, 'left', 'eth0', '10.1.0.2/24');
  net.attach(r, 'left', 'eth0', '10.1.0.1/24');
  net.attach(r, 'right', 'eth1', '10.2.0.1/24');
  net.attach(b, 'right', 'eth0', '10.2.0.2/24');
  r.kernel.root.ipForward = true;
  for (const [host, via] of [
    [a, '10.1.0.1'],
    [b, '10.2.0.1'],
  ] as const) {
    const nexthops = [{ via, dev: 'eth0', onlink: false, weight: 1 }];
    host.kernel.root.routes.set({
      dst: '0.0.0.0/0',
      type: 'unicast',
      protocol: 'static',
      scope: 'global',
      metric: 0,
      src: '',
      nexthops,
    });
  }
  const iptables = (host: Host, line: string) => {
    const { code, stderr } = runIptables(host.kernel.root, split(line));
    t.is(code, 0, `${line}: ${stderr}`);
  };
  return { net, a, r, b, iptables };
}

/** A UDP echo server that remembers who it was that spoke. */
function echo(host: Host, port: number): { readonly seen: string[] } {
  const seen: string[] = [];
  const socket = host.kernel.root.bindUdp({ addr: 0, port }, ({ src, srcPort, payload }) => {
    seen.push(`${src}:${srcPort}`);
    socket.sendTo(src, srcPort, payload.slice());
  });
  return { seen };
}

/** Sends a datagram; what came back, 'nothing', or the ICMP code that was told. */
function ask(net: Network, host: Host, dst: string, port: number, srcPort = 0): string {
  let answer = 'nothing';
  const socket = host.kernel.root.bindUdp({ addr: 0, port: srcPort }, ({ src, srcPort: from }) => {
    answer = `answer from ${src}:${from}`;
  });
  socket.onError = ({ type, code }: IcmpErrorReport) => {
    answer = `${type} ${code}`;
  };
  socket.sendTo(ip(dst), port, Uint8Array.of(1));
  net.advance(50);
  socket.close();
  return answer;
}

const from = (addr: string, port: number) => `answer from ${ip(addr)}:${port}`;

function folds(t: ExecutionContext, { rt, kernel }: Host): void {
  const fold = new KernelFold();
  for (const event of rt.events) fold.apply(event as KernelEvent);
  t.deepEqual(fold.view(), kernel.snapshot());
}

test('DROP says nothing, REJECT says why, and a policy decides on the rest', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  t.is(ask(net, a, '10.2.0.2', 53), from('10.2.0.2', 53));
  iptables(r, '-A FORWARD -p udp --dport 53 -j DROP');
  t.is(ask(net, a, '10.2.0.2', 53), 'nothing');
  iptables(r, '-R FORWARD 1 -p udp --dport 53 -j REJECT');
  t.is(ask(net, a, '10.2.0.2', 53), 'dest-unreachable 3');
  iptables(r, '-R FORWARD 1 -p udp --dport 53 -j REJECT --reject-with icmp-admin-prohibited');
  t.is(ask(net, a, '10.2.0.2', 53), 'dest-unreachable 13');
  iptables(r, '-F FORWARD');
  iptables(r, '-P FORWARD DROP');
  t.is(ask(net, a, '10.2.0.2', 53), 'nothing');
  iptables(r, '-A FORWARD -s 10.1.0.0/24 -j ACCEPT');
  iptables(r, '-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT');
  t.is(ask(net, a, '10.2.0.2', 53), from('10.2.0.2', 53));
  folds(t, r);
});

test('a reset for TCP: the connection is refused', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  b.kernel.root.listenTcp({ addr: 0, port: 80 }, () => {});
  iptables(r, '-A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset');
  let closed = '';
  a.kernel.root.connectTcp({ src: 0, dst: ip('10.2.0.2'), port: 80 }).onClosed = (reason) => {
    closed = reason;
  };
  net.advance(100);
  t.is(closed, 'refused');
});

test('DNAT and its undoing, MASQUERADE, hairpin by the host itself', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  const server = echo(b, 5353);
  iptables(r, '-t nat -A PREROUTING -d 10.1.0.1 -p udp --dport 53 -j DNAT --to-destination 10.2.0.2:5353');
  iptables(r, '-t nat -A OUTPUT -d 10.1.0.1 -p udp --dport 53 -j DNAT --to-destination 10.2.0.2:5353');
  t.is(ask(net, a, '10.1.0.1', 53, 4000), from('10.1.0.1', 53));
  t.deepEqual(server.seen, [`${ip('10.1.0.2')}:4000`]);
  iptables(r, '-t nat -A POSTROUTING -o eth1 -j MASQUERADE');
  t.is(ask(net, a, '10.1.0.1', 53, 4001), from('10.1.0.1', 53));
  t.deepEqual(server.seen.slice(1), [`${ip('10.2.0.1')}:4001`]);
  // OUTPUT: the packet of the host's own is routed anew.
  t.is(ask(net, r, '10.1.0.1', 53), from('10.1.0.1', 53));
  folds(t, r);
});

test('a mark chooses a route table', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  iptables(r, '-t mangle -A PREROUTING -p udp --dport 53 -j MARK --set-mark 7');
  iptables(r, '-A FORWARD -m mark --mark 7 -j REJECT');
  t.is(ask(net, a, '10.2.0.2', 53), 'dest-unreachable 3');
  t.is(ask(net, a, '10.2.0.2', 54), 'dest-unreachable 3');
  iptables(r, '-t mangle -A PREROUTING -p udp --dport 53 -j MARK --and-mark 8');
  t.is(ask(net, a, '10.2.0.2', 53), from('10.2.0.2', 53));
});

test('jumps come back, goto does not, RETURN ends a chain', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  for (const port of [1, 2, 3, 4]) echo(b, port);
  iptables(r, '-N J');
  iptables(r, '-N G');
  iptables(r, '-A J -p udp --dport 1 -j RETURN');
  iptables(r, '-A J -p udp --dport 2 -j DROP');
  iptables(r, '-A G -p udp --dport 9 -j DROP');
  iptables(r, '-A FORWARD -j J');
  iptables(r, '-A FORWARD -p udp --dport 3 -g G');
  iptables(r, '-A FORWARD -p udp --dport 1:3 -j REJECT');
  t.is(ask(net, a, '10.2.0.2', 1), 'dest-unreachable 3');
  t.is(ask(net, a, '10.2.0.2', 2), 'nothing');
  // Out of G the packet comes to the end of the builtin chain: its policy.
  t.is(ask(net, a, '10.2.0.2', 3), from('10.2.0.2', 3));
  t.is(ask(net, a, '10.2.0.2', 4), from('10.2.0.2', 4));
});

test('limit lets a burst through and then so many a time', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  const { seen } = echo(b, 53);
  ask(net, a, '10.2.0.2', 53);
  seen.length = 0;
  iptables(r, '-A FORWARD -p udp --dport 53 -m limit --limit 1/sec --limit-burst 3 -j ACCEPT');
  iptables(r, '-A FORWARD -p udp --dport 53 -j DROP');
  for (let i = 0; i < 6; i++) ask(net, a, '10.2.0.2', 53);
  t.is(seen.length, 3);
  net.advance(2_000);
  for (let i = 0; i < 6; i++) ask(net, a, '10.2.0.2', 53);
  t.is(seen.length, 5);
});

test('nth counts, random keeps to its share', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  const { seen } = echo(b, 53);
  ask(net, a, '10.2.0.2', 53);
  seen.length = 0;
  iptables(r, '-A FORWARD -p udp --dport 53 -m statistic --mode nth --every 3 --packet 1 -j DROP');
  const got = Array.from({ length: 9 }, () => ask(net, a, '10.2.0.2', 53) !== 'nothing');
  t.deepEqual(got, [true, false, true, true, false, true, true, false, true]);
  iptables(r, '-R FORWARD 1 -p udp --dport 53 -m statistic --mode random --probability 0.25 -j DROP');
  seen.length = 0;
  const socket = a.kernel.root.bindUdp({ addr: 0, port: 0 }, () => {});
  for (let i = 0; i < 2_000; i++) socket.sendTo(ip('10.2.0.2'), 53, Uint8Array.of(1));
  net.advance(100);
  t.true(Math.abs(seen.length / 2_000 - 0.75) < 0.03, String(seen.length));
});

test('recent: the third within a time is refused, until the time is over', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  iptables(
    r,
    '-A FORWARD -p udp --dport 53 -m recent --name dns --rcheck --seconds 10 --hitcount 2 -j REJECT',
  );
  iptables(r, '-A FORWARD -p udp --dport 53 -m recent --name dns --set');
  const fine = from('10.2.0.2', 53);
  t.deepEqual(
    [1, 2, 3].map(() => ask(net, a, '10.2.0.2', 53)),
    [fine, fine, 'dest-unreachable 3'],
  );
  folds(t, r);
  t.deepEqual(r.kernel.snapshot().recent[''], [{ list: 'dns', address: '10.1.0.2' }]);
  net.advance(11_000);
  t.is(ask(net, a, '10.2.0.2', 53), fine);
});

test('LOG and TRACE tell of the packet in the kernel’s words, and change nothing', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  iptables(r, '-t raw -A PREROUTING -p udp --dport 53 -j TRACE');
  iptables(r, '-N CHECK');
  iptables(r, '-A CHECK -s 10.9.0.0/16 -j DROP');
  iptables(r, '-A FORWARD -j CHECK');
  iptables(r, '-A FORWARD -p udp --sport 4000 -j LOG --log-prefix "fwd: "');
  t.is(ask(net, a, '10.2.0.2', 53, 4000), from('10.2.0.2', 53));
  const events = r.rt.events as KernelEvent[];
  const logged = events.flatMap((event) => (event.type === 'packet.logged' ? [event.line] : []));
  t.is(logged.length, 1);
  t.regex(
    logged[0]!,
    /^fwd: IN=eth0 OUT=eth1 MAC=52:54:00:00:01:00:52:54:00:00:00:00:08:00 SRC=10\.1\.0\.2 DST=10\.2\.0\.2 LEN=29 TOS=0x00 PREC=0x00 TTL=63 ID=\d+ PROTO=UDP SPT=4000 DPT=53 LEN=9 $/,
  );
  const traced = events.flatMap((event) =>
    event.type === 'packet.trace' ? [`${event.table}:${event.chain}:${event.kind}:${event.number}`] : [],
  );
  t.deepEqual(traced, [
    // The rule that begins the trace is not in it, as on Linux.
    'raw:PREROUTING:policy:2',
    'filter:FORWARD:rule:1',
    'filter:CHECK:return:2',
    'filter:FORWARD:rule:2',
    'filter:FORWARD:policy:3',
  ]);
  folds(t, r);
});

test('TCPMSS makes the MSS of a SYN smaller, and its checksum right', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  iptables(r, '-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000');
  let got = 0;
  b.kernel.root.listenTcp({ addr: 0, port: 80 }, (socket) => {
    socket.onData = (bytes) => {
      got += bytes.length;
    };
  });
  const socket = a.kernel.root.connectTcp({ src: 0, dst: ip('10.2.0.2'), port: 80 });
  socket.onConnected = () => socket.send(new Uint8Array(5_000));
  net.advance(1_000);
  t.is(got, 5_000);
  const largest = Math.max(...net.frames.map(({ frame }) => frame.length));
  t.is(largest, 14 + 20 + 20 + 1000);
});

test('counters count packets and bytes of the rules and policies that decide', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  iptables(r, '-A FORWARD -p udp --dport 53 -j ACCEPT');
  ask(net, a, '10.2.0.2', 53);
  ask(net, a, '10.2.0.2', 53);
  const { stdout } = runIptables(r.kernel.root, ['-vS', 'FORWARD']);
  t.is(stdout, '-P FORWARD ACCEPT -c 2 58\n-A FORWARD -p udp -m udp --dport 53 -c 2 58 -j ACCEPT\n');
});

test('NOTRACK keeps packets out of conntrack', (t) => {
  const { net, a, r, b, iptables } = lab(t);
  echo(b, 53);
  iptables(r, '-t raw -A PREROUTING -p udp -j NOTRACK');
  iptables(r, '-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT');
  iptables(r, '-P FORWARD DROP');
  t.is(ask(net, a, '10.2.0.2', 53), from('10.2.0.2', 53));
  t.is(r.kernel.root.conntrack.count, 0);
});
