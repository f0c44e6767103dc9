# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153 # used and set by the scripts that source this
#
# The guest in user-mode Linux, an ordinary process at nearly native speed, with SMP
# since 7.3.  Disks, initramfs and interface are those of vm.sh, which is sourced first.

need_uml_tools() {
	need_guest_tools
}

# build_uml_kernel FRAGMENT...: sets KERNEL to the UML kernel of TREE, built with
# kconfig/guest.config and these
build_uml_kernel() {
	local MAKE_KERNEL=("${MAKE_KERNEL[@]}" ARCH=um)

	build_guest_kernel uml linux linux "$@"
}

# run_uml SCRIPT SECONDS [KERNEL_ARGUMENT...]: as run_guest.  A kernel without SMP or seccomp
# ignores these arguments.  It runs in TMP, as paths on its command line cannot contain
# commas or colons, with TMP unset, so that its memory is in /dev/shm.
run_uml() {
	local script=$1 limit=$2
	shift 2

	new_guest_logs "kernel-uml$ON"
	# in a lane it stays in the process group of all lanes
	[ -n "${LANE:-}" ] || set -m
	env -C "$TMP" -u TMP "$KERNEL" mem=1G ncpus=2 seccomp=on uml_dir=./ umid=uml \
		initrd=initrd rdinit=/init panic=-1 null_blk.nr_devices=0 \
		con=null con0=null,fd:1 con1=null,fd:3 \
		ubd0rd=src.img,,src ubd1d=one.img,,one ubd2d=two.img,,two \
		"run=$script" out=tty1 end=poweroff "$@" \
		>"$KERNEL_LOG" 2>&1 3>>"$GUEST_OUT" </dev/null &
	JOB=$!
	set +m
	watch_guest "$limit"
}
