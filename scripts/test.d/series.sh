# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031,SC2153 # PATCHES and SERIES are changed in subshells on purpose
#
# scripts/test series.  All of it works on a small tree of the base that holds
# only the files the series touches and what makes it a kernel tree.

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

# What a base lists is there, once, and is the primary one's or its own; what is
# there is listed by one of them.
listed_and_present() {
	local base file

	for base in $BASES; do
		file=$(series_of "$base")
		[ -f "$file" ] || { say "there is no series for $base"; return 1; }
		series_list "$file"
	done | sort -u >"$TMP/listed"
	(cd "$PATCHES" && find . -type f ! -name series -printf '%P\n') | sort >"$TMP/present"
	diff "$TMP/listed" "$TMP/present" || { say "the series files and patches/ differ"; return 1; }
	[ -z "$(series_list | sed 's,.*/,,' | sort | uniq -d)" ] || { say "a patch is listed twice"; return 1; }
	! series_list | sed "s,^$BASE/,," | grep -vxE '[1-9]-[a-z-]+/[^/]+\.patch' || { say "not in a folder that tells its place"; return 1; }
	[ "$(series_list | sed "s,^$BASE/,,;s,/.*,," | uniq)" = "$(series_list | sed "s,^$BASE/,,;s,/.*,," | sort -u)" ] ||
		{ say "the folders are not in the order of the series"; return 1; }
	series_list | while read -r file; do
		case $file in
		"$BASE"/*) [ -n "$ON" ] ;;
		*) series_list "$PRIMARY_SERIES" | grep -qxF -e "$file" ;;
		esac || { say "$file is neither in series nor in patches/$BASE"; exit 1; }
	done
}

names_base() {
	sed -n 2p "$SERIES" | grep -xE "# Base: Debian linux-source-${BASE//./\\.}, tested with ${BASE//./\\.}\.[0-9]+\." ||
		{ say "the second line of $SERIES does not name $BASE and the version tested"; return 1; }
}

# It names the version of the tree, or an older one if Debian has moved on.
names_tree() {
	! newer "$BASE_TESTED" "$(kernel_version "$SRC")" ||
		{ say "$SERIES names $BASE_TESTED, the tree is $(kernel_version "$SRC")"; return 1; }
}

# "| 6.1 | patches/6.1/series | 25 | 5 | 6.1.192 |" in docs/bases.md
tables_true() {
	local row own

	own=$(series_list | grep -c "^$BASE/" || :)
	row=$(table_row "$REPO/docs/bases.md")
	[ "$row" = "$BASE|${#SERIES_FILES[@]}|${own#0}|$BASE_TESTED" ] || { say "docs/bases.md: $row"; return 1; }
}

# table_row FILE: base, patches, those of its own, version tested
table_row() {
	sed -n "s/^ *| *${BASE//./\\.}\(, the primary\)\? *| [^|]*series[^|]*|/|/p" "$1" | head -n 1 | tr -d ' ' |
		awk -F '|' -v base="$BASE" '{ print base "|" $2 "|" $3 "|" $4 }'
}

# A patch of its own is needed: the primary one of that name does not fit here,
# or does something else.
no_needless_copies() {
	local p primary at=$TMP/at

	rm -rf "$at"
	small_tree "$SRC" "$at"
	while read -r p; do
		primary=${p#"$BASE/"}
		if [ "$p" != "$primary" ] && series_list "$PRIMARY_SERIES" | grep -qxF -e "$primary"; then
			rm -rf "$at.primary"
			cp -a "$at" "$at.primary"
			exactly "$at.primary" "$PATCHES/$primary" || rm -rf "$at.primary"
		fi
		exactly "$at" "$PATCHES/$p" || { say "$p does not apply"; return 1; }
		[ ! -d "$at.primary" ] || ! diff -rq "$at" "$at.primary" >/dev/null ||
			{ say "$p is not needed: $primary does the same"; return 1; }
	done < <(series_list)
}

# exactly TREE PATCH
exactly() {
	patch -d "$1" -p1 -F0 -s -f -r - --no-backup-if-mismatch <"$2"
}

# headers_good PATCH: who it is from, what it is, why; and no sign-off.
headers_good() {
	local name=${1##*/} info from subject other

	info=$(git mailinfo "$TMP/body" "$TMP/diff" <"$1") || { say "$name: no mail headers"; return 1; }
	from="$(say "$info" | sed -n 's/^Author: //p') <$(say "$info" | sed -n 's/^Email: //p')>"
	[ "$from" = "$IDENTITY" ] || { say "$name: From is $from, not $IDENTITY"; return 1; }
	subject=$(say "$info" | sed -n 's/^Subject: //p')
	[[ $subject =~ ^[a-zA-Z0-9/_-]+(:\ [a-zA-Z0-9/_-]+)*:\ .+ ]] || { say "$name: Subject has no prefix"; return 1; }
	[ "${#subject}" -le 75 ] || { say "$name: Subject longer than 75"; return 1; }
	[[ $name =~ ^[a-z0-9]+(-[a-z0-9]+)*\.patch$ ]] && [ "${#name}" -le $((NAME_LENGTH + 6)) ] || { say "$name: not a short name"; return 1; }
	other=$(words_of "${name%.patch}" | grep -vxF "$(words_of "$subject")" | head -n 1)
	[ -z "$other" ] || { say "$name: $other is no word of the subject"; return 1; }
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
	(cd "$MINI" && find . -path ./.git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$TMP/files"
}

# zero fuzz and zero offset: the patch is exactly what this base needs; one that
# is shared may have moved
no_offset() {
	! awk -v own="${ON:+/$BASE/}" '
	/^Applying patch /	{ patch = $3 }
	/with fuzz/ || (/\(offset -?[0-9]+ lines?\)/ && (own == "" || index(patch, own))) { print patch ": " $0 }
	' "$LOG" | grep . || { say "a hunk moved: refresh"; return 1; }
}

by_git_am() {
	fresh
	git_as_us -C "$MINI" am -q --no-3way "${SERIES_FILES[@]}" || return 1
	same_result
}

by_quiltimport() {
	fresh
	# asks for ever where a patch names nobody
	git_as_us -C "$MINI" quiltimport --author 'nobody <nobody@localhost>' --patches "$PATCHES" --series "$SERIES" || return 1
	same_result
}

same_result() {
	[ "$(contents "$MINI")" = "$(cat "$TMP/want")" ] || { say "not the tree that quilt makes"; return 1; }
}

# exporting the commits again gives the same bytes
refreshed() {
	local in=.

	[ -z "$ON" ] || in=$BASE
	fresh
	git_as_us -C "$MINI" am -q --no-3way "${SERIES_FILES[@]}" || return 1
	rm -rf "$TMP/export"
	mkdir -p "$TMP/export/patches/$in"
	if [ -n "$ON" ]; then cp "$SERIES" "$TMP/export/patches/$in"; else cp "$SERIES" "$TMP/export"; fi
	"$REPO/scripts/export" --output "$TMP/export" "$MINI" master~"${#SERIES_FILES[@]}" || return 1
	rm -rf "$TMP/stored"
	mkdir "$TMP/stored"
	(cd "$PATCHES/$in" && patches_below . | xargs -r cp --parents -t "$TMP/stored") || return 1
	cp "$SERIES" "$TMP/stored"
	[ -n "$ON" ] || mv "$TMP/export/series" "$TMP/export/patches"
	diff -ru "$TMP/stored" "$TMP/export/patches/$in" || { say "not refreshed: run scripts/export"; return 1; }
}

apply_and_undo() {
	local before

	fresh
	before=$(contents "$MINI")
	"$REPO/scripts/apply" "$@" "$MINI" >"$TMP/out" || return 1
	grep -q "series for ${BASE//./\\.}," "$TMP/out" || { cat "$TMP/out"; say "not the series for $BASE"; return 1; }
	[ "$(contents "$MINI")" != "$before" ] || { say "nothing was applied"; return 1; }
	same_files || { say "not the files that quilt makes"; return 1; }
	! "$REPO/scripts/apply" "$@" "$MINI" || { say "applied twice"; return 1; }
	"$REPO/scripts/apply" --undo "$MINI" || return 1
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs after the undo"; return 1; }
}

same_files() {
	[ "$( (cd "$MINI" && find . \( -path ./.git -o -path ./.pc \) -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) )" = "$(cat "$TMP/files")" ]
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

# label X.Y: the tree says it is that version
label() {
	sed -i "s/^VERSION = .*/VERSION = ${1%%.*}/;s/^PATCHLEVEL = .*/PATCHLEVEL = ${1#*.}/" "$MINI/Makefile"
	git_as_us -C "$MINI" commit -q -a -m "says it is $1"
}

# One more than this base is none: what was tried is named, and may be taken.
refuses_version() {
	local next=${BASE%%.*}.$((${BASE#*.} + 1)) line

	fresh
	label "$next"
	line="Linux ${next//./\\.}\.[0-9]+; there are series for ${BASES// /, }; the nearest, that for $BASE \(tested with $BASE_TESTED\), was tried on a copy and"
	refused "$line fits exactly" && refused "$line fits exactly" --git && refused 'not applied' --undo || return 1
	"$REPO/scripts/apply" --series "$BASE" "$MINI" && "$REPO/scripts/apply" --series "$BASE" --undo "$MINI" || return 1
	spoil_text
	refused "$line does not fit: $(first_change | cut -d ' ' -f 1) fails" && refused 'does not fit' --series "$BASE"
}

# chooses VERSION BASE
chooses() {
	[ "$(nearest_base "$1")" = "$2" ] || { say "the nearest to $1 is $(nearest_base "$1")"; return 1; }
}

# Between two, and beyond them; in releases, so 6.19 is next to 7.0.
nearest_is_near() {
	chooses 6.13 6.12 && chooses 6.11 6.12 && chooses 7.0 7.3 && chooses 6.18 7.3 && chooses 6.16 6.12 &&
		chooses 7.4 7.3 && chooses 5.19 6.1 && chooses 6.2 6.1 && chooses 4.19 6.1
}

# The series is on it, by --series or before it got the name: neither "does not fit"
# nor "not applied", but how to get it out.
finds_series_of_other() {
	found_and_undone "${BASE%%.*}.$((${BASE#*.} + 1))" && found_and_undone "$(another_base)" --git
}

another_base() {
	local base

	for base in $BASES; do
		[ "$base" = "$BASE" ] || { say "$base"; return; }
	done
}

# found_and_undone VERSION [--git]
found_and_undone() {
	local before line="series for $BASE is applied to .*, Linux $1\\..*--undo --series $BASE $MINI\\)"

	fresh
	label "$1"
	before=$(contents "$MINI")
	"$REPO/scripts/apply" --series "$BASE" ${2:+"$2"} "$MINI" && refused "$line" && refused "$line" --undo &&
		"$REPO/scripts/apply" --undo --series "$BASE" "$MINI" || return 1
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs after the undo"; return 1; }
}

# The version decides: with that of another base it is another series.
takes_series_of_version() {
	local base

	for base in $BASES; do
		[ "$base" != "$BASE" ] || continue
		fresh
		label "$base"
		"$REPO/scripts/apply" "$MINI" >"$TMP/out" 2>&1 || :
		cat "$TMP/out"
		grep -q "series for ${base//./\\.} does not fit\|series for ${base//./\\.}," "$TMP/out" ||
			{ say "labelled $base, it does not get the series for $base"; return 1; }
	done
}

# what the first hunk expects is gone
spoil_text() {
	sed -i 's/^/x/' "$MINI/$(first_change | cut -d ' ' -f 2)"
	git_as_us -C "$MINI" commit -q -a -m 'another text'
}

refuses_other_text() {
	fresh
	spoil_text
	refused 'does not fit' && refused 'does not fit' --git
}

refuses_dirty() {
	local f

	fresh
	f=$(first_change | cut -d ' ' -f 2)
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

# accepts_sublevel: another point release is fine as long as every hunk fits
accepts_sublevel() {
	fresh
	sed -i 's/^SUBLEVEL = .*/SUBLEVEL = 999/' "$MINI/Makefile"
	git_as_us -C "$MINI" commit -q -a -m 'another point release'
	"$REPO/scripts/apply" "$MINI" >"$TMP/out" || return 1
	grep -q "Linux $BASE.999.*tested with $BASE_TESTED" "$TMP/out" || { say "the tested version is not named"; return 1; }
}

# A checker that cannot fail is none: each of these must turn a check red.
broken_is_found() {
	local p=$TMP/broken first file to

	first=$(first_change | cut -d ' ' -f 1)
	new_fixture() {
		rm -rf "$p" && cp -r "$PATCHES" "$p" && cp "$PRIMARY_SERIES" "$p.series" && file=$p/$first
	}
	# in_fixture CHECK: on the broken copy
	in_fixture() {
		(PATCHES=$p PRIMARY_SERIES=$p.series && use_base "$BASE" && read_series && "$1")
	}

	new_fixture
	rm "$file"
	! (PATCHES=$p PRIMARY_SERIES=$p.series && use_base "$BASE" && listed_and_present) ||
		{ say "a missing file goes unnoticed"; return 1; }
	new_fixture
	cp "$file" "$p/unlisted.patch"
	! in_fixture listed_and_present || { say "an unlisted file goes unnoticed"; return 1; }
	new_fixture
	mkdir -p "$p/1.0" && cp "$file" "$p/1.0/"
	! in_fixture listed_and_present || { say "a folder of no base goes unnoticed"; return 1; }
	new_fixture
	sed -i 's/, tested with .*//' "$p.series" "$p"/*/series
	! in_fixture names_base || { say "a series without its version goes unnoticed"; return 1; }
	new_fixture
	sed -i "s/, tested with $BASE\.[0-9]*/, tested with $BASE.9999/" "$p.series" "$p"/*/series
	! in_fixture names_tree || { say "a version that nobody has goes unnoticed"; return 1; }
	! in_fixture tables_true || { say "another version in docs/bases.md goes unnoticed"; return 1; }
	new_fixture
	say "$first" >>"$([ -n "$ON" ] && say "$p/$BASE/series" || say "$p.series")"
	! in_fixture tables_true || { say "another number of patches in docs/bases.md goes unnoticed"; return 1; }
	new_fixture
	sed -i '0,/^@@/!{0,/^ ./s/^ \(.\)/ x\1/}' "$file"
	! in_fixture by_quilt || { say "a broken hunk goes unnoticed"; return 1; }
	new_fixture
	sed -i '0,/^---$/s/^---$/Signed-off-by: A <a@b>\n---/' "$file"
	! headers_good "$file" || { say "a sign-off goes unnoticed"; return 1; }
	new_fixture
	mv "$file" "${file%.patch}s.patch"
	! headers_good "${file%.patch}s.patch" || { say "a name of another subject goes unnoticed"; return 1; }
	new_fixture
	to=${first%/*} to=${to%[1-9]-*}9-last/${first##*/}
	mkdir -p "$p/${to%/*}" && mv "$file" "$p/$to" && sed -i "s,^$first$,$to," "$p.series" "$p"/*/series
	! in_fixture listed_and_present || { say "a folder out of place goes unnoticed"; return 1; }
	[ -n "$ON" ] || return 0
	first=$(series_list | grep -v "^$BASE/" | head -n 1)
	[ -n "$first" ] || { say "$BASE shares nothing: cannot try a needless copy"; return 1; }
	new_fixture
	mkdir -p "$p/$BASE/${first%/*}"
	cp "$file" "$p/$BASE/$first"
	sed -i "s,^$first,$BASE/$first," "$p/$BASE/series"
	! in_fixture no_needless_copies || { say "a needless copy goes unnoticed"; return 1; }
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

# A disk gets full while the files to go back to are copied: the tree is as before.
kept_in_part() {
	local before undo=''

	fresh
	mkdir "$TMP/full"
	cat >"$TMP/full/cp" <<-'END'
	#!/bin/sh
	case $* in
	*/saved*) echo >>"$COPIED"; [ "$(wc -l <"$COPIED")" -le 3 ] || { echo "cp: no space left" >&2; exit 1; } ;;
	esac
	exec "$CP" "$@"
	END
	chmod +x "$TMP/full/cp"
	for undo in '' --undo; do
		before=$(contents "$MINI")
		: >"$TMP/copied"
		# shellcheck disable=SC2086 # none or one option
		! COPIED=$TMP/copied CP=$(command -v cp) PATH=$TMP/full:$PATH "$REPO/scripts/apply" $undo "$MINI" ||
			{ say "done without a way back"; return 1; }
		[ -s "$TMP/copied" ] || { say "nothing was copied"; return 1; }
		[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs"; return 1; }
		"$REPO/scripts/apply" $undo "$MINI" || return 1
	done
}

# git am fails half-way, and somebody edits another file meanwhile: that stays, and the
# rest is as before.
am_fails() {
	local before head

	fresh
	head=$(git -C "$MINI" rev-parse HEAD)
	mkdir -p "$TMP/am"
	cat >"$TMP/am/git" <<-'END'
	#!/bin/sh
	case " $* " in
	*" am "*)
		echo '# edited' >>"$EDITED"
		for last; do :; done
		echo 'not a mail' >"$BAD"
		case $last in *.patch) set -- "$@" "$BAD" ;; esac
		"$REAL" "$@"
		exit 1
		;;
	esac
	exec "$REAL" "$@"
	END
	chmod +x "$TMP/am/git"
	echo '# edited' >>"$MINI/Makefile"
	before=$(contents "$MINI")
	git -C "$MINI" checkout -q -- Makefile
	! REAL=$(command -v git) EDITED=$MINI/Makefile BAD=$TMP/bad PATH=$TMP/am:$PATH "$REPO/scripts/apply" --git "$MINI" ||
		{ say "git am failed, and nobody says so"; return 1; }
	[ "$(git -C "$MINI" rev-parse HEAD)" = "$head" ] || { say "HEAD has moved"; return 1; }
	[ "$(git -C "$MINI" status --porcelain)" = ' M Makefile' ] || { say "not only the edit is there"; return 1; }
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs"; return 1; }
	[ ! -e "$MINI/.git/rebase-apply" ] || { say "git am is still under way"; return 1; }
}

# Two at once: one does it, the other says so.
two_at_once() {
	local before pid done=0

	fresh
	before=$(contents "$MINI")
	"$REPO/scripts/apply" "$MINI" &
	pid=$!
	! "$REPO/scripts/apply" "$MINI" || done=1
	! wait "$pid" || done=$((done + 1))
	[ "$done" -eq 1 ] || { say "$done of two succeeded"; return 1; }
	same_files || { say "not the files that quilt makes"; return 1; }
	"$REPO/scripts/apply" --undo "$MINI" || return 1
	[ "$(contents "$MINI")" = "$before" ] || { say "the tree differs after the undo"; return 1; }
}

# What is not the script's own is left alone.
foreign_is_left() {
	local own=$TMP/export/patches${ON:+/$BASE} list=$TMP/export/${ON:+patches/$BASE/}series

	mkdir -p "$TMP/mine/linux-$BASE" "$own"
	echo mine >"$TMP/mine/linux-$BASE/file"
	! PDFLUSH_CACHE=$TMP/mine "$REPO/scripts/fetch-linux" "$BASE" || { say "a cache among other things"; return 1; }
	[ "$(cd "$TMP/mine" && find . -type f)" = "./linux-$BASE/file" ] || { say "other things were touched"; return 1; }
	echo mine >"$own/mine.patch"
	echo mine.patch >"$list"
	fresh
	"$REPO/scripts/apply" --git "$MINI" || return 1
	! "$REPO/scripts/export" --output "$TMP/export" "$MINI" || { say "exported over another series"; return 1; }
	[ "$(cat "$list" "$own/mine.patch")" = "mine.patch
mine" ] || { say "another series was touched"; return 1; }
	rm -r "$TMP/export"
	(cd "$TMP" && "$REPO/scripts/export" --output export "$MINI") || return 1
	[ -s "$list" ] && [ -n "$(patches_below "$own")" ] || { say "exported to another place"; return 1; }
}

# --- where the source comes from -------------------------------------------------

# fake_debian VERSION...: in $FAKE, programs that stand for a machine without kernel
# sources and for an archive that has these versions of BASE.  What apt-get is asked
# to do is in $FAKE/asked; the suites but sid answer as $ANSWER says.
fake_debian() {
	local tool version

	FAKE=$TMP/fake ANSWER=Get
	rm -rf "$FAKE"
	mkdir -p "$FAKE/bin" "$FAKE/served" "$FAKE/cache/deb"
	: >"$FAKE/cache/.pdflush"
	for version; do fake_package "$FAKE/served" "$version"; done
	for tool in dpkg-query sudo; do printf '#!/bin/sh\nexit 1\n' >"$FAKE/bin/$tool"; done
	# between two tries
	printf '#!/bin/sh\nexec %s 0.2\n' "$(command -v sleep)" >"$FAKE/bin/sleep"
	cat >"$FAKE/bin/apt-cache" <<-'END'
	#!/bin/sh
	cd "$FAKE/served" || exit 1
	case $* in
	*pkgnames*) ls | sed 's/_.*//' | sort -u ;;
	*madison*) ls | sed 's,\(.*\)_\(.*\)_all.deb, \1 | \2 | http://fake/debian sid/main amd64 Packages,' ;;
	esac
	END
	cat >"$FAKE/bin/apt-get" <<-'END'
	#!/bin/sh
	echo "$*" >>"$FAKE/asked"
	case $* in
	*Dir::State=*update)
		for suite in $SUITES; do
			[ "$suite" != sid ] && answer=$ANSWER || answer=Get
			echo "$answer:1 http://fake/debian $suite InRelease"
			[ "$answer" != Err ] || echo '  Could not connect'
		done
		;;
	*download*) for asked; do :; done; cp "$FAKE/served/"*"_${asked#*=}_all.deb" . ;;
	esac
	END
	chmod +x "$FAKE"/bin/*
}

# fake_package DIRECTORY VERSION: the small tree as Debian packs a whole one
fake_package() {
	local root=$TMP/package name=linux-source-$BASE

	rm -rf "$root"
	mkdir -p "$root/DEBIAN" "$root/usr/src"
	tar -C "$MINI.base" --exclude=./.git --transform "s,^\.,$name," -cJf "$root/usr/src/$name.tar.xz" . &&
		printf '%s\n' "Package: $name" "Version: $2" 'Architecture: all' \
			'Maintainer: nobody <nobody@localhost>' 'Description: fixture' >"$root/DEBIAN/control" &&
		dpkg-deb --root-owner-group -b "$root" "$1/${name}_$2_all.deb"
}

# fetch ARGUMENT...: from fake_debian; what it says is in $TMP/out and $TMP/err
fetch() {
	rm -rf "$FAKE/cache/linux-"* "$FAKE/asked"
	env PATH="$FAKE/bin:$PATH" FAKE="$FAKE" ANSWER="$ANSWER" SUITES="$SUITES" PDFLUSH_CACHE="$FAKE/cache" \
		"$REPO/scripts/fetch-linux" "$@" >"$TMP/out" 2>"$TMP/err"
}

# fetch_refused PATTERN ARGUMENT...: one line that matches, and no success
fetch_refused() {
	local pattern=$1
	shift

	! fetch "$@" || { say "accepted: $*"; return 1; }
	cat "$TMP/err"
	[ "$(wc -l <"$TMP/err")" -eq 1 ] || { say "not one line"; return 1; }
	grep -qE "$pattern" "$TMP/err" || { say "the line does not say $pattern"; return 1; }
}

fetch_refuses_input() {
	fake_debian
	fetch_refused "unknown version '6\.13'" 6.13 && fetch_refused "unknown version ''" '' &&
		fetch_refused 'unknown version' "${BASES% *}" && fetch_refused 'unknown option --new' --new &&
		fetch_refused 'one version' "$BASE" "$PRIMARY" || return 1
	[ ! -e "$FAKE/asked" ] || { cat "$FAKE/asked"; say "it asked before it looked"; return 1; }
}

# The tested version rather than a newer one; the machine's own sources and lists are
# neither changed nor what is downloaded from.
fetch_uses_own_lists() {
	local before

	fake_debian "$BASE_TESTED-1" "$BASE_TESTED.9-1"
	before=$(apt_configuration)
	fetch "$BASE" || { cat "$TMP/out" "$TMP/err"; return 1; }
	said "# downloading linux-source-$BASE $BASE_TESTED-1" "$FAKE/cache/linux-$BASE" \
		"linux $(kernel_version "$MINI.base"), package linux-source-$BASE $BASE_TESTED-1" || return 1
	[ -z "$(diff -rq --exclude=.git "$MINI.base" "$FAKE/cache/linux-$BASE")" ] || { say "not what was packed"; return 1; }
	[ "$(apt_configuration)" = "$before" ] || { say "apt's configuration has changed"; return 1; }
	grep -q ' download ' "$FAKE/asked" || { say "it did not download"; return 1; }
	! grep -E ' download |Dir::State' "$FAKE/asked" |
		grep -v "Dir::Etc::SourceList=$FAKE/cache/.*SourceParts=/dev/null .*Dir::State=$FAKE/cache/.*Dir::Cache=$FAKE/cache/" ||
		{ say "it downloads by the machine's own lists"; return 1; }
}

apt_configuration() {
	find /etc/apt -printf '%p %s %T@ %C@ %m\n' | LC_ALL=C sort
}

fetch_names_other_version() {
	fake_debian
	sed -i 's/^SUBLEVEL = .*/SUBLEVEL = 9999/' "$MINI.base/Makefile"
	fake_package "$FAKE/cache/deb" "${BASE_TESTED%.*}.9999-1" && fetch "$BASE"
	git -C "$MINI.base" checkout -q Makefile
	said "# the series for $BASE was tested with $BASE_TESTED" \
		"linux ${BASE_TESTED%.*}.9999, package linux-source-$BASE ${BASE_TESTED%.*}.9999-1" || return 1
	[ ! -e "$FAKE/asked" ] || { say "it asked for what it had"; return 1; }
}

# Nobody has it, or nobody knows.
fetch_tells_absence() {
	fake_debian
	fetch_refused "linux-source-$BASE is not served by Debian's archive .*sid" "$BASE" || return 1
	ANSWER=Err
	fetch_refused "cannot tell whether linux-source-$BASE is served: no answer from .*trixie" "$BASE"
}

# --- a base that is not there ---------------------------------------------------

# a_run GONE STEP...: scripts/test with these steps when the bases GONE are not served.
# Its parts do nothing, but series of the base FAILING, DYING and KILLED, and of STOPPING,
# which ends the run.
# shellcheck disable=SC2034,SC2317 # all of it is for main
a_run() (
	gone=" $1 "
	shift
	SUITES_READ='sid ' CACHE=$TMP/run PASSED=0 FAILED=0 SKIPPED=0 UNSERVED=' ' STEPS=("$@") ONCE=("$@") RESULT=() SUMS=()
	main=$BASHPID JOB='' TMP_DIRS=() LANE_NUMBER=''
	# the lane that this runs in keeps its own group busy, not this run's
	LANE_PID=() LANE_STEP=() LANE_GROUP=() BUSY=()
	# nor does it build anything
	need_space() { :; }
	need_build_tools() { :; }
	need_drift() { :; }
	find_linux() { [ "${gone/ $1 /}" = "$gone" ]; }
	fetch_linux() { SRC=/tree SRC_ID="linux-source-$1 $1.1-1"; }
	part_series() {
		case $BASE in
		"${DYING:-}") die "an end in the middle" ;;
		"${KILLED:-}") kill -KILL "$BASHPID" ;;
		"${STOPPING:-}") kill -TERM "$main" && for _ in $(seq 50); do sleep 0.2; done ;;
		"${FAILING:-}") not_ok "on ${SRC:-nothing}" "a fault" ;;
		*) ok "on ${SRC:-nothing}" ;;
		esac
	}
	part_drift() { ok "on ${SRC:-nothing}"; }
	trap on_exit EXIT
	trap 'exit 143' TERM
	main
)

# said LINE...: they are in the output, as they are
said() {
	local line

	for line; do
		grep -qxF -e "$line" "$TMP/out" ||
			{ cat "$TMP/out"; say "it does not say: $line; but: $(tail -n 1 "$TMP/out")"; return 1; }
	done
}

# all but what needs it is done, and the numbers and the table tell
unserved_is_skipped() {
	LANES=1 a_run "$PRIMARY" "$PRIMARY series" '7.3 series' "$PRIMARY drift newest" >"$TMP/out" 2>&1 ||
		{ cat "$TMP/out"; say "a base that is not served fails the run: $(tail -n 1 "$TMP/out")"; return 1; }
	said "skipped 1 $PRIMARY: linux-source-$PRIMARY: not served by Debian's archive (asked: sid); without: series" \
		'ok 2 7.3 series: on /tree' 'ok 3 drift: on nothing' "$PRIMARY    skipped   " '7.3     1 passed  ' \
		'2 passed, 0 failed, 1 skipped' || return 1
	LANES=1 a_run 7.3 "$PRIMARY series" '7.3 series' "$PRIMARY drift newest" >"$TMP/out" 2>&1 || { cat "$TMP/out"; return 1; }
	said "ok 2 series: on /tree" 'ok 3 drift: on /tree' '7.3     skipped   ' '2 passed, 0 failed, 1 skipped' || return 1
	! a_run '7.3 6.1' '7.3 series' '6.1 series' >"$TMP/out" 2>&1 || { say "a run that skips all is a success"; return 1; }
	said '0 passed, 0 failed, 2 skipped'
}

# A part that ends early is a failure, and the others run; what ends the run leaves the
# table of what was done.
early_end_keeps_table() {
	! LANES=1 STOPPING=7.3 a_run '' "$PRIMARY series" '7.3 series' '6.1 series' >"$TMP/out" 2>&1 ||
		{ say "a run that is stopped is a success"; return 1; }
	said '# stopped in 7.3 series; until then:' "$PRIMARY    1 passed  " '7.3     stopped   ' '6.1     -         ' \
		'1 passed, 0 failed'
}

# lane_is_heard REASON: a failure of the step of 7.3 fails the run, in whichever lane
lane_is_heard() {
	said "not ok $1" 'ok 3 6.1 series: on /tree' '2 passed, 1 failed' || return 1
	grep -qE '^7.3 series +[0-9]+ +[0-9]+ +1$' "$TMP/out" || { cat "$TMP/out"; say "the table of parts lacks it"; return 1; }
}

lanes_are_heard() {
	local steps=("$PRIMARY series" '7.3 series' '6.1 series') log=$TMP/run/log/series-7.3.log one=("$PRIMARY series" '6.1 series')

	! LANES=1 FAILING=7.3 a_run '' "${steps[@]}" >"$TMP/out" 2>&1 || { say "a failure is a success"; return 1; }
	lane_is_heard '2 7.3 series: on /tree: a fault' || return 1
	! LANES=1 DYING=7.3 a_run '' "${steps[@]}" >"$TMP/out" 2>&1 || { say "an early end is a success"; return 1; }
	lane_is_heard "2 7.3 series: stopped early, exit status 1; see $log" || return 1
	! LANES=1 KILLED=7.3 a_run '' "${steps[@]}" >"$TMP/out" 2>&1 || { say "a death is a success"; return 1; }
	lane_is_heard "2 7.3 series: stopped early, exit status killed; see $log" || return 1
	for FAILING in $PRIMARY 6.1; do
		! LANES=2 a_run '' "${one[@]}" >"$TMP/out" 2>&1 || { say "a failure in one of two lanes is a success"; return 1; }
		said '1 passed, 1 failed' || return 1
	done
	LANES=2 FAILING='' a_run '' "${one[@]}" >"$TMP/out" 2>&1 || { cat "$TMP/out"; return 1; }
	[ "$(tail -n 1 "$TMP/out")" = '2 passed, 0 failed' ] || { say "the last line is another"; return 1; }
}

part_series() {
	new_tmp
	MINI=$TMP/tree
	IDENTITY=$(repository_identity)
	export PDFLUSH_PATCHES=$PATCHES PDFLUSH_SERIES=$PRIMARY_SERIES
	mini_tree "$MINI.base" >>"$LOG" 2>&1
	check "every file is listed, every line is present" listed_and_present
	check "the series names its base and the version tested" names_base
	check "the version tested is the tree's, or older" names_tree
	check "the table in docs/bases.md has its numbers" tables_true
	[ -z "$ON" ] || check "no needless copies" no_needless_copies
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
	check "an unknown version is refused, the nearest base tried" refuses_version
	check "the nearest base is the nearest" nearest_is_near
	check "a series that the version does not lead to is found, and undone" finds_series_of_other
	check "a tree gets the series of its version" takes_series_of_version
	check "another text is refused" refuses_other_text
	check "a dirty tree is refused" refuses_dirty
	check "a half-applied tree is refused" refuses_half
	check "something else is refused" refuses_no_tree
	check "undo of nothing is refused" refuses_undo_of_nothing
	check "stopped in the middle: the tree is as it was" interrupted
	check "no space for a way back: the tree is as it was" kept_in_part
	check "git am fails: the tree and what others did there are as they were" am_fails
	check "two at once: one of them does it" two_at_once
	check "other people's things are left alone" foreign_is_left
	check "broken fixtures turn the checks red" broken_is_found
	check "fetch-linux: wrong input is refused" fetch_refuses_input
	check "fetch-linux: the tested version, by lists of its own" fetch_uses_own_lists
	check "fetch-linux: another version than the tested one is named" fetch_names_other_version
	check "fetch-linux: what is not served is told from an outage" fetch_tells_absence
	[ -z "$ON" ] || return 0
	check "a base that is not served is skipped by name, the rest is done" unserved_is_skipped
	check "what ends a run early leaves the table of what was done" early_end_keeps_table
	check "a failure in a lane is a failure of the run" lanes_are_heard
}

# "want" is written by by_quilt, in a process of its own; make sure it is there.
contents_of_quilt() {
	[ -s "$TMP/want" ] || say none >"$TMP/want"
}
