#!/usr/bin/env bash
# Installs a built platform on this machine: the program, its user, its directories, its systemd unit.
#
#   scripts/install.sh [PROGRAM]      PROGRAM is target/release/powernode if not given
#
# DESTDIR=/somewhere writes below that directory, and leaves users alone.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
program="${1:-$here/../target/release/powernode}"
root="${DESTDIR:-}"

if [ ! -x "$program" ]; then
    echo "error: no program at $program; build it with: cargo build --release -p powernode" >&2
    exit 1
fi
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    echo "error: installing needs root: sudo $0, or DESTDIR=/somewhere $0" >&2
    exit 1
fi

install -D -m 0755 "$program" "$root/usr/local/bin/powernode"
install -D -m 0644 "$here/powernode.service" "$root/etc/systemd/system/powernode.service"
install -d -m 0755 "$root/etc/powernode"
if [ ! -e "$root/etc/powernode/powernode.toml" ]; then
    printf '[server]\nbind = "127.0.0.1"\nport = 8080\n' > "$root/etc/powernode/powernode.toml"
fi
install -d -m 0755 "$root/var/lib/powernode" "$root/var/lib/powernode/extensions"
install -d -m 0700 "$root/var/lib/powernode/data"

if [ -z "$root" ]; then
    if ! id powernode > /dev/null 2>&1; then
        useradd --system --home-dir /var/lib/powernode --shell /usr/sbin/nologin powernode
    fi
    chown -R powernode:powernode /var/lib/powernode
    echo "Installed. Start it with: systemctl daemon-reload && systemctl enable --now powernode"
else
    echo "Installed below $root."
fi
