#!/usr/bin/env bash
# Installs what the tests need beyond Go, and only what is missing: Redis as the yardstick of replies and speed, its tools,
# redis-py, Node.js, the two Node.js clients, what cuts networks, and what the page on operating uses. It asks nothing and always succeeds: where it may not
# install, it says so, and the tests tell what they had to leave out.
set -uo pipefail
cd "$(dirname "$0")"

say() { printf 'deps: %s\n' "$*" >&2; }

packages=()
need() { # need PACKAGE COMMAND...: the package is missing when the command fails
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || packages+=("$package")
}
need redis-server command -v redis-server
need redis-tools command -v redis-benchmark
need python3-redis /usr/bin/python3 -c 'import redis'
need iproute2 command -v ip
need openssl command -v openssl
need nftables command -v nft
need nodejs command -v node
need npm command -v npm

install() {
	local root=()
	if [ "$(id -u)" -ne 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			say "not root, so cannot install: $*"
			return
		fi
		root=(sudo -n)
	fi
	if ! command -v apt-get >/dev/null; then
		say "no apt-get here: please install $*"
		return
	fi
	say "installing $*"
	# RUNLEVEL=1 keeps the packages from starting services: the tests start the servers they need, on ports of their own.
	local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout 300 apt-get -y -o DPkg::Lock::Timeout=60)
	"${apt[@]}" install --no-install-recommends "$@" >/dev/null 2>&1 ||
		{ "${apt[@]}" update >/dev/null 2>&1 && "${apt[@]}" install --no-install-recommends "$@" >/dev/null; } ||
		say "could not install: $*"
}

# One at a time: a package that cannot be had must not keep out the others.
for p in "${packages[@]}"; do
	install "$p"
done

if [ clients/package-lock.json -nt clients/node_modules/.package-lock.json ]; then
	if command -v npm >/dev/null; then
		say "npm ci in tests/clients"
		(cd clients && timeout 300 npm ci --no-audit --no-fund --loglevel=error >/dev/null) || say "could not run npm ci"
	else
		say "no npm: the Node.js clients are left out"
	fi
fi
exit 0
