"""A network namespace of the Linux kernel beside the one that this runs in, with ports: veths whose other ends are here. The first
line of stdin is {"ports": [[name, mac, peer's mac], …], "setUp": [shell command, …]}. Each line after is a request:
{"port": number, "frame": hex} sends a frame into a port and tells what came out of all, {"run": command} tells a shell command's
stdout and whether it succeeded, {"exchange": [[port, hex], …], "within": seconds} sends frames and waits for what a process inside
may answer: until a frame has come out, or in vain."""

import ctypes
import fcntl
import json
import os
import re
import select
import shlex
import socket
import struct
import subprocess
import sys
import time

ETH_P_ALL = 0x0003
ETH_P_8021Q = 0x8100
ETH_P_IP = 0x0800
ETH_P_SENTINEL = 0x88B5
IPPROTO_IGMP = 2
IGMPV3_ROUTERS = bytes([224, 0, 0, 22])
PACKET_AUXDATA = 8
SOL_PACKET = 263
TP_STATUS_CSUMNOTREADY = 1 << 3
TP_STATUS_VLAN_VALID = 1 << 4
# A frame crosses fewer queues than this between one port and another.
ROUNDS = 6

libc = ctypes.CDLL(None)

# A namespace begins with what the machine's administrator has set for IPv4 (devconf_inherit_init_net): these are Linux' own values.
OWN = """accept_local=0 accept_redirects=1 accept_source_route=1 arp_accept=0 arp_announce=0 arp_filter=0 arp_ignore=0 arp_notify=0
 log_martians=0 promote_secondaries=0 proxy_arp=0 route_localnet=0 rp_filter=0 secure_redirects=1 send_redirects=1 shared_media=1"""
SYSCTLS = [
    *(f"net.ipv4.conf.{dev}.{value}" for dev in ("all", "default", "lo") for value in OWN.split()),
    "net.ipv4.conf.all.accept_source_route=0",
    "net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000",
    # Multicast listeners report themselves at once, before the rules of a test can count it.
    "net.ipv6.conf.default.mldv2_unsolicited_report_interval=1",
    "net.ipv4.ip_forward=1",
]
LINKS = "ip -o link"
NO_IPV6 = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"


class Inside:
    """The namespace within: a shell in it that takes commands. To enter it for each takes three programs instead of one, and in a
    guest the start of a program takes longer than what it does."""

    def __init__(self):
        self.outputs = [appended(number, name) for number, name in ((8, "stdout"), (9, "stderr"))]
        self.shell = subprocess.Popen(
            ["unshare", "-n", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=self.outputs
        )

    def do(self, command, where):
        """In a shell of its own, as it were: what it changes in there, or gets wrong, ends with it. Tells the status."""
        self.shell.stdin.write(f"(eval {shlex.quote(command)}) </dev/null {where}\necho $?\n")
        self.shell.stdin.flush()
        return int(self.shell.stdout.readline())

    def run(self, command):
        """What it says on stdout and stderr, and the status between."""
        for output in self.outputs:
            os.truncate(output, 0)
        code = self.do(command, ">&8 2>&9")
        stdout, stderr = (os.pread(output, os.fstat(output).st_size, 0).decode() for output in self.outputs)
        return [stdout, code, stderr]

    def set_up(self, command):
        if self.do(command, ">/dev/null") != 0:
            raise RuntimeError(f"not taken: {command}")

    def end(self):
        self.shell.kill()


def appended(number, name):
    """A file in memory under this descriptor, a single digit as the shell wants it, for whoever has it to write to its end."""
    file = os.memfd_create(name)
    os.dup2(file, number)
    os.close(file)
    fcntl.fcntl(number, fcntl.F_SETFL, os.O_APPEND)
    return number


# What `ip -batch` reads as the shell does. An option before the object is not for its lines.
PLAIN_IP = re.compile(r"ip (\w[\w .:/=,+-]*)")


def batch(lines):
    """As few processes as may be: in a guest each takes its time."""
    return "\n".join(["ip -batch - <<end", *lines, "end"])


def script(commands):
    """One for all of them that ends with the first that fails."""
    parts = ["set -e"]
    lines = []
    for command in [*commands, None]:
        plain = command is not None and PLAIN_IP.fullmatch(command)
        if plain:
            lines.append(plain[1])
            continue
        if lines:
            parts.append(batch(lines))
            lines = []
        if command is not None:
            parts.append(command)
    return "\n".join(parts)


def set_up(ports, commands, inside):
    links = ["link set lo up"]
    for dev, mac, far in ports:
        links += [
            f"link add {dev} address {mac} type veth peer name {dev}-far address {far}",
            f"link set {dev}-far netns {os.getpid()}",
            f"link set {dev} up",
        ]
    far_ends = [f"link set {dev}-far up" for dev, _, _ in ports]
    queue = ["link add q0 type veth peer name q1", "link set q0 up", "link set q1 up"]
    inside.set_up(f"{NO_IPV6} {' '.join(SYSCTLS)} && {batch(links)}")
    subprocess.run(["sh", "-c", f"{NO_IPV6} && {batch([*far_ends, *queue])}"], check=True, stdout=subprocess.DEVNULL)
    await_up([dev for dev, _, _ in ports], lambda: inside.run(LINKS)[0])
    far = [*(f"{dev}-far" for dev, _, _ in ports), "q0", "q1"]
    await_up(far, lambda: subprocess.run(LINKS.split(), capture_output=True, text=True).stdout)
    if commands:
        inside.set_up(script(commands))


def await_up(devices, links):
    """Until then a device drops what it is given: that its link is up is told by a worker that may be late."""
    while True:
        states = {line.split()[1].split("@")[0].rstrip(":"): " state UP " in line for line in links().splitlines()}
        if all(states.get(device) for device in devices):
            return


def open_port(dev, kind=ETH_P_ALL):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    port.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    port.bind((dev, kind))
    return port


def checksum(data, start=0):
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def completed(frame):
    """A frame with the checksum that Linux leaves to the hardware."""
    if frame[12:14] == b"\x86\xdd":
        proto, at, addresses = frame[20], 54, frame[22:54]
        end = at + struct.unpack_from("!H", frame, 18)[0]
    else:
        proto, at, addresses = frame[23], 14 + (frame[14] & 15) * 4, frame[26:34]
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
    if frame[12:14] not in (b"\x08\x00", b"\x86\xdd") or proto not in (6, 17):
        return frame
    field = at + (16 if proto == 6 else 6)
    body = frame[at : field] + b"\0\0" + frame[field + 2 : end]
    pseudo = addresses + struct.pack("!HH", proto, end - at)
    value = checksum(pseudo + body)
    return frame[:field] + struct.pack("!H", value or 0xFFFF) + frame[field + 2 :]


def is_unasked(frame):
    """What a host sends when it likes: reports of multicast listeners, router solicitations."""
    if frame[12:14] == b"\x08\x00":
        return frame[23] == IPPROTO_IGMP and frame[30:34] == IGMPV3_ROUTERS
    if frame[12:14] != b"\x86\xdd":
        return False
    if frame[20] == 0 and frame[54] == 58:
        return frame[54 + 8 * (frame[55] + 1)] in (130, 131, 132, 143)
    return frame[20] == 58 and frame[54] == 133


def receive(port):
    """A frame as it was on the wire; None if it is one that this end sent."""
    frame, control, _, address = port.recvmsg(65600, 128, socket.MSG_DONTWAIT)
    if address[2] == socket.PACKET_OUTGOING or is_unasked(frame):
        return None
    for level, kind, data in control:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data)
            if status & TP_STATUS_CSUMNOTREADY:
                frame = completed(frame)
            if status & TP_STATUS_VLAN_VALID:
                frame = frame[:12] + struct.pack("!HH", tpid or ETH_P_8021Q, tci) + frame[12:]
    return frame


def drain(ports):
    out = []
    for number, port in enumerate(ports):
        while True:
            try:
                frame = receive(port)
            except BlockingIOError:
                break
            if frame is not None:
                out.append([number, frame.hex()])
    return out


def serve(inside):
    given = json.loads(sys.stdin.readline())
    set_up(given["ports"], given["setUp"], inside)
    ports = [open_port(f"{dev}-far") for dev, _, _ in given["ports"]]
    tail, head = open_port("q0", ETH_P_SENTINEL), open_port("q1", ETH_P_SENTINEL)
    sentinel = b"\xff" * 6 + b"\x02\0\0\0\0\x09" + struct.pack("!H", ETH_P_SENTINEL) + bytes(46)

    def settle():
        """Waits until what was sent before, and what came of it, has been through the queues."""
        for _ in range(ROUNDS):
            tail.send(sentinel)
            head.recv(100)

    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "run" in request:
            print(json.dumps(inside.run(request["run"])), flush=True)
            continue
        if "exchange" in request:
            for number, frame in request["exchange"]:
                ports[number].send(bytes.fromhex(frame))
            end = time.monotonic() + request["within"]
            out = drain(ports)
            while not out and (left := end - time.monotonic()) > 0:
                select.select(ports, [], [], left)
                out = drain(ports)
            print(json.dumps(out), flush=True)
            continue
        settle()
        drain(ports)
        ports[request["port"]].send(bytes.fromhex(request["frame"]))
        settle()
        print(json.dumps(drain(ports)), flush=True)


def main():
    # What a veth is given waits in the queue of its CPU, in order: one for all, where the scheduler has found room.
    os.sched_setaffinity(0, {libc.sched_getcpu()})
    inside = Inside()
    try:
        serve(inside)
    finally:
        inside.end()


if __name__ == "__main__":
    main()
