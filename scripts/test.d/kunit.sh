# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test kunit: run every kunit/*.kunitconfig, or one of them, in UML.  A kernel
# warning is a failure even if all tests pass.

need_kunit() {
	need_build_tools
}

# Suffix of the build folder and log, for callers that build in another way.
KUNIT_WAY=
# What to call the machine in the verdict, if it is another one
KUNIT_ON=
KUNIT_TIMEOUT=${KUNIT_TIMEOUT:-300}

# kunit_run KUNITCONFIG [ARGUMENT...]: build TREE and run; UML's output is in KUNIT_LOG.
kunit_run() {
	local name out config=$1
	name=$(basename "$1" .kunitconfig)$KUNIT_WAY
	out=$CACHE/build/kunit-$name$ON
	KUNIT_LOG=$out/test.log

	mkdir -p "$out"
	rm -f "$KUNIT_LOG"
	if grep -q '^CONFIG_DEBUG_ATOMIC_SLEEP=' "$1" && grep -q 'select ARCH_NO_PREEMPT' "$TREE/arch/um/Kconfig"; then
		say "# $name: without DEBUG_ATOMIC_SLEEP, which UML does not support in this kernel"
		config=$out.kunitconfig
		grep -v '^CONFIG_DEBUG_ATOMIC_SLEEP=' "$1" >"$config"
	fi
	run_logged env -C "$TREE" PYTHONDONTWRITEBYTECODE=1 timeout -k 10 $((KUNIT_TIMEOUT + 1200)) \
		tools/testing/kunit/kunit.py run --kunitconfig="$config" --build_dir="$out" \
		--jobs="$JOBS" --timeout="$KUNIT_TIMEOUT" --make_options='CC=ccache gcc' "${@:2}"
}

# kunit_exec ARGUMENT...: boot the kernel "linux" next to KUNIT_LOG
kunit_exec() {
	rm -f "$KUNIT_LOG"
	run_logged env -C "$TREE" PYTHONDONTWRITEBYTECODE=1 timeout -k 10 $((KUNIT_TIMEOUT + 30)) \
		tools/testing/kunit/kunit.py exec --build_dir="${KUNIT_LOG%/*}" --timeout="$KUNIT_TIMEOUT" "$@"
}

# kunit_boot CASE [KERNEL_ARGUMENT...]: boots the kernel "linux" next to KUNIT_LOG for a
# single case; kunit.py takes longer than that
kunit_boot() {
	local case=$1
	shift

	run_logged to_file "$KUNIT_LOG" timeout -k 10 "$KUNIT_TIMEOUT" "${KUNIT_LOG%/*}/linux" mem=1G console=tty \
		kunit_shutdown=halt "kunit.filter_glob=$case" "$@"
}

# The unpatched kernel warns once at boot, in UML's PCI driver.
kunit_splats() {
	grep -aE 'WARNING:|BUG:|possible (circular|recursive)|inconsistent lock|Kernel panic|ODEBUG|list_(add|del) corruption|held lock|lock held|suspicious RCU|sleeping function|rcu.*stall' "$KUNIT_LOG" |
		grep -vF 'at arch/um/drivers/virt-pci.c' || :
}

# kunit_total pass|fail|skip: sum over the "# Totals: pass:41 fail:0 ..." lines
kunit_total() {
	sed 's/^\[[^]]*\] //' "$KUNIT_LOG" | grep -aoE "^# Totals: .*|^    # Totals: .*" | grep -oE "$1:[0-9]+" | cut -d : -f 2 |
		awk '{ n += $1 } END { print n + 0 }'
}

# Failed cases, as suite.case.
kunit_red() {
	awk '
	/^    # Subtest: /	{ suite = $3 }
	/^    not ok [0-9]+ /	{ print suite "." $4 }
	' <(sed 's/^\[[^]]*\] //' "$KUNIT_LOG" | tr -d '\r')
}

# kunit_reasons: what failed cases expected and saw
kunit_reasons() {
	sed 's/^\[[^]]*\] //' "$KUNIT_LOG" | tr -d '\r' | awk '
	/^ *# .*: (EXPECTATION|ASSERTION) FAILED/ { left = 6 }
	/^ *(not )?ok [0-9]+ /			{ left = 0 }
	left-- > 0				{ print "#  " $0 }' | head -n 40
}

# one_kunitconfig KUNITCONFIG [ARGUMENT...]
one_kunitconfig() {
	local name rc=0
	name=$(basename "$1")

	CURRENT="$PART: $name"
	kunit_run "$@" || rc=$?
	kunit_verdict "$name${KUNIT_ON:+ on $KUNIT_ON}" "$rc"
}

# kunit_verdict NAME STATUS: of the run that left KUNIT_LOG
kunit_verdict() {
	local name=$1 rc=$2 splat

	if [ ! -s "$KUNIT_LOG" ]; then
		not_ok "$name" "it did not run (see $LOG)"
		return
	fi
	if [ "$rc" -eq 0 ] && [ "$(kunit_total pass)" -gt 0 ] && [ "$(kunit_total fail)" -eq 0 ]; then
		ok "$name: $(kunit_total pass) passed, $(kunit_total skip) skipped"
	else
		kunit_reasons
		not_ok "$name" "$(kunit_total fail) failed: $(kunit_red | head -n 3 | tr '\n' ' ')(see $LOG)"
	fi
	splat=$(kunit_splats | head -n 1)
	[ -z "$splat" ] && ok "$name: no warnings in the kernel log" || not_ok "$name: kernel log" "$splat"
	name=${name/.kunitconfig/}
	cp "$KUNIT_LOG" "$CACHE/log/kunit-${name// /-}$KUNIT_WAY$ON.log"
}

part_kunit() {
	local only=${1:-*} config

	# a separate tree: mutations:kunit modifies it and rebuilds in the same folder
	work_tree kunit -1 || { not_ok "patched tree"; return; }
	# shellcheck disable=SC2231 # a pattern
	for config in "$REPO"/kunit/$only.kunitconfig; do
		[ -e "$config" ] || { not_ok "kunitconfigs" "none found in kunit/"; return; }
		one_kunitconfig "$config"
	done
}
