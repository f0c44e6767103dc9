# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test mutations and scripts/mutate: a deliberate break must turn every
# test it names red; others may follow.  Each costs one incremental build in the
# folder of the kunit part, or of the vm part.

# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"
# shellcheck source=scripts/vm.sh
. "$REPO/scripts/vm.sh"

need_mutations() {
	if grep -qs '^Caught-by: vm ' "$REPO"/kunit/mutations/*.patch; then need_vm_tools; else need_kunit; fi
}

# header FILE NAME: the values of a header line
header() {
	sed -n -e '/^--- /q' -e "s/^$2: *//p" "$1"
}

# Every break the issue asks for is kept.
REQUIRED='I1 I2 I3 I5 I6 I9 I13'

part_mutations() {
	local name invariant names=("$@")

	if [ "${#names[@]}" -eq 0 ]; then
		for name in "$REPO"/kunit/mutations/*.patch; do
			[ ! -e "$name" ] || names+=("$(basename "$name" .patch)")
		done
		for invariant in $REQUIRED; do
			grep -qsE "^Breaks: .*\b$invariant\b" "$REPO"/kunit/mutations/*.patch ||
				not_ok "a break of $invariant" "there is none in kunit/mutations"
		done
	fi
	for name in ${names[@]+"${names[@]}"}; do
		CURRENT="mutation $name"
		mutation "$name" "$REPO/kunit/mutations/$name.patch"
	done
	# leave the shared tree as the other parts want it
	work_tree main -1
}

mutation() {
	local name=$1 file=$2 breaks

	breaks=$(header "$file" Breaks)
	[ -n "$breaks" ] && [ -n "$(header "$file" Caught-by)" ] ||
		{ not_ok "$name" "no Breaks or no Caught-by line"; return; }
	work_tree main -1 "$file" || { not_ok "$name ($breaks)" "does not apply; see $LOG"; return; }
	if header "$file" Caught-by | grep -q '^kunit '; then kunit_mutation "$@"; fi
	if header "$file" Caught-by | grep -q '^vm '; then vm_mutation "$@"; fi
}

kunit_mutation() {
	local name=$1 file=$2 want tests got missed suite config rc KUNIT_TIMEOUT=90

	want=$(header "$file" Caught-by | sed -n 's/^kunit //p' | sort -u)
	config=$(header "$file" Kunitconfig)
	for suite in $(say "$want" | cut -d . -f 1 | sort -u); do
		tests=$(say "$want" | grep "^$suite\.")
		# One case by itself where one is named: others may take long to fail.
		[ "$(say "$tests" | wc -l)" -gt 1 ] || suite=$tests
		rc=0
		kunit_run "$REPO/kunit/${config:-pdflush}.kunitconfig" "$suite" || rc=$?
		got=$(kunit_red | sort -u)
		missed=$(comm -23 <(say "$tests") <(say "$got"))
		if [ "$rc" -ne 0 ] && [ -z "$missed" ]; then
			ok "$name ($(header "$file" Breaks)) is caught by $(say "$tests" | tr '\n' ' ')"
		else
			not_ok "$name ($(header "$file" Breaks))" "red: $(say "${got:-nothing}" | tr '\n' ' ')instead of $(say "$tests" | tr '\n' ' ')(see $LOG)"
		fi
	done
}

vm_mutation() {
	local name=$1 file=$2 want got

	want=$(header "$file" Caught-by | sed -n 's/^vm //p')
	build_vm_kernel "$REPO"/kconfig/{vm,filesystems,debug,pdflush}.config ||
		{ not_ok "$name ($(header "$file" Breaks))" "does not build; see $LOG"; return; }
	new_tmp
	say "$want" >"$TMP/only"
	vm_images
	guest_image checks
	run_guest checks 300
	got=$(sed -n 's/^not ok \([^:]*\): .*/\1/p' "$GUEST_OUT")
	if [ "$got" = "$want" ]; then
		ok "$name ($(header "$file" Breaks)) is caught by $got"
	else
		not_ok "$name ($(header "$file" Breaks))" "red: ${got:-nothing} instead of $want (see $LOG)"
	fi
}
