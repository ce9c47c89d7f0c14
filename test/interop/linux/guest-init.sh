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
# A namespace within another begins with the variables of that one, and without IPv6, as ours do.
echo 3 >/proc/sys/net/core/devconf_inherit_init_net
# Who waits for a neighbour asks again, or gives up, by the clock: not while a test is at it.
for time in retrans_time_ms=100000 delay_first_probe_time=100; do
  echo "${time#*=}" >"/proc/sys/net/ipv4/neigh/default/${time%=*}"
done
/run/bin/modprobe ipv6 disable_ipv6=1
/run/bin/modprobe -a veth bridge br_netfilter 8021q

exec python3 "$(dirname "$0")/guest.py"
