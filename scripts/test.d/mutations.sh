# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test mutations [NAME...]: with a deliberate break every test listed for it must
# fail; others may fail as well.  kunit/breaks.patch contains all of them; the kernel
# command line selects one.  Without a break all tests must pass.
#
# KUnit suites run in UML, the guest's checks in QEMU.  mutations:quick uses one UML kernel
# of the newest base for both, which boots in half a second, in the directories of the
# part uml; it leaves out what does not fit that base or is not available in UML;
# what only two CPUs show is tried there alone.

# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"
# shellcheck source=scripts/lib/vm.sh
. "$REPO/scripts/lib/vm.sh"
# shellcheck source=scripts/lib/uml.sh
. "$REPO/scripts/lib/uml.sh"

BREAKS=$REPO/kunit/breaks

need_mutations() {
	need_vm_tools
	need_filesystem_tools
}

# about NAME FIELD: values of the field in the list
about() {
	awk -v name="$1" -v field="$2: " '
	/^Name: /			{ here = substr($0, 7) == name }
	here && index($0, field) == 1	{ print substr($0, length(field) + 1) }' "$BREAKS.list"
}

# tests_of NAME WHERE: "kunit", "smp", "vm checks", "vm selftests", "vm paths" or "vm nohz"
tests_of() {
	about "$1" Caught-by | sed -n "s/^$2 //p"
}

# wanted_of NAME: the tests of the kinds that are run here, as RED has them
wanted_of() {
	about "$1" Caught-by | grep -E "^($KINDS) " | sed 's/^smp /kunit /' || :
}

# Invariants that must have a break.
REQUIRED='I1 I2 I3 I5 I6 I9 I13'

list_and_patch_agree() {
	local name invariant bad=0

	diff <(break_names | sort) <(grep -o '^+.*pdflush_broken("[^"]*")' "$BREAKS.patch" |
		grep -o 'pdflush_broken("[^"]*")' | cut -d '"' -f 2 | sort -u) || bad=1
	for name in $(break_names); do
		[ -n "$(about "$name" Breaks)" ] && [ -n "$(about "$name" Text)" ] ||
			{ say "$name: no Breaks or no Text line"; bad=1; }
		[ -n "$(about "$name" Caught-by)" ] && ! about "$name" Caught-by | grep -vE '^(kunit|smp|vm (checks|selftests|paths|nohz)) ' ||
			{ say "$name: no test, or a test of unknown kind"; bad=1; }
	done
	for invariant in $REQUIRED; do
		grep -qE "^Breaks: (.*, )?$invariant(,|$)" "$BREAKS.list" ||
			{ say "there is no break of $invariant"; bad=1; }
	done
	return "$bad"
}

# part_mutations [quick | kunit] [NAME...]: kunit tries those that KUnit catches
part_mutations() {
	local names left KUNIT_WAY=-breaks GUEST_WAY=-breaks RUN_BROKEN='run_guest' KUNIT_ARGS=() quick='' name

	local KINDS='kunit|vm'

	[ "${1:-}" != quick ] || { shift; quick=1; KINDS='kunit|smp|vm'; }
	[ "${1:-}" != kunit ] || { KINDS=kunit; kunit_mutations; return; }
	names=("$@")
	[ "${#names[@]}" -gt 0 ] || mapfile -t names < <(break_names)
	if run_logged list_and_patch_agree; then
		ok "kunit/breaks: the list and the patch agree"
	else
		not_ok "kunit/breaks" "$(last_words 160) (see $LOG)"
	fi
	if [ -n "$quick" ]; then
		GUEST_WAY='' RUN_BROKEN=run_uml KUNIT_ARGS=(ncpus=2 seccomp=on)
		break_tree_as_far || { not_ok "kunit/breaks.patch" "does not apply; see $LOG"; return; }
		left=$(for name in "${names[@]}"; do fits_uml "$name" || say "$name"; done)
		mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vxF -f <(say "$left") | grep .)
		[ -z "$left" ] || say "# left to \"scripts/test mutations\": $(say "$left" | paste -sd ' ')"
		[ "${#names[@]}" -gt 0 ] || return 0
		build_quick || return 0
	else
		left=$(for name in "${names[@]}"; do [ -n "$(wanted_of "$name")" ] || say "$name"; done)
		mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vxF -f <(say "$left") | grep .)
		[ -z "$left" ] || say "# left to \"scripts/test mutations:quick\": $(say "$left" | paste -sd ' ')"
		[ "${#names[@]}" -gt 0 ] || return 0
		work_tree breaks -1 "$BREAKS.patch" || { not_ok "kunit/breaks.patch" "does not apply; see $LOG"; return; }
		build_broken || return 0
	fi
	breaks_in_kunit "${names[@]}"
	breaks_in_vm "${names[@]}"
}

kunit_mutations() {
	local name names=()

	for name in $(break_names); do [ -z "$(wanted_of "$name")" ] || names+=("$name"); done
	# tree and build folder of the part kunit: only what the breaks touch is compiled again
	work_tree kunit -1 "$BREAKS.patch" || { not_ok "kunit/breaks.patch" "does not apply; see $LOG"; return; }
	CURRENT='mutations: kernel for UML'
	KUNIT_WAY=''
	one_kunitconfig "$REPO/kunit/lockdep.kunitconfig"
	KUNIT_KERNEL=${KUNIT_LOG%/*}/linux
	breaks_in_kunit "${names[@]}"
}

# break_tree_as_far: the tree of the part uml with the hunks of the breaks that fit, and
# this base's own breaks
break_tree_as_far() {
	local AS_FAR_AS_IT_FITS=1 own=()

	[ ! -f "$BREAKS$ON.patch" ] || own=("$BREAKS$ON.patch")
	work_tree uml -1 "$BREAKS.patch" ${own[@]+"${own[@]}"}
}

# uses NAME FILE...: number of places
uses() {
	local name=$1
	shift

	cat "$@" | grep -oF "pdflush_broken(\"$name\")" | wc -l
}

# fits_uml NAME: it was applied completely, and none of its tests needs SysRq, laptop mode
# or nohz_full=
fits_uml() {
	local files

	mapfile -t files < <(files_of "$BREAKS.patch" | grep '\.[ch]$' | sed "s,^,$TREE/,")
	! about "$1" Caught-by | grep -qE '^vm .*(SysRq|laptop|nohz)' &&
		[ "$(uses "$1" "${files[@]}")" -ge "$(uses "$1" "$BREAKS.patch")" ]
}

# build_broken: one kernel for KUnit, one for the guest
build_broken() {
	CURRENT='mutations: kernel for UML'
	one_kunitconfig "$REPO/kunit/pdflush.kunitconfig"
	KUNIT_KERNEL=${KUNIT_LOG%/*}/linux
	CURRENT='mutations: kernel for the guest'
	build_vm_kernel "$REPO"/kconfig/{vm,filesystems,debug,pdflush,nohz}.config ||
		{ not_ok "kernel for the guest"; return 1; }
}

# build_quick: one for both
build_quick() {
	local rc=0

	CURRENT='mutations: kernel'
	build_uml_kernel "$REPO"/kconfig/{uml,filesystems,debug,pdflush,tests}.config ||
		{ not_ok "kernel with the breaks"; return 1; }
	KUNIT_KERNEL=$KERNEL KUNIT_LOG=${KERNEL%/*}/test.log
	CURRENT='mutations: KUnit without a break'
	kunit_exec "${KUNIT_ARGS[@]/#/--kernel_args=}" --kernel_args=pdflush_broken=none || rc=$?
	kunit_verdict "KUnit without a break" "$rc"
}

# RED[NAME]: the tests that failed, in the format of Caught-by, one per line
declare -A RED

# turned_red NAME WHERE TEST...: records failures in a lane
turned_red() {
	local name=$1 where=$2 test
	shift 2

	for test; do printf '%s\t%s %s\n' "$name" "$where" "$test" >>"$TMP/red"; done
}

# in_lanes COUNT FUNCTION NAME...: COUNT at a time, as the tests mostly sleep.  Each lane
# has its own TMP and LOG, and every COUNTth name.
in_lanes() {
	local count=$1 lane name tests
	shift

	run_logged lanes "$@" || say "# a lane ended early; see $LOG"
	for ((lane = 1; lane <= count; lane++)); do
		cat "$TMP/lane$lane/log" >>"$LOG"
		while IFS=$'\t' read -r name tests; do RED[$name]+=$tests$'\n'; done <"$TMP/lane$lane/red"
	done
}

lanes() {
	local lane pids=() rc=0

	set +m
	for ((lane = 1; lane <= count; lane++)); do
		mkdir "$TMP/lane$lane"
		find "$TMP" -mindepth 1 -maxdepth 1 ! -name 'lane[0-9]' -exec cp -a -t "$TMP/lane$lane" {} +
	done
	for ((lane = 1; lane <= count; lane++)); do
		in_lane "$lane" "$@" &
		pids+=("$!")
	done
	for lane in "${pids[@]}"; do wait "$lane" || rc=1; done
	return "$rc"
}

# in_lane LANE FUNCTION NAME...
in_lane() {
	local LANE=$1 function=$2 LOG=$TMP/lane$1/log TMP=$TMP/lane$1 number=0 name names=()
	shift 2

	for name; do
		number=$((number + 1))
		[ $((number % count)) -eq $((LANE % count)) ] && names+=("$name")
	done
	: >"$TMP/red"
	: >"$LOG"
	[ "${#names[@]}" -eq 0 ] || "$function" "${names[@]}"
}

verdict() {
	local red=${RED[$1]:-} want

	want=$(wanted_of "$1")
	if [ -z "$(comm -23 <(say "$want" | sort) <(printf '%s' "$red" | sort))" ]; then
		ok "$1 ($(about "$1" Breaks)) is caught by $(say "$want" | paste -sd ,)"
	else
		not_ok "$1 ($(about "$1" Breaks))" "red: $(printf '%s' "${red:-nothing}" | paste -sd ,) instead of $(say "$want" | paste -sd ,) (see $LOG)"
	fi
}

in_vm() {
	wanted_of "$1" | grep -q '^vm '
}

breaks_in_kunit() {
	local name

	new_tmp
	CURRENT="mutations: KUnit with one of $# breaks each"
	in_lanes 4 kunit_lane "$@"
	for name; do in_vm "$name" || verdict "$name"; done
}

# kunit_lane NAME...
kunit_lane() {
	local name case red out=$TMP/kunit

	mkdir "$out"
	cp "$KUNIT_KERNEL" "$out/linux"
	KUNIT_LOG=$out/test.log
	for name; do
		CURRENT="mutation $name"
		# one by one, as other cases of the suite may take long to fail
		for case in $(wanted_of "$name" | sed -n 's/^kunit //p'); do
			kunit_boot "$case" "pdflush_broken=$name" ${KUNIT_ARGS[@]+"${KUNIT_ARGS[@]}"} || :
			mapfile -t red < <(kunit_red | sort -u)
			turned_red "$name" kunit ${red[@]+"${red[@]}"}
		done
	done
}

breaks_in_vm() {
	local name script tests wanted=()

	for name; do ! in_vm "$name" || wanted+=("$name"); done
	[ "${#wanted[@]}" -gt 0 ] || return 0
	new_tmp
	vm_images
	vm_filesystems
	guest_programs || { not_ok "selftests build"; return; }
	for script in checks selftests paths nohz; do
		tests=$(for name in "${wanted[@]}"; do tests_of "$name" "vm $script"; done | sort -u)
		[ -z "$tests" ] || vm_unbroken "$script" "$tests"
	done
	CURRENT="mutations: guests with one of ${#wanted[@]} breaks each"
	in_lanes 2 vm_lane "${wanted[@]}"
	for name in "${wanted[@]}"; do verdict "$name"; done
}

# vm_lane NAME...
vm_lane() {
	local name script tests

	for name; do
		CURRENT="mutation $name"
		for script in checks selftests paths nohz; do
			tests=$(tests_of "$name" "vm $script")
			[ -z "$tests" ] || vm_broken "$name" "$script" "$tests"
		done
	done
}

# boot_only NAME SCRIPT TESTS: runs these only; with shorter deadlines, as events that a
# break prevents never come
boot_only() {
	local GUEST_LINES=not_shown patience=patience=1 nohz=''

	[ "$1" != none ] || patience=
	[ "$2" != nohz ] || nohz=nohz_full=1
	say "$3" >"$TMP/only"
	blank_disk "$TMP/one.img" 100
	guest_image "$2"
	"$RUN_BROKEN" "$2" 600 kunit.enable=0 "pdflush_broken=$1" $patience $nohz
}

# vm_unbroken SCRIPT TESTS: they pass without a break
vm_unbroken() {
	local wanted green red

	CURRENT="mutations: guest $1 without a break"
	boot_only none "$1" "$2"
	wanted=$(say "$2" | wc -l) green=$(grep -c '^ok ' "$GUEST_OUT" || :)
	red=$(sed -n 's/^not ok //p' "$GUEST_OUT" | head -n 1)
	if [ -n "$red" ]; then
		not_ok "guest $1 without a break" "$red (see $LOG)"
	elif ! guest_finished; then
		not_ok "guest $1 without a break" "it did not finish${GUEST_TIMEOUT:+ in $GUEST_TIMEOUT s} (see $LOG)"
	elif [ "$green" -lt "$wanted" ]; then
		not_ok "guest $1 without a break" "$green ok instead of $wanted (see $LOG)"
	else
		ok "guest $1 without a break: $green ok"
	fi
}

# vm_broken NAME SCRIPT TESTS
vm_broken() {
	local red line

	boot_only "$@"
	mapfile -t red < <(sed -n -e 's/^not ok selftest \([a-z_]*\): \([a-z_0-9]*\.\)*\([a-z_0-9]*\): .*/\1.\3/p' -e t \
		-e 's/^not ok //p' "$GUEST_OUT" | while IFS= read -r line; do
		# the name of a check may contain a colon
		say "$3" | grep -xF -e "$line" || say "$3" | while IFS= read -r name; do
			case $line in "$name: "*) say "$name" ;; esac
		done
	done | sort -u)
	turned_red "$1" "vm $2" ${red[@]+"${red[@]}"}
}

# The guest's results are not counted here.
not_shown() {
	cat >/dev/null
}
