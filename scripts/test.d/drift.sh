# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153,SC2094 # CURRENT is for the progress line; TMP is new_tmp's
#
# scripts/test drift: try the series on the kernels that Debian serves now: point releases
# of a base with that base's series, any other version with the nearest one.  Only the
# newest point release of a base in each Debian release counts; other results are shown.

# shellcheck source=scripts/test.d/kunit.sh
. "$REPO/scripts/test.d/kunit.sh"

need_drift() {
	need_kunit
}

# drift_plan: turns the output of served_versions into lines "LEVEL UPSTREAM FULL KIND
# SUITES", one per upstream version.  KIND is newest (of its base in a release), older,
# candidate or foreign (no base).
drift_plan() {
	awk -v bases="$BASES" '
	BEGIN	{ n = split(bases, b, " "); for (i = 1; i <= n; i++) base[b[i]] = 1; n = 0 }
	{
		up = $2; sub(/-[^-]*$/, "", up)
		release = $3; sub(/-.*/, "", release)
		if (!(up in full)) order[++n] = up
		full[up] = $2; level[up] = $1
		if (index("," suites[up] ",", "," $3 ",") == 0)
			suites[up] = suites[up] (suites[up] == "" ? "" : ",") $3
		last[$1, release] = up
	}
	END	{
		for (k in last) newest[last[k]] = 1
		for (i = 1; i <= n; i++) {
			up = order[i]
			kind = !(level[up] in base) ? "foreign" : up ~ /~/ ? "candidate" : up in newest ? "newest" : "older"
			print level[up], up, full[up], kind, suites[up]
		}
	}'
}

# not_served PLAN: bases without a point release
not_served() {
	local base

	for base in $BASES; do
		awk -v b="$base" '$1 == b && $4 != "candidate" { found = 1 } END { exit !found }' "$1" || say "$base"
	done
}

# drift_source PACKAGE FULL: sets FILE to a tarball or package of that version; fails if
# it cannot be downloaded
drift_source() {
	local package=$1 full=$2

	if [ "$(package_version "$package")" = "$full" ] && [ -f "/usr/src/$package.tar.xz" ]; then
		FILE=/usr/src/$package.tar.xz
	elif [ -f "$CACHE/deb/${package}_${full}_all.deb" ]; then
		FILE=$CACHE/deb/${package}_${full}_all.deb
	else
		try_fetch_deb "$package" "$full" "$CACHE/drift" || return 1
		FILE=$DEB
	fi
}

# drift_files PACKAGE FULL: sets FILES to a tree with the files of that version that any
# series touches.  It is kept: the package is 150 MB, this is 2.
drift_files() {
	local package=$1 full=$2 errors=$TMP/errors

	FILES=$CACHE/drift/$full
	{ find "$PATCHES" -name '*.patch' -exec cat {} + | files_of; say Makefile; } | sort -u >"$TMP/wanted"
	[ ! -f "$FILES.list" ] || [ -n "$(comm -23 "$TMP/wanted" "$FILES.list")" ] || return 0
	drift_source "$package" "$full" || { drift_unfetched; return 1; }
	rm -rf "$FILES" "$FILES.list"
	mkdir -p "$FILES"
	CURRENT="$PART: files of $full"
	# tar complains about those that this version does not have
	sed "s,^,$package/," "$TMP/wanted" >"$TMP/members"
	run_logged to_file "$errors" unpack_source "$FILES" "$FILE" -T "$TMP/members" || :
	if grep -vE 'Not found in archive|Exiting with failure status due to previous errors' "$errors" >>"$LOG" ||
		[ "$(kernel_version "$FILES" 2>/dev/null)" = .. ] || [ ! -s "$FILES/Makefile" ]; then
		not_ok "$full" "cannot unpack $FILE (see $LOG)"
		return 1
	fi
	cp "$TMP/wanted" "$FILES.list"
}

# series_fits TREE: otherwise sets FAILING to the patch and REJECTED to the hunks
series_fits() {
	local at=$TMP/fits

	rm -rf "$at"
	cp -a "$1" "$at"
	! (cd "$at" && our_quilt push -a --fuzz=0) >"$TMP/push.log" 2>&1 || return 0
	cat "$TMP/push.log" >>"$LOG"
	FAILING=$(sed -n 's/^Patch \(.*\) \(does not apply\|can be reverse-applied\).*/\1/p' "$TMP/push.log" | head -n 1)
	(cd "$at" && our_quilt push -f --fuzz=0) >>"$LOG" 2>&1 || :
	REJECTED=$(find "$at" -name '*.rej' -exec cat {} +)
	[ -n "$REJECTED" ] || REJECTED=$(grep -v '^Applying\|^$' "$TMP/push.log" | tail -n 5)
	return 1
}

show_rejected() {
	say "$REJECTED" >>"$LOG"
	say "$REJECTED" | head -n 60 | sed 's/^/#   /'
	[ "$(say "$REJECTED" | wc -l)" -le 60 ] || say "#   (all of it: $LOG)"
}

# suites_pass PACKAGE FULL UPSTREAM: sets BUILT and TESTED, for the table
suites_pass() {
	local SRC=$CACHE/drift/linux TREE rc=0

	BUILT=no TESTED=-
	need_space "$CACHE" 5000
	drift_source "$1" "$2" || return 1
	CURRENT="$PART: $3: unpacking"
	# make compares times, so do not leave objects of another version
	rm -rf "$SRC" "$SRC.stamp" "$CACHE/build/kunit-drift$ON"
	mkdir -p "$SRC"
	run_logged unpack_source "$SRC" "$FILE" || return 1
	say "$1 $2" >"$SRC.stamp"
	CURRENT="$PART: $3: build and KUnit"
	work_tree drift -1 || return 1
	cp "$REPO/kunit/pdflush.kunitconfig" "$TMP/drift.kunitconfig"
	kunit_run "$TMP/drift.kunitconfig" || rc=$?
	if [ -s "$KUNIT_LOG" ]; then
		BUILT=yes
		TESTED="$(kunit_total pass) passed"
		if [ "$rc" -ne 0 ] || [ "$(kunit_total fail)" -ne 0 ] || [ "$(kunit_total pass)" -eq 0 ]; then
			TESTED="$(kunit_total fail) FAILED" rc=1
		elif [ -n "$(kunit_splats | head -n 1)" ]; then
			TESTED='bad log' rc=1
		fi
	fi
	rm -rf "$SRC" "$SRC.stamp" "$TREE" "$TREE.state" "$TREE.files" "$CACHE/build/kunit-drift$ON"
	return "$rc"
}

# drift_one LEVEL UPSTREAM FULL KIND SUITES BUILD: one row of the table
drift_one() {
	local level=$1 upstream=$2 full=$3 kind=$4 suites=$5 build=$6
	local package=linux-source-$1 base=$1 applies=yes BUILT=- TESTED=- FAILING='' REJECTED='' FILE FILES

	[ "$kind" != foreign ] || base=$(nearest_base "$level")
	use_base "$base"
	read_series
	CURRENT="$PART: $upstream"
	drift_files "$package" "$full" || return 0
	[ "$upstream" != "$(tested_of "$level")" ] || BUILT='as tested' TESTED='as tested'
	if ! series_fits "$FILES"; then
		applies=no
		drift_verdict no "$FAILING is rejected"
		show_rejected
	else
		drift_verdict yes
		if [ -n "$build" ]; then
			if suites_pass "$package" "$full" "$upstream"; then
				drift_verdict yes '' ", builds, $TESTED"
			else
				drift_verdict no "${BUILT/yes/$TESTED} (see $LOG)" ', builds and passes'
			fi
		fi
	fi
	[ "$applies" = yes ] || BUILT=- TESTED=-
	[ "$base" = "$level" ] || base="$base, nearest"
	drift_row "$upstream" "$base" "$applies" "$BUILT" "$TESTED" "$suites"
	rm -f "$CACHE"/drift/*.deb
}

# The archive may list a file that it does not have any more, or not yet.
drift_unfetched() {
	local reason="is listed by $suites, but the file is missing"

	case $kind$GONE in
	newest1) skipped "$upstream" "$reason" ;;
	newest) not_ok "$upstream" "cannot be downloaded (see $LOG)" ;;
	*1) say "# $upstream: $reason ($kind, not counted)" ;;
	*) say "# $upstream: cannot be downloaded ($kind, not counted; see $LOG)" ;;
	esac
	drift_row "$upstream" "$base" 'no file' - - "$suites"
}

# drift_row VERSION SERIES APPLIES BUILDS PASSES SUITES
drift_row() {
	printf '%-11s %-14s %-8s %-10s %-11s %s\n' "$@" >>"$TMP/table"
}

# Explains entries that are neither yes nor no.
drift_legend() {
	local unbuilt

	! grep -q ' as tested ' "$TMP/table" ||
		say "# as tested: the version named in the series, built and tested by the other parts"
	! grep -q ' no file ' "$TMP/table" ||
		say "# no file: listed by the archive, but the file is missing"
	unbuilt=$(awk '/ yes      - / { printf " %s", $1 }' "$TMP/table")
	[ -z "$unbuilt" ] || say "# not built, as asked:$unbuilt (scripts/test drift builds every one)"
}

# Later releases have to be added to SUITES.
drift_suites() {
	say "# asked: ${SUITES_READ% }"
	[ -z "$SUITES_GONE" ] || say "# not in the archive: ${SUITES_GONE% }"
	say "# not asked: releases that SUITES in scripts/lib/common.sh does not name"
}

# drift_verdict yes|no REASON [WHAT]: counted if newest, otherwise only shown
drift_verdict() {
	local name="$upstream with the series for $base applies${3:-}"

	case $kind$1 in
	newestyes) ok "$name" ;;
	newestno) not_ok "$name" "$2" ;;
	*yes) say "# $name ($kind, not counted)" ;;
	*no) say "# $name: no, $2 ($kind, not counted)" ;;
	esac
}

# to_build LEVEL UPSTREAM KIND WHICH: should it be built and tested?  Not the tested version
# of a base, which other parts build.
to_build() {
	local tested

	tested=$(tested_of "$1")
	case $4 in
	apply | fits) return 1 ;;
	newest) [ "$3" = newest ] && newer "$2" "$tested" ;;
	*) [ "$2" != "$tested" ] ;;
	esac
}

# --- can it fail? ------------------------------------------------

drift_notices_text() {
	local REJECTED='' FAILING='' p f

	small_tree "$SRC" "$TMP/good"
	series_fits "$TMP/good" || { say "the base itself does not fit"; return 1; }
	cp -a "$TMP/good" "$TMP/spoilt"
	read -r p f < <(first_change)
	sed -i 's/^/x/' "$TMP/spoilt/$f"
	! series_fits "$TMP/spoilt" || { say "a changed file is not reported"; return 1; }
	[ "$FAILING" = "$p" ] || { say "it reports $FAILING"; return 1; }
	say "$REJECTED" | grep -q '^@@ ' || { say "the hunk is not shown"; return 1; }
	# shellcheck disable=SC2030 # on purpose
	(
		PASSED=0 FAILED=0 upstream=9.9.9 base=9.9 kind=newest
		drift_verdict no "$FAILING is rejected"
		show_rejected
		[ "$FAILED" -eq 1 ]
	) | grep -q '^#   @@ ' || { say "no result, or no hunk in it"; return 1; }
}

drift_notices_absence() {
	printf '%s\n' '6.1 6.1.7-1 bookworm' '6.1 6.1.9-1 bookworm-security' '6.1 6.1.9-2 bookworm-security' \
		'7.2 7.2.1-1 sid' '7.3 7.3~rc1-1~exp1 experimental' '6.12 6.12.3-1 trixie' |
		drift_plan >"$TMP/plan.fixture"
	diff - "$TMP/plan.fixture" <<-'END' || return 1
	6.1 6.1.7 6.1.7-1 older bookworm
	6.1 6.1.9 6.1.9-2 newest bookworm-security
	7.2 7.2.1 7.2.1-1 foreign sid
	7.3 7.3~rc1 7.3~rc1-1~exp1 candidate experimental
	6.12 6.12.3 6.12.3-1 newest trixie
	END
	[ "$(not_served "$TMP/plan.fixture")" = 7.3 ] || { say "a base that is not served is not reported"; return 1; }
	newer 6.1.10 6.1.9 && ! newer 6.1.9 6.1.9 && ! newer 6.1.9 6.1.10 || { say "versions are not compared correctly"; return 1; }
}

drift_tells_unbuilt() {
	: >"$TMP/table"
	drift_row 6.1.9 6.1 yes 'as tested' 'as tested' bookworm
	drift_row 6.1.7 6.1 yes - - bookworm
	drift_row 7.4.1 '7.3, nearest' no - - sid
	drift_row 6.12.9 6.12 yes yes '265 passed' trixie
	diff - <(drift_legend) <<-'END'
	# as tested: the version named in the series, built and tested by the other parts
	# not built, as asked: 6.1.7 (scripts/test drift builds every one)
	END
}

drift_notices_no_file() {
	local upstream=9.9.9 base=9.9 suites=sid kind reason DEB GONE
	local PASSED=0 FAILED=0 SKIPPED=0

	# shellcheck disable=SC2317 # in place of the real one
	own_apt() { say "E: Failed to fetch http://h/p.deb  $reason"; return 100; }
	# shellcheck disable=SC2317 # the same
	sleep() { command sleep 0.2; }
	: >"$TMP/table"
	for kind in newest older; do
		for reason in '404  Not Found [IP: h 80]' 'Could not connect to h:80'; do
			! try_fetch_deb p 9.9.9-1 "$TMP/no-file" || { say "it was fetched"; return 1; }
			drift_unfetched
		done
	done
	[ "$PASSED $FAILED $SKIPPED" = '0 1 1' ] || { say "$PASSED passed, $FAILED failed, $SKIPPED skipped"; return 1; }
	[ "$(grep -c '^9\.9\.9 .* no file ' "$TMP/table")" -eq 4 ] || { say "the table lacks it"; return 1; }
}

drift_notices_outage() {
	cat >"$TMP/update.fixture" <<-'END'
	Get:1 http://h/debian bookworm InRelease [1 kB]
	Ign:2 http://h/debian trixie InRelease
	Err:3 http://h/debian sid InRelease
	  Could not connect to h:80
	Err:4 http://h/debian trixie Release
	  404  Not Found
	END
	[ "$(suite_answer bookworm "$TMP/update.fixture")" = read ] &&
		[ "$(suite_answer trixie "$TMP/update.fixture")" = gone ] &&
		[ "$(suite_answer sid "$TMP/update.fixture")" = failed ] &&
		[ "$(suite_answer forky "$TMP/update.fixture")" = failed ] || { say "an outage is taken for a missing suite"; return 1; }
}

# part_drift [newest | apply | fits]: by default every version is tried, and built unless
# it is the tested one; newest: only the newest of each base in each release, built if
# newer than tested; apply: no builds; fits: newest without builds
part_drift() {
	local which=${1:-} level upstream full kind suites build base

	new_tmp
	mkdir -p "$CACHE/drift"
	if [ -n "$SRC" ]; then
		check "a changed file is reported, with the rejected hunk" drift_notices_text
	else
		skipped "a changed file is reported, with the rejected hunk" "linux-source-$BASE is not served"
	fi
	check "a base that is not served is reported" drift_notices_absence
	check "an outage is reported" drift_notices_outage
	check "a version without its file is reported" drift_notices_no_file
	check "what is not built is reported" drift_tells_unbuilt
	CURRENT="$PART: Debian's archive"
	update_lists || { not_ok "Debian's archive" "cannot be reached at $ARCHIVE (see $LOG)"; return 0; }
	drift_suites
	for base in $SUITES_FAILED; do not_ok "suite $base" "cannot be read (see $LOG)"; done
	served_versions | tee -a "$LOG" | drift_plan >"$TMP/plan"
	for base in $(not_served "$TMP/plan"); do skipped "linux-source-$base" "no release serves a point release of it"; done
	grep -q ' newest ' "$TMP/plan" || not_ok "Debian's archive" "serves none of the bases"

	: >"$TMP/table"
	drift_row version series applies builds passes suites
	while read -r level upstream full kind suites <&3; do
		build=
		! to_build "$level" "$upstream" "$kind" "$which" || build=1
		case $which in newest | fits) [ "$kind" = newest ] || continue ;; esac
		drift_one "$level" "$upstream" "$full" "$kind" "$suites" "$build"
	done 3<"$TMP/plan"
	say
	cat "$TMP/table"
	drift_legend
	say
}
