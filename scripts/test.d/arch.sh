# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # for kunit.sh
#
# scripts/test arch: the suites on other machines in QEMU: i386 for 32 bits, s390 for
# big endian, arm64, and x86-64 with PREEMPT_RT and two CPUs.  QEMU emulates a stronger
# memory model than arm64 has, on one CPU here: of barriers this says nothing, docs/model
# does.

# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"

need_arch() {
	need_kunit
	need qemu-system-i386:qemu-system-x86 qemu-system-aarch64:qemu-system-arm \
		qemu-system-s390x:qemu-system-misc aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu \
		s390x-linux-gnu-gcc:gcc-s390x-linux-gnu
}

# suites_on MACHINE ARCH PREFIX [ARGUMENT...]: PREFIX is that of the compiler's commands
suites_on() {
	local arch=$2 prefix=$3 KUNIT_ON=$1 KUNIT_WAY=-${1// /-} KUNIT_TIMEOUT=1200
	shift 3

	one_kunitconfig "$TMP/pdflush.kunitconfig" --arch="$arch" ${prefix:+--cross_compile="$prefix"} \
		--make_options="CC=ccache ${prefix}gcc" "$@"
}

part_arch() {
	work_tree main -1 || { not_ok "patched tree"; return; }
	new_tmp
	# Not all options that are off there, to build faster, can be off on other machines.
	grep -v '^# CONFIG_' "$REPO/kunit/pdflush.kunitconfig" >"$TMP/pdflush.kunitconfig"
	suites_on i386 i386 ''
	suites_on s390 s390 s390x-linux-gnu-
	suites_on arm64 arm64 aarch64-linux-gnu-
	suites_on PREEMPT_RT x86_64 '' --kconfig_add=CONFIG_SMP=y --kconfig_add=CONFIG_EXPERT=y \
		--kconfig_add=CONFIG_PREEMPT_RT=y --qemu_args='-smp 2'
}
