# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test uml: on two CPUs of user-mode Linux, what the parts kunit and vm
# do: the suites, and what scripts/guest has.

# shellcheck source=scripts/test.d/vm.sh
. "$REPO/scripts/test.d/vm.sh"
# shellcheck source=scripts/uml.sh
. "$REPO/scripts/uml.sh"
# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"

need_uml() {
	need_uml_tools
	need_filesystem_tools
}

# two_cpus NAME KERNEL_LOG: without the second it would be what the other parts do.
two_cpus() {
	grep -q 'Brought up .* 2 CPUs' "$2" && ok "$1: two CPUs" || not_ok "$1: two CPUs" "no; see $LOG"
}

# suites_on_two_cpus [KUNITCONFIG]
suites_on_two_cpus() {
	local only=${1:-*} config KUNIT_WAY=-smp

	# shellcheck disable=SC2231 # a pattern
	for config in "$REPO"/kunit/$only.kunitconfig; do
		one_kunitconfig "$config" --kconfig_add=CONFIG_SMP=y --kconfig_add=CONFIG_NR_CPUS=8 \
			--kernel_args=ncpus=2 --kernel_args=seccomp=on
		[ ! -s "$KUNIT_LOG" ] || two_cpus "$(basename "$config")" "$KUNIT_LOG"
	done
}

# part_uml [KUNITCONFIG]: with a name, only that suite and no guest
part_uml() {
	CURRENT='uml: patched kernel'
	work_tree main -1 || { not_ok "patched tree"; return; }
	uml_has_smp "$TREE" ||
		{ not_ok "user-mode Linux with two CPUs" "Linux $(kernel_version "$TREE") has none; 7.3 does"; return; }
	suites_on_two_cpus "$@"
	[ "$#" -eq 0 ] || return 0
	CURRENT='uml: kernel for the guest'
	if build_uml_kernel "$REPO"/kconfig/{uml,filesystems,debug,cachestat,pdflush}.config; then
		ok "kernel for the guest, every option as asked"
	else
		not_ok "kernel for the guest"
		return
	fi
	new_tmp
	vm_images
	boot run_uml checks 900
	two_cpus "guest checks" "$TMP/kernel.log"
	boot run_uml boot 300 pdflush=on
	if guest_programs; then boot run_uml selftests 600; else not_ok "selftests build"; fi
	vm_filesystems
	boot run_uml paths 900
	oracle_filesystems
	boot run_uml oracle 900
}
