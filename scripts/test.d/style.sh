# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test style: the patches, and this repository's own text and scripts.

need_style() {
	need_build_tools
	need sparse:sparse shellcheck:shellcheck codespell:codespell
}

# checkpatch_one PATCH.  Patches have no sign-off, there is no history to look up commits
# in, and MAINTAINERS is checked for the series as a whole.  The option --codespell takes
# four times as long as all the rest, and does what codespell_patches does.
checkpatch_one() {
	(cd "$TREE" && perl scripts/checkpatch.pl --strict \
		--ignore MISSING_SIGN_OFF,UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES \
		--no-summary --terse --showfile "$1") |
		grep -vE "$TRACE_EVENT_STYLE" | sed "s,^$PATCHES/,,;s,^[^ ]*\.patch:,line ," | grep . && return 1
	return 0
}

maintainers_know() {
	local f bad=0

	sed -n 's,^+F:[[:space:]]*,,p' "${SERIES_FILES[@]}" >"$TMP/maintained"
	while read -r f; do
		grep -qxF -e "$f" -e "$(dirname "$f")/" "$TMP/maintained" || { say "MAINTAINERS does not name $f"; bad=1; }
	done < <(new_files)
	return "$bad"
}

# codespell_patches PATCH...: messages and added lines
codespell_patches() {
	local p

	rm -rf "$TMP/spelled"
	mkdir "$TMP/spelled"
	for p; do
		sed -n -e '1,/^---$/p' -e '/^+++ /d' -e 's/^+/ /p' "$p" >"$TMP/spelled/${p##*/}"
	done
	(cd "$TMP/spelled" && codespell --builtin clear -L "$OUR_WORDS" .)
}

# iput(), the macro Nd of a man page, and a made-up file name
OUR_WORDS=iput,nd,te

checkpatch_can_fail() {
	local p=$TMP/bad.patch

	sed '0,/^+[^+]/s/^+\([^+].*\)/+   \1   /' "${SERIES_FILES[0]}" >"$p"
	! checkpatch_one "$p" || { say "trailing blanks are not reported"; return 1; }
}

touched_c() {
	files_of "${SERIES_FILES[@]}" | grep '\.c$'
}

# sparse_of OUTPUT FRAGMENT...: sparse warnings for the touched objects
sparse_of() {
	local out=$CACHE/build/step-y$ON result=$1 f mark objects=()
	shift

	while read -r f; do
		[ ! -f "$TREE/$f" ] || objects+=("${f%.c}.o")
	done < <(touched_c | grep -v '/tests/\|^tools/\|_kunit\.c$')
	run_logged kernel_config "$TREE" "$out" tinyconfig "$@" || return 1
	run_logged "${MAKE_KERNEL[@]}" -C "$TREE" O="$out" -j"$JOBS" W=1 prepare || return 1
	(cd "$out" && rm -f "${objects[@]}")
	mark=$(wc -l <"$LOG")
	run_logged "${MAKE_KERNEL[@]}" -C "$TREE" O="$out" -j"$JOBS" W=1 \
		C=2 "${objects[@]}" || return 1
	tail -n "+$mark" "$LOG" | without_lines >"$result"
}

# without_lines: warnings for touched files as "file: warning: text"
without_lines() {
	sed -n "s,^\($TREE/\|\(\.\./\)*\)\?\([a-zA-Z0-9_./-]*\):[0-9]*:\([0-9]*:\)\? *\(\(warning\|error\): .*\),\3: \5,p" |
		grep -F -f <(files_of "${SERIES_FILES[@]}" | sed 's/$/:/') | sort || :
}

sparse_nothing_new() {
	CURRENT='style: sparse on the base'
	work_tree steps 0 && sparse_of "$TMP/sparse.base" "$REPO/kconfig/build.config" ||
		{ not_ok "sparse on the base"; return; }
	CURRENT='style: sparse on the series'
	work_tree steps -1 && sparse_of "$TMP/sparse" "$REPO"/kconfig/{build,pdflush}.config ||
		{ not_ok "sparse on the series"; return; }
	nothing_new sparse "$TMP/sparse.base" "$TMP/sparse"
}

kernel_doc_of() {
	local f

	while read -r f; do
		[ ! -f "$1/$f" ] || (cd "$1" && perl scripts/kernel-doc -none -Wall "$f" 2>&1 || :)
	done < <(files_of "${SERIES_FILES[@]}" | grep '\.[ch]$')
}

# nothing_new NAME BASE PATCHED
nothing_new() {
	local new

	new=$(comm -13 "$2" "$3")
	say "$new" >>"$LOG"
	if [ -z "$new" ]; then
		ok "$1: nothing new ($(wc -l <"$2") before)"
	else
		not_ok "$1" "$(say "$new" | grep -c .) new: $(say "$new" | head -n 1)"
	fi
}

shell_scripts() {
	(cd "$REPO" && {
		find scripts docs/model .ci kunit -type f -not -name '*.c' -exec \
			grep -lE -m1 '^#!.*\b(ba|da)?sh\b|^# shellcheck shell=' {} + || :
	} | sort)
}

shellcheck_all() {
	# shellcheck disable=SC2046
	(cd "$REPO" && shellcheck $(shell_scripts))
}

# no_gaps: no placeholders are left
no_gaps() {
	! grep -rnE '@[A-Z]{3,}@|<!-- fill:' "$REPO"/docs "$REPO"/README*
}

# names_unique: as all parts are sourced, a second function with the same name would
# replace the first.  on_exit() and guest_lines() are meant to be overridden.
names_unique() {
	local twice

	twice=$(grep -hoE '^[a-z_0-9]+\(\)' "$REPO/scripts/test" "$REPO"/scripts/lib/*.sh "$REPO"/scripts/test.d/*.sh |
		grep -vxE '(on_exit|guest_lines)\(\)' | LC_ALL=C sort | uniq -d)
	[ -z "$twice" ] || { say "defined twice: ${twice//$'\n'/ }"; return 1; }
}

codespell_all() {
	(cd "$REPO" && git ls-files -z -- README* docs scripts kconfig kunit series .ci | xargs -0 codespell -L "$OUR_WORDS")
}

codespell_can_fail() {
	local p=$TMP/misspelt.patch word=receive

	sed "0,/^+[^+]/s/^+\([^+].*\)/+\1 ${word/ei/ie}/" "${SERIES_FILES[0]}" >"$p"
	! codespell_patches "$p" || { say "a misspelt word is not reported"; return 1; }
}

spdx_everywhere() {
	local f bad=0

	while IFS= read -r -d '' f; do
		{ head -n 3 "$REPO/$f"; tail -n 3 "$REPO/$f"; } | grep -q 'SPDX-License-Identifier: GPL-2.0-only' ||
			{ say "$f has no SPDX line"; bad=1; }
	done < <(git -C "$REPO" ls-files -z -- README* docs scripts kconfig kunit .ci .gitignore ':!:*.png' ':!:*.svg' ':!:COPYING')
	return "$bad"
}

# --- documented defaults -----------------------------------------------------

# documented NAME: the default in README's and docs' tables, i.e. in a row "| NAME | ... |"
# of a table with a column "default"
documented() {
	find "$REPO" -maxdepth 1 -name 'README*' -exec cat {} +  >"$TMP/docs"
	find "$REPO/docs" -maxdepth 1 -name '*.md' -exec cat {} + >>"$TMP/docs"
	awk -F '|' -v name="$1" '
	function trim(s) { gsub(/^[ \t`*]+|[ \t`*]+$/, "", s); return s }
	!/^ *\|/ { col = 0; next }
	{
		for (i = 2; i < NF; i++)
			if (tolower(trim($i)) == "default")
				col = i
		hit = 0
		for (i = 2; i < NF && i < col; i++)
			if (trim($i) == name)
				hit = 1
		if (hit && col)
			print trim($col)
	}' "$TMP/docs" | sort -u
}

# documented_in_tree NAME: the same in the kernel's admin guide
documented_in_tree() {
	case $1 in
	vm.*) sed -n "s/^sysctl \`\`$1\`\` *\([^ ]*\) .*/\1/p" "$TREE/Documentation/admin-guide/mm/pdflush.rst" ;;
	esac
}

# in_code NAME: the default in the patched tree
in_code() {
	case $1 in
	vm.nr_pdflush_threads_min) defined PDFLUSH_MIN_THREADS ;;
	vm.nr_pdflush_threads_max) grep -q 'pool->max = [A-Z1-9]' "$TREE/mm/pdflush.c" || say 0 ;;
	CONFIG_*) kconfig_default "${1#CONFIG_}" ;;
	esac
}

defined() {
	sed -n "s/^#define[[:space:]]\{1,\}$1[[:space:]]\{1,\}\([0-9]*\).*/\1/p" "$TREE/mm/pdflush.c"
}

kconfig_default() {
	awk -v name="$1" '
	$1 == "config" { on = $2 == name; found = found || on }
	on && $1 == "default" { value = $2 }
	END { if (found) print value == "" ? "n" : value }' "$TREE/mm/Kconfig" "$TREE/mm/Kconfig.debug"
}

defaults_agree() {
	local name doc code bad=0

	for name in vm.nr_pdflush_threads_min vm.nr_pdflush_threads_max \
		CONFIG_PDFLUSH CONFIG_PDFLUSH_DEFAULT_ON CONFIG_PDFLUSH_KUNIT_TEST CONFIG_WRITEBACK_KUNIT_TEST; do
		doc=$({ documented "$name"; documented_in_tree "$name"; } | sort -u) code=$(in_code "$name")
		say "$name: documented $doc, code $code"
		[ -n "$code" ] && [ "$doc" = "$code" ] || bad="$name: documented \"$doc\", in the code \"$code\""
	done
	[ "$bad" = 0 ] || { say "$bad"; return 1; }
}

# sysctls_documented: each is in README, the admin guide, vm.rst and the selftest knobs
# shellcheck disable=SC2016 # backquotes are markdown's
sysctls_documented() {
	local name bad=0 n=0

	for name in $(series_sysctls); do
		grep -q "^| \`vm\.$name\` |" "$REPO/README" || { say "README lacks vm.$name"; bad=1; }
		grep -qF "\`\`vm.$name\`\`" "$TREE/Documentation/admin-guide/mm/pdflush.rst" || { say "pdflush.rst lacks vm.$name"; bad=1; }
		grep -qx "$name" "$TREE/Documentation/admin-guide/sysctl/vm.rst" || { say "vm.rst lacks $name"; bad=1; }
		grep -qF "\"$name\"" "$TREE/tools/testing/selftests/pdflush/knobs_test.c" || { say "the selftest knobs lacks $name"; bad=1; }
		n=$((n + 1))
	done
	[ "$n" -gt 0 ] || { say "the series adds no sysctl"; return 1; }
	return "$bad"
}

# Each row of docs/history.md with a test has a break that one of its tests catches.
# Rows that refer to figures.md are measured, not tested.
history_is_broken() {
	awk '
	FNR == NR && /^Name: / { name = $2; tests[name] = ""; next }
	FNR == NR && /^Caught-by: / {
		sub(/^Caught-by: (kunit|vm [a-z]+) /, "")
		tests[name] = tests[name] "\n" $0
		next
	}
	FNR == NR || !/^\| / || /^\| (old piece|defect) / || / \| \|$/ { next }
	/figures\.md/ { next }
	{
		row = $0
		sub(/ \|$/, "", row)
		rows++
		n = split(row, column, " [|] ")
		found = 0
		while (match(row, /\([A-Za-z0-9]+(-[a-z0-9]+)+(, [A-Za-z0-9]+(-[a-z0-9]+)+)*\)/)) {
			m = split(substr(row, RSTART + 1, RLENGTH - 2), names, ", ")
			row = substr(row, RSTART + RLENGTH)
			for (i = 1; i <= m; i++) {
				found = 1
				if (!(names[i] in tests)) { print "no break " names[i]; bad = 1 }
				else if (!caught(names[i], column[n])) { print names[i] " is not caught by a test of its row"; bad = 1 }
			}
		}
		for (name in tests) if (!found && caught(name, column[n])) found = 1
		if (!found) { print "no break for: " substr($0, 1, 60); bad = 1 }
	}
	function caught(name, text,	i, m, t) {
		m = split(tests[name], t, "\n")
		for (i = 2; i <= m; i++) {
			if (index(text, t[i])) return 1
			# one row for all filesystems
			if (sub(/^[^:]*: /, "*fs*: ", t[i]) && index(text, t[i])) return 1
		}
		return 0
	}
	END { if (rows < 60) { print "only " rows + 0 " rows"; bad = 1 }; exit bad }
	' "$REPO/kunit/breaks.list" "$REPO/docs/history.md"
}

# kunit_case [SUITE.]CASE: exists?
kunit_case() {
	grep -qE "KUNIT_CASE(_PARAM|_SLOW)?\(${1#*.}[,)]" "$TREE"/{fs,mm}/tests/*.c || { say "no KUnit case $1"; return 1; }
}

# selftest PROGRAM.CASE: exists?
selftest() {
	grep -qsE "^TEST(_F|_F_TIMEOUT)?\((.*, )?${1#*.}[,)]" "$TREE/tools/testing/selftests/pdflush/${1%%.*}_test.c" ||
		{ say "no selftest $1"; return 1; }
}

guest_check() {
	grep -qF -e "\"$1\"" "$REPO"/scripts/guest/* || { say "no check in the guest: $1"; return 1; }
}

# The tests named in docs/history.md exist.
# shellcheck disable=SC2016 # backquotes are markdown's
history_names_exist() {
	local page=$REPO/docs/history.md name bad=0 n=0

	while read -r name; do
		case $name in
		knobs.* | switch.* | tick.* | background.* | sync.* | error.* | thread.*) selftest "$name" || bad=1 ;;
		*) kunit_case "$name" || bad=1 ;;
		esac
		n=$((n + 1))
	done < <(grep -oE '`[a-z_]+\.[a-z][a-z0-9_]{2,}`' "$page" | tr -d '`' | grep -vE '^(vm\.|suite\.case|program\.case)' | sort -u)
	while IFS= read -r name; do
		guest_check "$name" || bad=1
		n=$((n + 1))
	done < <(sed -n 's/^| .* vm: \([a-z0-9][^|*;]*[^|*; ]\) |$/\1/p' "$page" | grep -vE '^(SysRq|laptop mode|.*(, |\().*)$')
	[ "$n" -gt 100 ] || { say "only $n names found"; return 1; }
	return "$bad"
}

# Every question in docs/review.md has a "Behind it:", and what it names exists: `case`,
# `program.case`, `name-of-a-break`, patch *subject*, VM *check*.
# shellcheck disable=SC2016 # backquotes are markdown's
review_names_exist() {
	local page=${1:-$REPO/docs/review.md} name bad=0 n=0

	awk '
	function answered() { if (question != "" && !behind) { print "no \"Behind it\": " question; bad = 1 } }
	/^\*\*/ && before == "" { answered(); question = $0; behind = 0 }
	/^## / { answered(); question = "" }
	/^Behind it: / { behind = 1 }
	{ before = $0 }
	END { answered(); exit bad }
	' "$page" || bad=1
	awk '
	/^Behind it: / { on = 1 }
	/^$/ { if (on) print ""; on = 0 }
	on { printf "%s ", $0 }
	END { print "" }
	' "$page" >"$TMP/behind"
	awk '/^Subject: /{ s = $0; while ((getline l) > 0 && l ~ /^ /) s = s l; print s }' "${SERIES_FILES[@]}" >"$TMP/subjects"
	while IFS= read -r name; do
		case $name in
		*[!A-Za-z0-9_.*-]*) continue ;; # a function, a file, a command
		*.*) selftest "$name" || bad=1 ;;
		*-*) grep -qxE "Name: ${name//\*/.*}" "$REPO/kunit/breaks.list" || { say "no break $name"; bad=1; } ;;
		*) kunit_case "$name" || bad=1 ;;
		esac
		n=$((n + 1))
	done < <(grep -oE '`[^`]+`' "$TMP/behind" | tr -d '`' | sort -u)
	while IFS= read -r name; do
		guest_check "$name" || bad=1
		n=$((n + 1))
	done < <(grep -oE 'VM \*[^*]+\*(, \*[^*]+\*)*' "$TMP/behind" | grep -oE '\*[^*]+\*' | tr -d '*' | sort -u)
	while IFS= read -r name; do
		grep -qF -e ": $name" "$TMP/subjects" || { say "no patch: $name"; bad=1; }
	done < <(grep -oE 'patch \*[^*]+\*' "$TMP/behind" | cut -d '*' -f 2 | sort -u)
	[ "$n" -ge 60 ] || { say "only $n names found"; return 1; }
	return "$bad"
}

# shellcheck disable=SC2016 # backquotes are markdown's
review_names_can_fail() {
	local broken=$TMP/review.md script

	for script in 's/`claim_has_one_owner`/`claim_has_two_owners`/' 's/`thread\.are_ordinary`/`thread.are_odd`/' \
		's/`parked-data-is-left`/`parked-data-is-right`/' 's/\*two hung devices do not/*two hung devices did not/' \
		's/patch \*keep one device from/patch *keep two devices from/' '0,/^Behind it: /s/^Behind it: //'; do
		sed "$script" "$REPO/docs/review.md" >"$broken"
		! cmp -s "$REPO/docs/review.md" "$broken" || { say "nothing was broken: $script"; return 1; }
		! review_names_exist "$broken" || { say "not reported: $script"; return 1; }
	done
}

part_style() {
	local p

	new_tmp
	if [ -z "$ON" ]; then
		check "shellcheck" shellcheck_all
		check "function names are unique" names_unique
		check "no placeholders in the documents" no_gaps
		check "codespell" codespell_all
		check "SPDX line in every file" spdx_everywhere
	fi
	work_tree main -1 || { not_ok "patched tree"; return; }
	check "codespell: the patches" codespell_patches "${SERIES_FILES[@]}"
	check "codespell reports a bad patch" codespell_can_fail
	for p in "${SERIES_FILES[@]}"; do
		check "checkpatch $(basename "$p" .patch)" checkpatch_one "$p"
	done
	check "checkpatch reports a bad patch" checkpatch_can_fail
	check "MAINTAINERS names every new file" maintainers_know
	check "documented defaults match the code" defaults_agree
	check "all sysctls of the series are documented and tested" sysctls_documented
	[ -n "$ON" ] || check "the tests named in docs/history.md exist" history_names_exist
	[ -n "$ON" ] || check "what docs/review.md refers to exists" review_names_exist
	[ -n "$ON" ] || check "a wrong name in docs/review.md is reported" review_names_can_fail
	[ -n "$ON" ] || check "each row with a test in docs/history.md has a break" history_is_broken
	kernel_doc_of "$SRC" | sed -E 's/:[0-9]+:? /: /' | sort >"$TMP/doc.base"
	kernel_doc_of "$TREE" | sed -E 's/:[0-9]+:? /: /' | sort >"$TMP/doc"
	nothing_new kernel-doc "$TMP/doc.base" "$TMP/doc"
	sparse_nothing_new
}
