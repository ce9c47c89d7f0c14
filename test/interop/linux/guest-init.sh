#!/bin/sh
# First process of a User-mode Linux kernel whose root is the host's, read-only: see guest.ts.
export PATH=/run/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty raw -echo
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run

# Its modules are not in /lib/modules, which there may not even be.
mkdir -p /run/root/lib/modules /run/bin
ln -s "/usr/lib/uml/modules/$(uname -r)" /run/root/lib/modules/
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/root "$@"\n' >/run/bin/modprobe
chmod +x /run/bin/modprobe
echo /run/bin/modprobe >/proc/sys/kernel/modprobe
/run/bin/modprobe -a ipv6 veth bridge br_netfilter 8021q

exec python3 "$(dirname "$0")/guest.py"
