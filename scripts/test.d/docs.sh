# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test docs: "make htmldocs" of the directories with new or changed pages warns
# about none of these.  Building all of admin-guide, for the ABI file, takes minutes, so
# a page is made of that file alone.  (get_abi.pl ignores paths with "/.", like .cache.)

DOC_DIRS='mm admin-guide/mm admin-guide/sysctl'

need_docs() {
	# yaml: the netlink pages are always made first
	need sphinx-build:python3-sphinx make:make perl:perl \
		/usr/lib/python3/dist-packages/yaml/__init__.py:python3-yaml
}

# pages_good DIRECTORY: with Debian's sphinx, whatever is in PATH
pages_good() {
	local out=$1 page

	env PATH="/usr/bin:$PATH" make -C "$TREE" O="$out" SPHINXDIRS="$DOC_DIRS" htmldocs >"$out.said" 2>&1 ||
		{ cat "$out.said"; return 1; }
	cat "$out.said"
	for page in mm/pdflush admin-guide/mm/pdflush admin-guide/sysctl/vm; do
		[ -s "$out/Documentation/output/$page.html" ] || { say "no $page.html"; return 1; }
	done
	! grep -E '(pdflush|sysctl/vm)\.rst.*(WARNING|ERROR|CRITICAL)' "$out.said" || return 1
	series_sysctls | while read -r page; do
		grep -q "$page" "$out/Documentation/output/admin-guide/sysctl/vm.html" ||
			{ say "vm.html lacks $page"; exit 1; }
	done
}

pages_can_fail() {
	local page=$TREE/Documentation/mm/pdflush.rst rc=0

	cp -p "$page" "$TMP/page"
	printf '\n* an `open quote\n' >>"$page"
	! pages_good "$1" || { say "a broken page is not reported"; rc=1; }
	cp -p "$TMP/page" "$page"
	return "$rc"
}

# abi_good DIRECTORY FILE: the page that the kernel's script makes of the file gets no
# sphinx warnings
abi_good() {
	local at=$1 script name

	rm -rf "$at"
	mkdir -p "$at/testing" "$at/pages"
	cp "$2" "$at/testing/sysfs-class-bdi"
	if [ -f "$TREE/scripts/get_abi.pl" ]; then
		script=(perl "$TREE/scripts/get_abi.pl" rest --dir testing --rst-source)
	else
		script=(python3 -B "$TREE/tools/docs/get_abi.py" -D testing rest)
	fi
	(cd "$at" && "${script[@]}" >pages/index.rst) || return 1
	/usr/bin/sphinx-build -q -C -W --keep-going -b html "$at/pages" "$at/html" || return 1
	for name in pdflush pdflush_max_threads; do
		grep -qw "<bdi>.*/$name" <(sed 's/&lt;/</g;s/&gt;/>/g' "$at/html/index.html") || { say "the page lacks $name"; return 1; }
	done
}

abi_can_fail() {
	local file=$TREE/Documentation/ABI/testing/sysfs-class-bdi

	sed '/^What:.*pdflush$/,/^$/s/Anything else/an `open quote/' "$file" >"$TMP/abi.broken"
	! cmp -s "$file" "$TMP/abi.broken" && ! abi_good "$1" "$TMP/abi.broken" || { say "a broken file is not reported"; return 1; }
	sed '/^What:.*pdflush$/d' "$file" >"$TMP/abi.broken"
	! abi_good "$1" "$TMP/abi.broken" || { say "a missing symbol is not reported"; return 1; }
}

part_docs() {
	CURRENT='docs: patched tree'
	# a separate tree, in which a page is broken temporarily
	work_tree docs -1 || { not_ok "patched tree"; return; }
	new_tmp
	mkdir "$TMP/out"
	check "htmldocs: no warnings for our pages" pages_good "$TMP/out"
	check "htmldocs: a broken page is reported" pages_can_fail "$TMP/out"
	check "ABI: no warnings for the page" abi_good "$TMP/abi" "$TREE/Documentation/ABI/testing/sysfs-class-bdi"
	check "ABI: a broken file is reported" abi_can_fail "$TMP/abi"
}
