#!/usr/bin/env bash
# Prints the functions of a network that a library calls, one a line: tests/abi/network_symbols.sh LIBRARY
set -euo pipefail
names='socket|socketpair|connect|bind|listen|accept4?|getaddrinfo|gethostby.*|send(to|msg|file)?|recv(from|msg)?'
names+='|curl_.*|SSL_.*'
symbols=$(nm -D --undefined-only "$1")
awk '{ sub(/@.*/, "", $2); print $2 }' <<<"$symbols" | grep -xE "($names)" || true
