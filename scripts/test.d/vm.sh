# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test vm: in a patched kernel with lockdep and object debugging, run
# scripts/guest/checks, a short boot with pdflush=on, the kernel's selftests and
# scripts/guest/paths; and, except for vm:quick, a boot with nohz_full=1.  Any kernel warning is a failure.

# shellcheck source=scripts/lib/vm.sh
. "$REPO/scripts/lib/vm.sh"

need_vm() {
	need_vm_tools
	need_filesystem_tools
}

# Counts the guest's results as they arrive.
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

# What vm:quick runs.  Everything else in these scripts runs in user-mode Linux 7.3 with
# two CPUs, which is much faster but has no SysRq and no CPU hotplug; lockdep and the
# sysctl tables differ between bases.
QEMU_CHECKS='old data is written by pdflush alone, checksums match
SysRq sync, thaw and remount, with idle threads and without
SysRq sync does not skip a busy disk
no threads after the last device leaves pdflush'
QEMU_PATHS='trace events: an operation, run and refused
no lockdep reports'
QEMU_SELFTESTS='knobs
switch.is_the_only_writer
thread.are_ordinary
thread.survive_a_cpu'

# boot_some RUNNER SCRIPT SECONDS CHECKS: runs only these, and fails if one did not run
boot_some() {
	local name missing=''

	say "$4" >"$TMP/only"
	boot "$1" "$2" "$3"
	rm "$TMP/only"
	while IFS= read -r name; do
		case $2 in
		selftests)
			case $name in *.*) ;; *) name+='.[a-z_]*' ;; esac
			grep -qE "^(not )?ok selftest ${name%%.*}: .*\.${name#*.}(:|\$)" "$GUEST_OUT"
			;;
		*) grep -F -e "ok $name" "$GUEST_OUT" | grep -qE '^(not )?ok ' ;;
		esac || missing+="; $name"
	done <<<"$4"
	[ -z "$missing" ] || not_ok "guest $2: every requested check ran" "not run: ${missing#; } (see $LOG)"
}

# boot RUNNER SCRIPT SECONDS ARGUMENT...
boot() {
	local name=$2 red=$FAILED green=$PASSED

	CURRENT="$PART: guest $name"
	guest_image "$name"
	"$@"
	# what the guest says must have been counted
	if grep -q '^not ok ' "$GUEST_OUT" && [ "$FAILED" -eq "$red" ]; then
		not_ok "guest $name: $(grep -m 1 '^not ok ' "$GUEST_OUT")" "failed, and was not counted"
	elif [ "$FAILED" -eq "$red" ] && [ "$PASSED" -eq "$green" ]; then
		not_ok "guest $name: checks" "none was counted"
	fi
	guest_finished && ok "guest $name finished" ||
		not_ok "guest $name finished" "it did not${GUEST_TIMEOUT:+ in $GUEST_TIMEOUT s}; see $LOG"
	if [ -n "$(kernel_complaints "$TMP/kernel.log")" ]; then
		not_ok "guest $name: kernel log" "$(kernel_complaints "$TMP/kernel.log" | head -n 1) (see $LOG)"
	elif ! grep -q 'Linux version' "$TMP/kernel.log"; then
		not_ok "guest $name: kernel log" "there is none"
	else
		ok "guest $name: no warnings in the kernel log"
	fi
}

# part_vm [quick]
part_vm() {
	local quick=${1:-} run=boot more=("$REPO"/kconfig/{filesystems,nohz}.config)

	[ -z "$quick" ] || more=() run=boot_some
	CURRENT='vm: patched kernel'
	work_tree main -1 || { not_ok "patched tree"; return; }
	if build_vm_kernel "$REPO"/kconfig/{vm,debug,pdflush}.config ${more[@]+"${more[@]}"}; then
		ok "kernel for the guest, every option as asked"
	else
		not_ok "kernel for the guest"
		return
	fi
	new_tmp
	vm_images
	"$run" run_guest checks 1800 ${quick:+"$QEMU_CHECKS"}
	boot run_guest boot 300 pdflush=on
	[ -n "$quick" ] || boot run_guest nohz 300 nohz_full=1
	if guest_programs; then
		"$run" run_guest selftests 1200 ${quick:+"$QEMU_SELFTESTS"}
	else
		not_ok "selftests build"
	fi
	[ -n "$quick" ] || vm_filesystems
	"$run" run_guest paths 1800 ${quick:+"$QEMU_PATHS"}
}
