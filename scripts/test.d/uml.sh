# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test uml: the KUnit suites and the guest scripts, as in kunit and vm, in
# user-mode Linux with two CPUs.

# shellcheck source=scripts/test.d/vm.sh
. "$REPO/scripts/test.d/vm.sh"
# shellcheck source=scripts/lib/uml.sh
. "$REPO/scripts/lib/uml.sh"
# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"

need_uml() {
	need_uml_tools
	need_filesystem_tools
}

# two_cpus NAME KERNEL_LOG: did the second CPU come up?
two_cpus() {
	grep -q 'Brought up .* 2 CPUs' "$2" && ok "$1: two CPUs" || not_ok "$1: two CPUs" "no; see $LOG"
}

suites_on_two_cpus() {
	local config KUNIT_WAY=-smp

	for config in "$REPO"/kunit/*.kunitconfig; do
		one_kunitconfig "$config" --kconfig_add=CONFIG_SMP=y --kconfig_add=CONFIG_NR_CPUS=8 \
			--kernel_args=ncpus=2 --kernel_args=seccomp=on
		[ ! -s "$KUNIT_LOG" ] || two_cpus "$(basename "$config")" "$KUNIT_LOG"
	done
}

# part_uml [quick]: quick builds one kernel, with lockdep, for the suites and the guest
part_uml() {
	CURRENT='uml: patched kernel'
	# a separate tree: mutations modifies it
	work_tree uml -1 || { not_ok "patched tree"; return; }
	uml_has_smp "$TREE" ||
		{ not_ok "user-mode Linux with two CPUs" "Linux $(kernel_version "$TREE") has none; 7.3 does"; return; }
	if [ "${1:-}" = quick ]; then
		guest_in_uml tests || return 0
		suites_in_guest_kernel
		guest_boots oracle_time=3 kunit.enable=0
	else
		suites_on_two_cpus
		guest_in_uml || return 0
		guest_boots
	fi
}

# guest_in_uml [FRAGMENT]: KERNEL
guest_in_uml() {
	CURRENT='uml: kernel for the guest'
	if build_uml_kernel "$REPO"/kconfig/{uml,filesystems,debug,cachestat,pdflush}.config ${1:+"$REPO/kconfig/$1.config"}; then
		ok "kernel for the guest, every option as asked"
	else
		not_ok "kernel for the guest"
		return 1
	fi
}

suites_in_guest_kernel() {
	local rc=0

	CURRENT='uml: KUnit'
	KUNIT_LOG=${KERNEL%/*}/test.log
	kunit_exec --kernel_args=ncpus=2 --kernel_args=seccomp=on || rc=$?
	kunit_verdict "KUnit with lockdep" "$rc"
	[ ! -s "$KUNIT_LOG" ] || two_cpus KUnit "$KUNIT_LOG"
}

# guest_boots [KERNEL_ARGUMENT...]
guest_boots() {
	new_tmp
	vm_images
	boot run_uml checks 1800 "$@"
	two_cpus "guest checks" "$TMP/kernel.log"
	boot run_uml boot 300 pdflush=on "$@"
	if guest_programs; then boot run_uml selftests 1200 "$@"; else not_ok "selftests build"; fi
	vm_filesystems
	boot run_uml paths 1800 "$@"
	oracle_filesystems
	boot run_uml oracle 900 "$@"
}
