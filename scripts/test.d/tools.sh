# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test tools: build and install what the series adds for user space, and check
# pdflushstat on made-up trees.

need_tools() {
	need gcc:gcc make:make python3:python3 mandoc:mandoc groff:groff-base rsync:rsync
}

pdflushstat_builds() {
	make -C "$TREE/tools/pdflush" O="$1/" CFLAGS='-O2 -Werror' &&
		make -C "$TREE/tools/pdflush" O="$1/" DESTDIR="$1/root" prefix=/usr install &&
		"$1/root/usr/bin/pdflushstat" --version && [ -s "$1/root/usr/share/man/man8/pdflushstat.8" ]
}

# neither groff nor mandoc warns
man_page_good() {
	local said

	said=$(groff -man -Tutf8 -ww -z "$1" 2>&1)
	said+=$(mandoc -Tlint -Wwarning "$1" 2>&1)
	[ -z "$said" ] || { say "$said"; return 1; }
}

# every option of --help is in it
man_page_complete() {
	local option

	"$1/pdflushstat" --help >"$1/help" || return 1
	while read -r option; do
		sed 's/\\-/-/g' "$2" | grep -qE -e "(Fl|Fl Fl|Fl -)[ -]*${option#--}\b" ||
			{ say "the man page lacks $option"; return 1; }
	done < <(grep -oE -e '--[a-z]+' "$1/help" | sort -u)
	[ -s "$1/help" ]
}

selftests_build() {
	local dir=$TREE/tools/testing/selftests/pdflush programs

	# in the environment, as their Makefile adds flags
	env CFLAGS=-Werror make -C "$dir" OUTPUT="$1" LDFLAGS=-static || return 1
	programs=$(find "$1" -maxdepth 1 -type f -perm /111 -name '*_test' | wc -l)
	[ "$programs" -gt 0 ] && [ "$programs" -eq "$(find "$dir" -name '*_test.c' | wc -l)" ] ||
		{ say "$programs programs"; return 1; }
}

# selftests_install SCRATCH: as documented for kselftest, in a copy of the tree.  All are
# installed, listed and executable.
selftests_install() {
	local copy=$1/linux to=$1/installed program

	cp -al "$TREE" "$copy"
	make -C "$copy/tools/testing/selftests" TARGETS=pdflush install INSTALL_PATH="$to" || return 1
	(cd "$to" && ./run_kselftest.sh -l) >"$1/listed" || return 1
	find "$copy/tools/testing/selftests/pdflush" -name '*_test.c' -printf 'pdflush:%f\n' | sed 's/\.c$//' | sort >"$1/wanted"
	[ -s "$1/wanted" ] && sort "$1/listed" | diff "$1/wanted" - || { say "not all of them are listed"; return 1; }
	while read -r program; do
		[ -x "$to/${program/:/\/}" ] || { say "$program is listed but missing"; return 1; }
	done <"$1/listed"
}

part_tools() {
	CURRENT='tools: patched tree'
	work_tree main -1 || { not_ok "patched tree"; return; }
	new_tmp
	mkdir "$TMP/stat" "$TMP/fake" "$TMP/selftests" "$TMP/install"
	check "pdflushstat: builds, installs" pdflushstat_builds "$TMP/stat"
	check "pdflushstat: reports" "$REPO/scripts/test.d/pdflushstat" "$TMP/stat/pdflushstat" "$TMP/fake"
	check "pdflushstat: man page formats" man_page_good "$TREE/tools/pdflush/pdflushstat.8"
	check "pdflushstat: man page has every option" man_page_complete "$TMP/stat" "$TREE/tools/pdflush/pdflushstat.8"
	check "selftests: build" selftests_build "$TMP/selftests"
	check "selftests: make install; run_kselftest.sh lists them all" selftests_install "$TMP/install"
}
