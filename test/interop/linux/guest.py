"""Runs in a User-mode Linux kernel, beside its serial line: stdin and stdout. Starts namespaces (see namespace.py) by numbers, and
carries their lines: [number, line] is one for or of it, [number, null] its end. Tells the kernel's release as that of number 0.
Powers off when there is nobody at the line any more."""

import ctypes
import json
import os
import selectors
import sys
import termios
import traceback

import namespace

CLONE_NEWNET = 0x40000000
RB_POWER_OFF = 0x4321FEDC

libc = ctypes.CDLL(None)
children = {}
selector = selectors.DefaultSelector()


class Child:
    """A process that is namespace.py, without the time that Python takes to start here."""

    def __init__(self):
        (stdin, self.stdin), (self.stdout, stdout), (self.stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
        self.left = b""
        self.pid = os.fork()
        if self.pid == 0:
            become_namespace([stdin, stdout, stderr])
        for fd in stdin, stdout, stderr:
            os.close(fd)


def become_namespace(fds):
    code = 1
    try:
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.closerange(3, 1024)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError("no network namespace")
        namespace.main()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def say(number, line, said=""):
    sys.stdout.buffer.write(json.dumps([number, line, said]).encode() + b"\n")
    sys.stdout.buffer.flush()


def child_of(number):
    if number not in children:
        children[number] = Child()
        selector.register(children[number].stdout, selectors.EVENT_READ, number)
    return children[number]


def told(number, line):
    try:
        child = child_of(number)
        if line is None:
            os.close(child.stdin)
        else:
            os.write(child.stdin, line.encode() + b"\n")
    except BrokenPipeError:
        pass


def carry(number):
    child = children[number]
    data = os.read(child.stdout, 65536)
    *lines, child.left = (child.left + data).split(b"\n")
    for line in lines:
        say(number, line.decode())
    if data:
        return
    selector.unregister(child.stdout)
    with open(child.stderr, errors="replace") as errors:
        say(number, None, errors.read())
    os.close(child.stdout)
    os.waitpid(child.pid, 0)
    del children[number]


def main():
    selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ, None)
    say(0, os.uname().release)
    left = b""
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                carry(key.data)
                continue
            data = os.read(0, 65536)
            if not data:
                return
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                told(*json.loads(line))


try:
    main()
except BaseException:
    traceback.print_exc()
finally:
    termios.tcdrain(1)
    libc.reboot(RB_POWER_OFF)
