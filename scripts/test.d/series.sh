# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # PATCHES and SERIES are changed in subshells on purpose
#
# scripts/test series.  All of it works on a small tree that holds only the
# files the series touches and what makes it a kernel tree.

need_series() {
	need quilt:quilt git:git patch:patch
}

# A tree small enough to copy for every check; a git tree of one commit.
mini_tree() {
	small_tree "$SRC" "$1"
	for f in Kbuild Kconfig fs/fs-writeback.c mm/backing-dev.c; do
		[ -e "$1/$f" ] || { mkdir -p "$1/$(dirname "$f")" && cp -p "$SRC/$f" "$1/$f"; }
	done
	git -C "$1" init -q -b master
	git -C "$1" config core.autocrlf false
	git -C "$1" config gc.auto 0
	git -C "$1" add -A -f
	git_as_us -C "$1" commit -q -m base
}

git_as_us() {
	git -c user.name=test -c user.email=test@localhost -c commit.gpgSign=false "$@"
}

fresh() {
	rm -rf "$MINI"
	cp -a "$MINI.base" "$MINI"
	git -C "$MINI" update-index -q --refresh
}

# What a tree holds, git's own bookkeeping aside.
contents() {
	(cd "$1" && find . -path ./.git -prune -o -printf '%P %y %m\n' | LC_ALL=C sort
		find . -path ./.git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum
}

listed_and_present() {
	diff <(series_list | sort) <(cd "$PATCHES" && find . -name '*.patch' -printf '%P\n' | grep -v / | sort) ||
		{ say "series and patches/ differ"; return 1; }
	[ -z "$(series_list | sort | uniq -d)" ] || { say "a patch is listed twice"; return 1; }
}

# headers_good PATCH: who it is from, what it is, why; and no sign-off.
headers_good() {
	local name=${1##*/} info from subject slug

	info=$(git mailinfo "$TMP/body" "$TMP/diff" <"$1") || { say "$name: no mail headers"; return 1; }
	from="$(say "$info" | sed -n 's/^Author: //p') <$(say "$info" | sed -n 's/^Email: //p')>"
	[ "$from" = "$IDENTITY" ] || { say "$name: From is $from, not $IDENTITY"; return 1; }
	subject=$(say "$info" | sed -n 's/^Subject: //p')
	[[ $subject =~ ^[a-zA-Z0-9/_-]+(:\ [a-zA-Z0-9/_-]+)*:\ .+ ]] || { say "$name: Subject has no prefix"; return 1; }
	[ "${#subject}" -le 75 ] || { say "$name: Subject longer than 75"; return 1; }
	slug=$(say "$subject" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9_]\{1,\}/-/g' | cut -c 1-60 | sed 's/-*$//')
	[ "$slug.patch" = "$name" ] || { say "$name: the name should be $slug.patch"; return 1; }
	[ "$(grep -c '[^[:space:]]' "$TMP/body")" -ge 2 ] || { say "$name: empty message"; return 1; }
	! grep -qiE '^(Signed-off-by|Co-developed-by):' "$1" || { say "$name: carries a sign-off"; return 1; }
	grep -q '^From 0\{40\} ' "$1" || { say "$name: first line is not a zeroed commit"; return 1; }
}

all_headers_good() {
	local p

	for p in "${SERIES_FILES[@]}"; do headers_good "$p" || return 1; done
}

repository_identity() {
	git -C "$REPO" log --max-parents=0 -1 --format='%an <%ae>'
}

by_quilt() {
	fresh
	(cd "$MINI" && our_quilt push -a --fuzz=0 && [ "$(our_quilt applied | wc -l)" -eq "${#SERIES_FILES[@]}" ]) || return 1
	rm -rf "$MINI/.pc" && contents "$MINI" >"$TMP/want"
}

# zero fuzz and zero offset: the patch is exactly what this base needs
no_offset() {
	! grep -nE 'with fuzz|\(offset -?[0-9]+ lines?\)' "$LOG" || { say "a hunk moved: refresh"; return 1; }
}

by_git_am() {
	fresh
	git_as_us -C "$MINI" am -q --no-3way "${SERIES_FILES[@]}" || return 1
	same_result
}

by_quiltimport() {
	fresh
	git_as_us -C "$MINI" quiltimport --patches "$PATCHES" --series "$SERIES" || return 1
	same_result
}

same_result() {
	[ "$(contents "$MINI")" = "$(cat "$TMP/want")" ] || { say "not the tree that quilt makes"; return 1; }
}

# exporting the commits again gives the same bytes
refreshed() {
	fresh
	git_as_us -C "$MINI" am -q --no-3way "${SERIES_FILES[@]}" || return 1
	rm -rf "$TMP/export"
	mkdir -p "$TMP/export"
	cp "$SERIES" "$TMP/export/series"
	"$REPO/scripts/export" --output "$TMP/export" "$MINI" master~"${#SERIES_FILES[@]}" || return 1
	diff -u "$SERIES" "$TMP/export/series" && diff -ru "$PATCHES" "$TMP/export/patches" ||
		{ say "not refreshed: run scripts/export"; return 1; }
}

apply_and_undo() {
	local before

	fresh
	before=$(contents "$MINI")
	"$REPO/scripts/apply" "$@" "$MINI" || return 1
	[ "$(contents "$MINI")" != "$before" ] || { say "nothing was applied"; return 1; }
	! "$REPO/scripts/apply" "$@" "$MINI" || { say "applied twice"; return 1; }
	"$REPO/scripts/apply" --undo "$MINI" || return 1
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs after the undo"; return 1; }
}

# refused PATTERN ARGUMENT...: one line that matches, no success, no change.
refused() {
	local pattern=$1 before lines
	shift

	before=$(contents "$MINI")
	if "$REPO/scripts/apply" "$@" "$MINI" >"$TMP/out" 2>"$TMP/err"; then say "accepted"; return 1; fi
	lines=$(wc -l <"$TMP/err")
	cat "$TMP/err"
	[ "$lines" -eq 1 ] || { say "$lines lines instead of one"; return 1; }
	grep -qE "$pattern" "$TMP/err" || { say "the line does not say $pattern"; return 1; }
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree was touched"; return 1; }
}

refuses_version() {
	fresh
	sed -i 's/^PATCHLEVEL = .*/PATCHLEVEL = 1/' "$MINI/Makefile"
	refused 'Linux 6\.1\.[0-9]+; the series is for 6\.12' && refused 'for 6\.12' --git
}

refuses_other_text() {
	local f

	fresh
	f=$(sed -n 's,^--- a/,,p' "${SERIES_FILES[0]}" | head -n 1)
	# what the first hunk expects is gone
	sed -i 's/e/E/g' "$MINI/$f"
	git_as_us -C "$MINI" commit -q -a -m 'another text'
	refused 'does not fit' && refused 'does not fit' --git
}

refuses_dirty() {
	local f

	fresh
	f=$(sed -n 's,^--- a/,,p' "${SERIES_FILES[0]}" | head -n 1)
	say '/* mine */' >>"$MINI/$f"
	refused 'dirty' --git && refused 'dirty'
}

refuses_half() {
	fresh
	(cd "$MINI" && our_quilt push -q --fuzz=0) || return 1
	refused 'half-applied' && refused 'nothing was changed' --undo
}

refuses_no_tree() {
	rm -rf "$MINI"
	mkdir "$MINI"
	refused 'not a Linux kernel tree'
}

refuses_undo_of_nothing() {
	fresh
	refused 'not applied' --undo
}

# accepts_sublevel: another 6.12.y is fine as long as every hunk fits
accepts_sublevel() {
	fresh
	sed -i 's/^SUBLEVEL = .*/SUBLEVEL = 999/' "$MINI/Makefile"
	git_as_us -C "$MINI" commit -q -a -m 'another point release'
	"$REPO/scripts/apply" "$MINI" >"$TMP/out" || return 1
	grep -q "Linux 6.12.999.*tested with $BASE_TESTED" "$TMP/out" || { say "the tested version is not named"; return 1; }
}

# A checker that cannot fail is none: each of these must turn a check red.
broken_is_found() {
	local p=$TMP/broken

	rm -rf "$p" && cp -r "$PATCHES" "$p" && cp "$SERIES" "$p.series"
	! (PATCHES=$p SERIES=$p.series; rm "$p/$(series_list | head -n 1)"; listed_and_present) ||
		{ say "a missing file goes unnoticed"; return 1; }
	cp "${SERIES_FILES[0]}" "$p/unlisted.patch" && cp "${SERIES_FILES[0]}" "$p/"
	! (PATCHES=$p SERIES=$p.series; listed_and_present) || { say "an unlisted file goes unnoticed"; return 1; }
	rm "$p/unlisted.patch"
	sed '0,/^@@/!{0,/^ ./s/^ \(.\)/ x\1/}' "${SERIES_FILES[0]}" >"$p/${SERIES_FILES[0]##*/}"
	! (PATCHES=$p SERIES=$p.series; by_quilt) || { say "a broken hunk goes unnoticed"; return 1; }
	sed '0,/^---$/s/^---$/Signed-off-by: A <a@b>\n---/' "${SERIES_FILES[0]}" >"$p/${SERIES_FILES[0]##*/}"
	! headers_good "$p/${SERIES_FILES[0]##*/}" || { say "a sign-off goes unnoticed"; return 1; }
}

# Stopped in the middle, the tree is as before.
interrupted() {
	local before pid i

	fresh
	before=$(contents "$MINI")
	for i in 1 2 3 4 5; do
		"$REPO/scripts/apply" "$MINI" >/dev/null 2>&1 &
		pid=$!
		sleep "0.$i"
		kill -TERM "$pid" 2>/dev/null || :
		# It may have been done before it was stopped: then the undo works.
		if wait "$pid" || [ -d "$MINI/.pc" ]; then "$REPO/scripts/apply" --undo "$MINI" || return 1; fi
		[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs after a stop"; return 1; }
	done
}

part_series() {
	new_tmp
	MINI=$TMP/tree
	IDENTITY=$(repository_identity)
	export PDFLUSH_PATCHES=$PATCHES PDFLUSH_SERIES=$SERIES
	mini_tree "$MINI.base" >>"$LOG" 2>&1
	check "every file is listed, every line is present" listed_and_present
	check "headers: from, subject, message, no sign-off" all_headers_good
	check "applies by quilt with zero fuzz" by_quilt
	check "no hunk has moved" no_offset
	contents_of_quilt
	check "applies by git am" by_git_am
	check "applies by git quiltimport" by_quiltimport
	check "refreshed: export gives the same bytes" refreshed
	check "apply and undo leave the tree as it was" apply_and_undo
	check "apply --git and undo leave the tree as it was" apply_and_undo --git
	check "another point release is accepted, and named" accepts_sublevel
	check "another version is refused" refuses_version
	check "another text is refused" refuses_other_text
	check "a dirty tree is refused" refuses_dirty
	check "a half-applied tree is refused" refuses_half
	check "something else is refused" refuses_no_tree
	check "undo of nothing is refused" refuses_undo_of_nothing
	check "stopped in the middle: the tree is as it was" interrupted
	check "broken fixtures turn the checks red" broken_is_found
}

# "want" is written by by_quilt, in a process of its own; make sure it is there.
contents_of_quilt() {
	[ -s "$TMP/want" ] || say none >"$TMP/want"
}
