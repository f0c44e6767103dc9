# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2153 # BASE is set by use_base
#
# scripts/test mbox: the whole series once; everything else with a repository of two
# patches that add a page each.

need_mbox() {
	need quilt:quilt git:git patch:patch perl:perl
}

SENDER='A Sender <sender@localhost.example>'

# as_sender COMMAND...: with that identity and no other settings, and with mailers that
# record being called
as_sender() {
	env PATH="$TMP/mailer:$PATH" HOME="$TMP/home" GIT_CONFIG_GLOBAL="$TMP/home/.gitconfig" \
		GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=2 \
		GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0="${SENDER% <*}" \
		GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1="$(say "$SENDER" | sed 's/.*<//;s/>//')" "$@"
}

make_mailer() {
	local name

	mkdir -p "$TMP/mailer" "$TMP/home"
	for name in sendmail mail mailx msmtp git-send-email git-imap-send; do
		printf '#!/bin/sh\necho %s >>"%s"\n' "$name" "$TMP/mailed" >"$TMP/mailer/$name"
		chmod +x "$TMP/mailer/$name"
	done
	printf '[sendemail]\n\tsmtpServer = %s/mailer/sendmail\n' "$TMP" >"$TMP/home/.gitconfig"
}

nothing_sent() {
	[ ! -e "$TMP/mailed" ] || { say "$(head -n 1 "$TMP/mailed") was called"; return 1; }
	as_sender sendmail && [ -s "$TMP/mailed" ] || { say "a call of a mailer is not detected"; return 1; }
}

whole_series() {
	as_sender env PDFLUSH_PATCHES="$PATCHES" PDFLUSH_SERIES="$PRIMARY_SERIES" \
		"$REPO/scripts/mbox" --base "$BASE" --rfc --output "$TMP/all.mbox" >"$TMP/verdict" &&
		mkdir "$TMP/all" && as_sender git mailsplit -o"$TMP/all" "$TMP/all.mbox" >"$TMP/count" || return 1
	cat "$TMP/verdict"
	[ "$(cat "$TMP/count")" -eq $((${#SERIES_FILES[@]} + 1)) ] || { say "$(cat "$TMP/count") mails"; return 1; }
}

verdict_exact() {
	local want

	for want in FILE_PATH_CHANGES UNKNOWN_COMMIT_ID OPEN_ENDED_LINE PARENTHESIS_ALIGNMENT 'a sign-off of the author'; do
		grep -qF -e "$want" "$TMP/verdict" || { say "the verdict does not say $want"; return 1; }
	done
}

# With --own nothing is left of the author that the files name, and checkpatch takes
# every mail as it is.  Shown with the first patch and the one that changes MAINTAINERS.
author_is_sender() {
	local author mail few=$TMP/few list names

	author=$(sed -n '/^From: /,/^[^ ]*: /p' "${SERIES_FILES[0]}" | grep -o '[^ <]*@[^ >]*')
	[ -n "$author" ] && [ "${SENDER#*"$author"}" = "$SENDER" ] && grep -qF -e "$author" "$TMP/all.mbox" ||
		{ say "no other author to replace"; return 1; }
	names=$({ say "${SERIES_FILES[0]}"; grep -l '^+M:' "${SERIES_FILES[@]}"; } | sed "s,^$PATCHES/,,")
	cp -r "$PATCHES" "$few"
	cp "$PRIMARY_SERIES" "$few.series"
	list=$(PATCHES=$few PRIMARY_SERIES=$few.series series_of "$BASE")
	{ grep '^# Base:' "$SERIES"; say "$names"; } >"$list"
	as_sender env PDFLUSH_PATCHES="$few" PDFLUSH_SERIES="$few.series" \
		"$REPO/scripts/mbox" --base "$BASE" --own --url https://pdflush.example/git \
		--output "$TMP/by-author.mbox" >"$TMP/verdict" || return 1
	! grep -nF -e "$author" "$TMP/by-author.mbox" || { say "the author of the files is still named"; return 1; }
	[ "$(grep -cxF -e "+M:	$SENDER" "$TMP/by-author.mbox")" -eq 1 ] || { say "MAINTAINERS does not name the sender"; return 1; }
	grep -q 'are in https://pdflush.example/git$' "$TMP/by-author.mbox" || { say "no URL"; return 1; }
	! grep -q 'sign-off\|--url' "$TMP/verdict" || { cat "$TMP/verdict"; return 1; }
	mkdir "$TMP/by-author" && as_sender git mailsplit -o"$TMP/by-author" "$TMP/by-author.mbox" >"$TMP/count" &&
		rm "$TMP/by-author/0001" || return 1
	for mail in "$TMP/by-author"/*; do
		(cd "$SRC" && GIT_DIR=none perl scripts/checkpatch.pl --no-summary --terse --show-types "$mail") >"$TMP/found" 2>&1 || :
		! grep -vE ':(FILE_PATH_CHANGES|UNKNOWN_COMMIT_ID):' "$TMP/found" || { say "in ${mail##*/}"; return 1; }
	done
}

# git am in another tree gives what quilt gives
same_files_by_am() {
	small_tree "$SRC" "$TMP/am"
	as_sender git -C "$TMP/am" init -q && as_sender git -C "$TMP/am" add -A -f &&
		as_sender git -C "$TMP/am" commit -q -m base &&
		as_sender git -C "$TMP/am" am -q --no-3way --empty=drop "$TMP/all.mbox" || return 1
	stage_series "$TMP/quilt" -1 || return 1
	diff -r -x .git -x .pc "$TMP/quilt" "$TMP/am" || { say "not the files that quilt makes"; return 1; }
}

cover_good() {
	local cover=$1/0001 files

	files=$(files_of "${SERIES_FILES[@]}" | wc -l)
	grep -q "^Subject: \[PATCH RFC 00*/${#SERIES_FILES[@]}\] $(sed -n '1s/ .*//p' "$REPO/docs/cover-letter")" "$cover" ||
		{ say "no subject of docs/cover-letter"; return 1; }
	grep -q '^base-commit: [0-9a-f]\{40\}$' "$cover" || { say "no base-commit"; return 1; }
	grep -q "^ $files files changed" "$cover" || { say "no diffstat of $files files"; return 1; }
	grep -qF "$SRC_ID" "$cover" || { say "the base is not named"; return 1; }
	! grep -n 'SPDX-License-Identifier' "$cover" || { say "the licence line is in the mail"; return 1; }
	sections_there "$cover" && figures_agree "$cover" && rows_agree "$cover"
}

# section MAIL HEADING: its text, without empty lines
section() {
	awk -v head="$2" '
	/^=+$/ { on = last == head; last = ""; next }
	on && last != "" { print last }
	/^The base is / { exit }
	{ last = $0 }
	' "$1"
}

sections_there() {
	local head

	for head in Why 'What was said before' 'Where it loses' Figures 'How it was tested'; do
		[ "$(section "$1" "$head" | wc -w)" -ge 50 ] || { say "section \"$head\" is missing or empty"; return 1; }
	done
}

# Each number in these sections is in docs/figures.md (except in years, x86, commit ids
# and addresses).
figures_agree() {
	local number head n=0

	while read -r number; do
		grep -qE "(^|[^0-9.])${number//./\\.}\.?([^0-9.]|\$)" "$REPO/docs/figures.md" ||
			{ say "docs/figures.md has no $number"; return 1; }
		n=$((n + 1))
	done < <(for head in 'What was said before' 'Where it loses' Figures; do section "$1" "$head"; done |
		sed -E '/https:/d;s/\bx86\b//g;s/\b20[012][0-9]\b//g;s/\b[0-9a-f]{12}\b//g' | grep -oE '[0-9]+(\.[0-9]+)?' | sort -u)
	[ "$n" -ge 40 ] || { say "only $n numbers in the letter"; return 1; }
}

mails_good() {
	local mail today

	today=$(date '+%d %b %Y' | sed 's/^0//')
	for mail in "$1"/*; do
		[ "${mail##*/}" = 0001 ] || [ "$(grep '^Signed-off-by:' "$mail")" = "Signed-off-by: $SENDER" ] ||
			{ say "${mail##*/}: not signed off by the sender alone"; return 1; }
		grep -qx "From: $SENDER" "$mail" || { say "${mail##*/}: not from the sender"; return 1; }
		[ "${mail##*/}" = 0001 ] || grep -q "^In-Reply-To: $(sed -n 's/^Message-I[dD]: //p' "$1/0001")" "$mail" ||
			{ say "${mail##*/}: no reply to the cover letter"; return 1; }
		sed '/^$/q' "$mail" >"$TMP/header"
		for want in '^To: ' '^Cc: ' 'linux-mm@kvack\.org' 'linux-fsdevel@vger' 'linux-kernel@vger' "^Date: .*${today#* }"; do
			grep -q "$want" "$TMP/header" || { say "${mail##*/}: no $want in the header"; return 1; }
		done
		[ -z "$(grep -o '[^ <]*@[^ >,]*' "$TMP/header" | grep -v '\.git\.' | sort | uniq -d)" ] ||
			{ say "${mail##*/}: an address appears twice"; return 1; }
	done
}

broken_mails_are_found() {
	cp -r "$TMP/all" "$TMP/broken"
	cover_good "$TMP/broken" && mails_good "$TMP/broken" || return 1
	broken_cover "a missing base-commit" '/^base-commit:/d' &&
		broken_cover "a letter without a text" '/^$/,/^The base is /{/^The base is /!d}' &&
		broken_cover "a missing heading" '/^Where it loses$/d' &&
		broken_cover "an empty section" '/^Why$/,/^What was said/{/^Wh\|^=/!d}' &&
		broken_cover "another figure" '0,/\<1078\>/s//1079/' &&
		broken_cover "two columns that are swapped" \
			's/^\( *data of a third.* ms\) \([0-9]*\)\( *[0-9]* *\)\([0-9]*\)$/\1 \4\3\2/' &&
		broken_cover "an additional row" 's/^ *P with 8 from the start.*/&\n    P with 9 from the start  5  -  4/' || return 1
	sed -i '0,/^Signed-off-by:/s/^Signed-off-by:.*/&\nSigned-off-by: B <b@localhost>/' "$TMP/broken/0002"
	! mails_good "$TMP/broken" || { say "another sign-off is not reported"; return 1; }
}

# broken_cover WHAT SED_SCRIPT
broken_cover() {
	sed "$2" "$TMP/all/0001" >"$TMP/broken/0001"
	! cmp -s "$TMP/all/0001" "$TMP/broken/0001" || { say "$1: nothing was broken"; return 1; }
	! cover_good "$TMP/broken" >"$TMP/found" || { say "$1 is not reported"; return 1; }
	cat "$TMP/found"
}

# Rows of the letter's table: name | table and | block in docs/figures.md | rows there whose
# medians are joined with "/" | columns there.
letter_rows() {
	cat <<-'END'
	192 MB, written in order|locality|one file of|write requests until clean;mean size of these, kB;extents|F - P
	random overwrites of it|locality|12288 random|write requests until clean;mean size of these, kB;extents|F - P
	4000 small files|locality|4000 files|write requests until clean;mean size of these, kB;extents|F - P
	a stream at 64 MB/s|stream|160 MB|write requests;mean size, kB;extents|F - P
	4000 small files, until clean, ms|locality|4000 files|time to clean, ms|F - P
	the stream, longest write(2), ms|stream|160 MB|longest write(2) of 64 kB, ms|F - P
	small behind large files, ms|slice|4 files|until the small file is written, ms|F - P
	P in slices of 1024 pages|slice|4 files|until the small file is written, ms|P slice=1024
	64 dirty devices: timers/interval|wakeups|64 devices dirtied over|timers of writeback that expire|F - P
	jiffies with a timer|wakeups|64 devices dirtied at once|jiffies (10 ms) in which one does|F - P
	clean: timers|wakeups|64 clean|timers of writeback that expire|F - P
	data of a third, 1 s old, left, ms|hung|two devices|data of the third is old and gone, ms|F;F max_active=2;P max=2
	64 slow devices, N=8, until clean,ms|threads|64 devices of 10 ms|until the last is written, ms|F;F max_active=8;P
	P with at most 8, ms|threads|64 devices of 10 ms|until the last is written, ms|P max=8
	writers at once|threads|64 devices of 10 ms|threads that write at once|F;F max_active=8;P
	P with at most 32, ms|threads|64 devices of 10 ms|until the last is written, ms|P max=32
	64 fast devices, N=8, until clean,ms|threads|64 fast|until the last is written, ms|F;F max_active=8;P
	8 slow devices after a pause, ms|burst|8 devices|until the last is written, ms|F;-;P
	P with 8 from the start|burst|8 devices|until the last is written, ms|P min=max=8
	12 files, random 4k, ext4, ms|parallel|ext4, 12 files|time to clean, ms|F;-;P automatic
	xfs, ms|parallel|xfs, the same|time to clean, ms|F;-;P automatic
	4000 files of 16 kB, ext4, ms|parallel|ext4, the same|time to clean, ms|F;-;P automatic
	END
}

# figure TABLE BLOCK ROW COLUMN: the median; column headings are in the first or second
# line of a block
figure() {
	awk -v table="# $1," -v block="$2" -v row="$3" -v column="$4" '
	/^# [a-z]+, [0-9]+ CPUs/ { on = index($0, table) == 1; inside = 0; next }
	!on { next }
	/^[^ ]/ { inside = index($0, block) == 1; n = 0; next }
	inside && !n && /^ +F / {
		sub(/^ +/, "")
		n = split($0, heads, /  +/)
		next
	}
	inside && index($0, "  " row "  ") == 1 {
		rest = substr($0, length(row) + 3)
		for (i = 1; match(rest, /[0-9.]+ \[[0-9.-]+\]/); i++) {
			split(substr(rest, RSTART, RLENGTH), cell, " ")
			if (heads[i] == column) print cell[1]
			rest = substr(rest, RSTART + RLENGTH)
		}
	}' "$REPO/docs/figures.md"
}

# rows_agree COVER: every row with a figure in the letter's table is in letter_rows, and
# its cells match docs/figures.md
rows_agree() {
	local row table block labels columns column label cell want have n=0

	section "$1" Figures | sed -n 's/^  *\([^ ].*\)/\1/p' >"$TMP/rows"
	while IFS='|' read -r row table block labels columns; do
		want=
		while read -r column; do
			cell=-
			[ "$column" = - ] || cell=$(tr ';' '\n' <<<"$labels" | while read -r label; do
				figure "$table" "$block" "$label" "$column"
			done | paste -sd /)
			[ -n "$cell" ] || { say "docs/figures.md has no $row, $column"; return 1; }
			want+=" $cell"
		done < <(case $columns in 'F - P') printf 'F\n-\nP\n' ;; *) tr ';' '\n' <<<"$columns" ;; esac)
		have=$(awk -v row="$row" 'index($0, row " ") == 1 { $0 = substr($0, length(row) + 1)
			if ($0 ~ /^ *[0-9-]/ && !(/,/)) { $1 = $1; print } }' "$TMP/rows")
		[ "$have" = "${want# }" ] || { say "$row: $have in the letter, ${want# } in docs/figures.md"; return 1; }
		n=$((n + 1))
	done < <(letter_rows)
	[ "$n" -eq "$(grep -cE '  +[0-9./-]+$| [0-9]+$' "$TMP/rows")" ] ||
		{ say "$n rows were compared, but the letter has more"; return 1; }
}

# --- a small repository ---------------------------------------------------

# page NAME TEXT: a patch that adds Documentation/mm/NAME.rst
page() {
	printf '%s\n' 'From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001' \
		"From: $SENDER" 'Date: Sat, 1 Jan 2000 00:00:00 +0000' "Subject: [PATCH] mm: add page $1" '' \
		'A page, so that there is something to send and to compare with.' '---' '' \
		'--- /dev/null' "+++ b/Documentation/mm/$1.rst" '@@ -0,0 +1,9 @@' \
		'+.. SPDX-License-Identifier: GPL-2.0' '+' '+====' '+Page' '+====' '+' \
		'+What does not change is enough to know it by.' '+' "+$2" >"$OWN/patches/1-pages/page-$1.patch"
}

make_own() {
	local base list

	OWN=$TMP/own
	mkdir -p "$OWN/docs" "$OWN/patches/1-pages"
	cp -r "$REPO/scripts" "$OWN/" && cp "$REPO/docs/cover-letter" "$OWN/docs/"
	# every base needs a series file whose first comment names the base
	for base in $BASES; do
		list=$OWN/patches/$base/series
		[ "$base" != "$PRIMARY" ] || list=$OWN/series
		mkdir -p "$(dirname "$list")"
		{ sed -n '/^# Base:/p' "$(series_of "$base")"; printf '1-pages/page-%s.patch\n' one two; } >"$list"
	done
	page one First. && page two Second.
	as_sender git -C "$OWN" init -q && commit_own && as_sender git -C "$OWN" tag v1
}

commit_own() {
	as_sender git -C "$OWN" add -A && as_sender git -C "$OWN" commit -q -m version
}

own_mbox() {
	as_sender env -u PDFLUSH_PATCHES -u PDFLUSH_SERIES PDFLUSH_CACHE="$CACHE" \
		"$OWN/scripts/mbox" --base "$BASE" --output "$TMP/own.mbox" "$@"
}

# own_refused PATTERN ARGUMENT...: fails with one line that matches, writes no mailbox
own_refused() {
	local pattern=$1
	shift

	rm -f "$TMP/own.mbox"
	! own_mbox "$@" 2>"$TMP/err" || { say "accepted"; return 1; }
	cat "$TMP/err"
	[ "$(wc -l <"$TMP/err")" -eq 1 ] && grep -q "$pattern" "$TMP/err" ||
		{ say "not one line that says $pattern"; return 1; }
	[ ! -e "$TMP/own.mbox" ] || { say "a mailbox was written"; return 1; }
}

# compared with the tag, then with the mailbox written first
changes_shown() {
	mkdir -p "$OWN/docs/notes/v2"
	say 'Second is better now.' >"$OWN/docs/notes/v2/page-two"
	page two Better.
	own_mbox -v2 || return 1
	range_diff_good v1 && grep -q '^Subject: \[PATCH v2 0/2\]' "$TMP/own.mbox" || return 1
	# below the ---, so that it is not in the commit
	sed -n '/^Subject: .*page two/,$p' "$TMP/own.mbox" | sed '1,/^---$/d' | grep -q 'Second is better now' ||
		{ say "the note is not below the ---"; return 1; }
	mv "$TMP/own.mbox" "$TMP/v2.mbox"
	# another author does not count as a change
	SENDER='Other Sender <other@example.org>' own_mbox -v2 --own && range_diff_good v1 || return 1
	page two 'Better still.'
	own_mbox -v3 --since "$TMP/v2.mbox" && range_diff_good v2
}

range_diff_good() {
	sed '/^base-commit:/q' "$TMP/own.mbox" >"$TMP/own.cover"
	grep -q "^Range-diff against $1:" "$TMP/own.cover" || { say "no range-diff against $1"; return 1; }
	grep -q '^1: .* = 1: .* page one' "$TMP/own.cover" && grep -q '^2: .* ! 2: .* page two' "$TMP/own.cover" ||
		{ say "the range-diff does not show the changed patch"; return 1; }
}

# make_kernel: KERNEL, a git tree with as much of a kernel as the scripts look at
make_kernel() {
	KERNEL=$TMP/kernel
	mkdir -p "$KERNEL/Documentation" "$KERNEL/fs" "$KERNEL"/{arch,include,drivers,init,ipc,kernel,lib}
	cp "$SRC/fs/fs-writeback.c" "$KERNEL/fs/" && cp -r "$SRC/Documentation/mm" "$KERNEL/Documentation/" &&
		cp -r "$SRC/scripts" "$KERNEL/" && find "$SRC" -maxdepth 1 -type f -exec cp -t "$KERNEL" {} + &&
		as_sender git -C "$KERNEL" init -q && as_sender git -C "$KERNEL" add -A -f &&
		as_sender git -C "$KERNEL" commit -q -m 'a kernel'
}

onto_a_tree() {
	local head

	make_kernel && own_mbox --git "$KERNEL" && cp "$TMP/own.mbox" "$TMP/again.mbox" || return 1
	head=$(git -C "$KERNEL" rev-parse HEAD)
	grep -qx "base-commit: $head" "$TMP/own.mbox" || { say "the base is not the tree's $head"; return 1; }
	! grep -q "The base is Debian's" "$TMP/own.mbox" || { say "it says that the base is Debian's"; return 1; }
	[ -z "$(git -C "$KERNEL" status --porcelain)" ] && [ "$(git -C "$KERNEL" rev-parse HEAD)" = "$head" ] ||
		{ say "the tree was changed"; return 1; }
	own_refused 'is not a Linux kernel tree' --git "$KERNEL/scripts" &&
		own_refused 'is not the top of a git tree' --git "$SRC" &&
		own_refused 'is not a directory' --git "$TMP/nowhere" || return 1
	as_sender git -C "$KERNEL" am -q --empty=drop "$TMP/again.mbox" && own_refused 'does not apply to' --git "$KERNEL"
}

refuses_no_version() {
	own_refused 'no tag or commit v8' -v9 && own_refused 'no tag or commit, and no file, nowhere' -v2 --since nowhere
}

refuses_nobody() {
	SENDER=' <>' own_refused 'set user.name and user.email'
}

refuses_bad_patch() {
	page two 'Blank at the end. '
	own_refused 'checkpatch finds 1'
	page two Second.
}

refuses_other_base() {
	own_refused 'no series for 2.6' --base 2.6
}

part_mbox() {
	new_tmp
	make_mailer
	check "a small repository" make_own
	OWN=$TMP/own
	check "the whole series" whole_series
	check "the summary names what checkpatch ignores" verdict_exact
	check "--own: the sender is the author, and checkpatch reports nothing" author_is_sender
	check "git am gives the files of the series" same_files_by_am
	check "the cover letter: subject, base, diffstat, sections, figures" cover_good "$TMP/all"
	check "every mail: from, sign-off, thread, recipients, date" mails_good "$TMP/all"
	check "broken mails are reported" broken_mails_are_found
	check "-vN shows the changed patch" changes_shown
	check "--git: on a git tree of the kernel" onto_a_tree
	check "a missing last version is refused" refuses_no_version
	check "a sender without a name is refused" refuses_nobody
	check "a patch with checkpatch errors is refused" refuses_bad_patch
	check "an unknown base is refused" refuses_other_base
	check "nothing was sent" nothing_sent
}
