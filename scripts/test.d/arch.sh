# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test arch: the KUnit suites in QEMU on i386 (32 bits), arm64 (compiled for a
# weak memory model) and s390 (big endian).  With one CPU this does not test barriers;
# docs/model does.

# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"

need_arch() {
	need_kunit
	need qemu-system-i386:qemu-system-x86 qemu-system-aarch64:qemu-system-arm \
		qemu-system-s390x:qemu-system-misc aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu \
		s390x-linux-gnu-gcc:gcc-s390x-linux-gnu
}

# suites_on ARCH [COMPILER_PREFIX]
suites_on() {
	local KUNIT_WAY=-$1 KUNIT_TIMEOUT=900

	one_kunitconfig "$REPO/kunit/pdflush.kunitconfig" --arch="$1" --cross_compile="${2:-}" \
		--make_options="CC=ccache ${2:-}gcc"
}

part_arch() {
	work_tree main -1 || { not_ok "patched tree"; return; }
	suites_on i386
	suites_on arm64 aarch64-linux-gnu-
	suites_on s390 s390x-linux-gnu-
}
