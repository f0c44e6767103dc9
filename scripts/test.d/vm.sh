# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test vm: scripts/guest/checks in a patched kernel with lockdep and the
# object debugging on; a short boot with pdflush=on; the kernel's selftests;
# scripts/guest/paths; and, but for vm:quick, a boot with nohz_full=1.  A complaint of the
# kernel's is a failure.

# shellcheck source=scripts/lib/vm.sh
. "$REPO/scripts/lib/vm.sh"

need_vm() {
	need_vm_tools
	need_filesystem_tools
}

# The guest's verdicts become ours as they come.
guest_lines() {
	local line

	while IFS= read -r line; do
		case $line in
		"ok "*) ok "${line#ok }" ;;
		"not ok "*)
			line=${line#not ok }
			not_ok "${line%%: *}" "${line#*: } (see $LOG)"
			;;
		"guest: finished") ;;
		*) say "$line" ;;
		esac
	done
}

# What a run by default leaves to QEMU: the rest of these two scripts runs on two CPUs
# of user-mode Linux 7.3, where all is as here but SysRq, and in a fraction of the time.
QEMU_CHECKS='old data leaves by pdflush alone, checksums right
SysRq sync, thaw and remount, with idle threads and without
SysRq sync does not skip a busy disk
no thread when the last device leaves pdflush'
QEMU_PATHS='trace events: an operation, run and refused
no complaint of lockdep'

# boot_some RUNNER SCRIPT SECONDS CHECKS: boots with only these, and misses none
boot_some() {
	local name missing=''

	say "$4" >"$TMP/only"
	boot "$1" "$2" "$3"
	rm "$TMP/only"
	while IFS= read -r name; do
		grep -qE "^(not )?ok " <(grep -F -e "ok $name" "$GUEST_OUT") || missing+="; $name"
	done <<<"$4"
	[ -z "$missing" ] || not_ok "guest $2: all that was asked for" "not run: ${missing#; } (see $LOG)"
}

# boot RUNNER SCRIPT SECONDS ARGUMENT...
boot() {
	local name=$2

	CURRENT="$PART: guest $name"
	guest_image "$name"
	"$@"
	guest_finished && ok "guest $name finished" ||
		not_ok "guest $name finished" "it did not${GUEST_TIMEOUT:+ in $GUEST_TIMEOUT s}; see $LOG"
	if [ -n "$(kernel_complaints "$TMP/kernel.log")" ]; then
		not_ok "guest $name: kernel log" "$(kernel_complaints "$TMP/kernel.log" | head -n 1) (see $LOG)"
	elif ! grep -q 'Linux version' "$TMP/kernel.log"; then
		not_ok "guest $name: kernel log" "there is none"
	else
		ok "guest $name: nothing bad in the kernel log"
	fi
}

# part_vm [quick]
part_vm() {
	local quick=${1:-}

	CURRENT='vm: patched kernel'
	work_tree main -1 || { not_ok "patched tree"; return; }
	if build_vm_kernel "$REPO"/kconfig/{vm,filesystems,debug,pdflush,nohz}.config; then
		ok "kernel for the guest, every option as asked"
	else
		not_ok "kernel for the guest"
		return
	fi
	new_tmp
	vm_images
	if [ -n "$quick" ]; then
		boot_some run_guest checks 1800 "$QEMU_CHECKS"
	else
		boot run_guest checks 1800
	fi
	boot run_guest boot 300 pdflush=on
	[ -n "$quick" ] || boot run_guest nohz 300 nohz_full=1
	if guest_programs; then boot run_guest selftests 1200; else not_ok "selftests build"; fi
	vm_filesystems
	if [ -n "$quick" ]; then
		boot_some run_guest paths 1800 "$QEMU_PATHS"
	else
		boot run_guest paths 1800
	fi
}
