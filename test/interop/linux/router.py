"""A router of the Linux kernel, in a network namespace beside the one that this runs in: v0 10.0.1.1/24 and w0 10.0.2.1/24,
with the neighbours .2 to .8 of each; or a bridge br0 10.0.1.1/24 of the two, with neighbours 02:00:00:00:02:02 to 08. The
first line of stdin tells which, and shell commands to set it up. Each line after is a request:
{"port": 0 or 1, "frame": hex} sends a frame into v0 or w0 and tells what came out, {"run": command} tells its stdout."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time

IPV4 = 0x0800


router = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
router.stdout.readline()
INSIDE = f"nsenter -t {router.pid} -n sh -c "


def sh(command):
    subprocess.run(INSIDE + shlex.quote(command), shell=True, check=True, stdout=subprocess.DEVNULL)


def set_up(kind, commands):
    sh("ip link set lo up")
    sh("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000")
    sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
    sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
    for net, (dev, peer) in ((1, ("v0", "v1")), (2, ("w0", "w1"))):
        sh(f"ip link add {dev} address 02:00:00:00:00:01 type veth peer name {peer} address 02:00:00:00:00:02")
        sh(f"ip link set {peer} netns {os.getpid()}")
        subprocess.run(["ip", "link", "set", peer, "up"], check=True)
        sh(f"ip link set {dev} up")
        if kind == "bridge":
            continue
        sh(f"ip addr add 10.0.{net}.1/24 dev {dev}")
        for host in range(2, 9):
            sh(f"ip neigh add 10.0.{net}.{host} lladdr 02:00:00:00:00:02 dev {dev} nud permanent")
    if kind == "bridge":
        sh("ip link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0")
        sh("ip link set v0 master br0; ip link set w0 master br0; ip addr add 10.0.1.1/24 dev br0; ip link set br0 up")
        for host in range(2, 9):
            sh(f"ip neigh add 10.0.1.{host} lladdr 02:00:00:00:02:0{host} dev br0 nud permanent")
    for command in commands:
        sh(command)


def open_port(dev):
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
    port.bind((dev, IPV4))
    port.setblocking(False)
    return port


def drain(ports):
    out = []
    for number, port in enumerate(ports):
        while True:
            try:
                frame, address = port.recvfrom(65535)
            except BlockingIOError:
                break
            if address[2] != socket.PACKET_OUTGOING:
                out.append([number, frame.hex()])
    return out


def main():
    set_up(*json.loads(sys.stdin.readline()))
    ports = [open_port(dev) for dev in ("v1", "w1")]
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "run" in request:
            done = subprocess.run(INSIDE + shlex.quote(request["run"]), shell=True, capture_output=True, text=True)
            print(json.dumps(done.stdout), flush=True)
            continue
        drain(ports)
        ports[request["port"]].send(bytes.fromhex(request["frame"]))
        out = drain(ports)
        if not out:
            # It may be on another CPU still.
            time.sleep(0.002)
            out = drain(ports)
        print(json.dumps(out), flush=True)


try:
    main()
finally:
    router.kill()
