# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2120 # used by the scripts that source this
#
# The guest: kernel, disks, boot.  Used by scripts/demo and scripts/test, after
# common.sh; most of it also by uml.sh.

need_guest_tools() {
	need_build_tools
	need busybox:busybox-static mke2fs:e2fsprogs /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev
}

need_vm_tools() {
	need_guest_tools
	need qemu-system-x86_64:qemu-system-x86 /usr/share/qemu/qboot.rom:qemu-system-data
}

need_filesystem_tools() {
	need mkfs.vfat:dosfstools mkfs.xfs:xfsprogs
}

mke2fs() {
	make_fs mke2fs "$@"
}

# make_fs COMMAND...: with the sbin directories in PATH
make_fs() {
	PATH=$PATH:/usr/sbin:/sbin command "$@"
}

# build_vm_kernel FRAGMENT...: sets KERNEL to the bzImage of TREE, built with
# kconfig/guest.config and these
build_vm_kernel() {
	build_guest_kernel vm arch/x86/boot/bzImage bzImage "$@"
}

# Suffix of the build directory, for another tree than that of the part vm.
GUEST_WAY=

# build_guest_kernel NAME FILE TARGET FRAGMENT...: skipped if nothing that goes into it
# has changed
build_guest_kernel() {
	local out=$CACHE/build/$1$GUEST_WAY$ON file=$2 target=$3 key
	shift 3

	set -- "$REPO/kconfig/guest.config" "$@"
	! grep -q '^config PROC_SYSCTL' "$TREE/fs/proc/Kconfig" || set -- "$REPO/kconfig/sysctl.config" "$@"
	KERNEL=$out/$file
	key=$(guest_kernel_key "$@")
	[ "$(cat "$out/key" 2>/dev/null)" != "$key $(file_hash "$KERNEL")" ] || return 0
	rm -f "$out/key"
	run_logged kernel_config "$TREE" "$out" tinyconfig "$@" || return 1
	run_logged "${MAKE_KERNEL[@]}" -C "$TREE" O="$out" -j"$JOBS" "$target" || return 1
	say "$key $(file_hash "$KERNEL")" >"$out/key"
}

guest_kernel_key() {
	{ cat "$TREE.state" "$@"; gcc --version; } | sha256sum | cut -c 1-64
}

guest_tool() {
	mkdir -p "$TMP/root/bin"
	gcc -static -O2 -Wall -Wextra -Werror -o "$TMP/root/bin/vmtool" "$REPO/scripts/guest/vmtool.c" ||
		die "cannot build scripts/guest/vmtool.c"
}

# guest_image SCRIPT...: sets INITRD, with busybox, vmtool and the scripts
guest_image() {
	local root=$TMP/root f

	guest_tool
	cp "$(command -v busybox)" "$root/bin/busybox"
	for f in init lib "$@"; do cp "$REPO/scripts/guest/$f" "$root/$f"; done
	chmod 755 "$root/init"
	cp "$TMP/manifest" "$root/manifest"
	mkdir -p "$root/etc"
	printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	rm -f "$root/only"
	[ ! -f "$TMP/only" ] || cp "$TMP/only" "$root/only"
	[ ! -d "$TMP/programs" ] || cp -r "$TMP/programs" "$root/programs"
	for f in "$TMP"/*.gz "$TMP"/*.packed; do [ ! -f "$f" ] || cp "$f" "$root/"; done
	INITRD=$TMP/initrd
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$INITRD"
}

# guest_programs: builds the selftests and pdflushstat, for /programs in the image
guest_programs() {
	local selftests=$TREE/tools/testing/selftests/pdflush

	mkdir -p "$TMP/programs"
	run_logged make -C "$selftests" OUTPUT="$TMP/programs" LDFLAGS=-static || return 1
	run_logged make -C "$TREE/tools/pdflush" O="$TMP/programs/" LDFLAGS=-static || return 1
	strip "$TMP"/programs/*_test "$TMP/programs/pdflushstat"
}

# blank_disk FILE MEGABYTES: a fresh, fully initialized ext4
blank_disk() {
	mke2fs -q -t ext4 -F -E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
		-O ^metadata_csum_seed "$1" "$2M" </dev/null >>"$LOG" 2>&1 || die "cannot make a disk image of $2 MB (see $LOG)"
}

# fs_image NAME [PREFIX MEGABYTES]: PREFIXNAME.packed, a small fresh filesystem for a
# disk in the guest's memory.  Newer mkfs.xfs needs --unsupported below 300 MB.
fs_image() {
	local image=$TMP/${2:-}$1.img mb=${3:-32}

	rm -f "$image" "$TMP/${2:-}$1.packed"
	case $1 in
	ext4) blank_disk "$image" "$mb" ;;
	large) blank_disk "$image" 192 ;;
	*) truncate -s "${mb}M" "$image" ;;
	esac
	case $1 in
	ext2) make_fs mke2fs -q -t ext2 -F -E nodiscard "$image" ;;
	vfat) make_fs mkfs.vfat -F 16 "$image" ;;
	xfs) make_fs mkfs.xfs -q -f --unsupported "$image" || make_fs mkfs.xfs -q -f "$image" ;;
	esac </dev/null >>"$LOG" 2>&1 &&
		"$TMP/root/bin/vmtool" pack "$image" "$TMP/${2:-}$1.packed" && rm "$image" ||
		die "cannot make a filesystem: $1 (see $LOG)"
}

# source_disk STAGE: an image of its files, and their checksums as computed on the host
source_disk() {
	local mb

	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum) >"$TMP/manifest"
	mb=$(du -sm "$1" | cut -f 1)
	mke2fs -q -t ext4 -F -O ^has_journal -m 0 -N $(($(find "$1" | wc -l) + 100)) -d "$1" \
		"$TMP/src.img" "$((mb * 5 / 4 + 16))M" >>"$LOG" 2>&1 ||
		die "cannot make an image of the files (see $LOG)"
}

# vm_images: disks and files for scripts/guest/checks
vm_images() {
	cp -r "$SRC/Documentation/filesystems" "$TMP/stage"
	source_disk "$TMP/stage"
	blank_disk "$TMP/one.img" 400
	blank_disk "$TMP/two.img" 100
	blank_disk "$TMP/small.img" 128
	gzip -1 <"$TMP/small.img" >"$TMP/blank.gz"
}

# vm_filesystems: images for scripts/guest/paths
vm_filesystems() {
	local name

	guest_tool
	for name in ext2 ext4 large vfat xfs; do fs_image $name; done
}

# oracle_filesystems: images for scripts/guest/oracle
oracle_filesystems() {
	local name

	guest_tool
	for name in ext2 ext4 xfs; do fs_image $name oracle. 96; done
}

# run_guest SCRIPT SECONDS [KERNEL_ARGUMENT...]: boots and shows the guest's output, which
# is also left in GUEST_OUT and KERNEL_LOG
run_guest() {
	local script=$1 limit=$2
	shift 2

	new_guest_logs "kernel$ON"
	DRIVES=()
	drive src "$TMP/src.img" ,readonly=on
	drive one "$TMP/one.img"
	drive two "$TMP/two.img"
	# in a lane it stays in the process group of all lanes
	[ -n "${LANE:-}" ] || set -m
	qemu-system-x86_64 -M microvm,acpi=off,rtc=on -accel tcg,thread=multi -cpu max -smp 2 -m 1G \
		-nodefaults -no-user-config -display none -monitor none -nic none -no-reboot \
		-kernel "$KERNEL" -initrd "$INITRD" \
		-append "console=ttyS0 panic=-1 reboot=t rdinit=/init null_blk.nr_devices=0 run=$script $*" \
		-serial "file:$KERNEL_LOG" \
		-device virtio-serial-device -chardev "file,id=out,path=$GUEST_OUT" \
		-device virtserialport,chardev=out \
		"${DRIVES[@]}" >>"$LOG" 2>&1 </dev/null &
	JOB=$!
	set +m
	watch_guest "$limit"
}

# new_guest_logs NAME: empty GUEST_OUT and KERNEL_LOG
new_guest_logs() {
	GUEST_OUT=$TMP/guest.out KERNEL_LOG=$CACHE/log/$1${LANE:+-$LANE}.log GUEST_TIMEOUT=''
	: >"$GUEST_OUT"
	: >"$KERNEL_LOG"
}

# watch_guest SECONDS: until JOB ends, or for this long
watch_guest() {
	local limit=$1 shown=0 last=$SECONDS end=$((SECONDS + $1))

	while kill -0 "$JOB" 2>/dev/null; do
		sleep 0.3
		show_new
		if [ $((SECONDS - last)) -ge "$PROGRESS_PERIOD" ]; then
			last=$SECONDS
			progress "guest at work"
		fi
		[ "$SECONDS" -lt "$end" ] || stop_guest
	done
	wait "$JOB" || :
	JOB=
	show_new
	tr -d '\r' <"$KERNEL_LOG" >"$TMP/kernel.log"
	{ say "### guest"; cat "$GUEST_OUT"; say "### kernel"; cat "$TMP/kernel.log"; } >>"$LOG"
}

# SIGKILL: on SIGTERM UML would lose its processes first and log that.
stop_guest() {
	GUEST_TIMEOUT=$limit
	kill -KILL -- "$JOB" 2>/dev/null || :
	kill_job "$JOB"
}

# drive NAME FILE [OPTION]: NAME is its serial number in the guest
drive() {
	DRIVES+=(-drive "if=none,id=$1,format=raw,cache=unsafe,file=$2${3:-}"
		-device "virtio-blk-device,drive=$1,serial=$1")
}

# show_new: complete lines that the guest has written since the last call
show_new() {
	local size

	size=$(head -c "$(stat -c %s "$GUEST_OUT")" "$GUEST_OUT" | grep -c '' || :)
	[ "$size" -gt "$shown" ] || return 0
	# the last line may be incomplete
	[ -z "$(tail -c 1 "$GUEST_OUT")" ] || size=$((size - 1))
	[ "$size" -gt "$shown" ] || return 0
	if [ -n "${GUEST_LINES:-}" ]; then "$GUEST_LINES"; else guest_lines; fi < \
		<(sed -n "$((shown + 1)),${size}p" "$GUEST_OUT")
	shown=$size last=$SECONDS
}

# guest_lines: filters what is shown; a script may override it, and then it must not be
# overridden in turn when another part sources this file
declare -F guest_lines >/dev/null || guest_lines() {
	cat
}

guest_finished() {
	grep -qx 'guest: finished' "$GUEST_OUT"
}

# What must not be in the kernel log.
BAD_NEWS='WARNING:|BUG:|Oops|Kernel panic|general protection|possible (circular|recursive)|inconsistent lock|bad unlock balance|held lock freed|lock held when returning|ODEBUG|list_(add|del) corruption|INFO: task .* blocked|suspicious RCU|sleeping function|refcount_t|UBSAN|KASAN|KCSAN|rcu.*stall|soft lockup|use-after-free|Call Trace|not stopped|[Uu]naligned'

kernel_complaints() {
	grep -E "$BAD_NEWS" "${1:-$TMP/kernel.log}" || :
}
