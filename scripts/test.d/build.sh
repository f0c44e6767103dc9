# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034 # CURRENT is for the progress line
#
# scripts/test build: the base and then every patch in turn, in one source tree and
# two output directories: option off, option on with its tests, always at W=1.  With
# the option off, objects must be byte-identical to the base's.
#
# The first and the last step build vmlinux.  Those between build the top-level
# directories the series touches, or with the option off only the touched objects, and
# check that every symbol these need is defined: the series touches headers that are
# included nearly everywhere, and building everything each time would take three times
# as long.
#
# build:quick builds vmlinux only once, of the whole series with the option on, and
# otherwise the touched objects.

need_build() {
	need_build_tools
	need objcopy:binutils
}

# Same directory, no line numbers, no time stamps: any difference is code.  Only
# init/version.c needs line numbers.
NEUTRAL=('KCFLAGS=-D__LINE__=0 -Wno-builtin-macro-redefined' 'CFLAGS_REMOVE_version.o=-D__LINE__=0')

# build_step NAME TARGET FRAGMENT...: warnings go to $TMP/NAME.warnings
build_step() {
	local name=$1 target=$2 out=$CACHE/build/step-$1$ON mark neutral=()
	shift 2

	[ "$name" = y ] || neutral=("${NEUTRAL[@]}")

	mark=$(wc -l <"$LOG")
	step_config "$out" "$@" || return 1
	# shellcheck disable=SC2086 # target may be several
	run_logged "${MAKE_KERNEL[@]}" -C "$TREE" O="$out" -j"$JOBS" W=1 \
		${neutral[@]+"${neutral[@]}"} $target || return 1
	if [ "$target" = vmlinux ]; then
		rm -f "$TMP/${out##*/}.rest"
	elif [ -f "$out/vmlinux" ]; then
		symbols_defined "$out" || return 1
	fi
	tail -n "+$mark" "$LOG" | warnings_of_touched >"$TMP/$name.warnings"
}

# step_config DIRECTORY FRAGMENT...: unless nothing it depends on has changed
step_config() {
	local out=$1 f key
	shift

	key=$({
		gcc --version
		cat "$SRC.stamp" "$@"
		for f in $(files_of "${SERIES_FILES[@]}" | grep '/Kconfig'); do cat "$TREE/$f"; done
	} | sha256sum)
	[ "$(cat "$out/config.key" 2>/dev/null)" != "$key $(file_hash "$out/.config")" ] || return 0
	rm -f "$out/config.key"
	run_logged kernel_config "$TREE" "$out" tinyconfig "$@" || return 1
	say "$key $(file_hash "$out/.config")" >"$out/config.key"
}

# touched_built DIRECTORY: OBJECTS, the touched ones there whose source is in TREE
touched_built() {
	local o

	OBJECTS=()
	while read -r o; do
		# without a source it is a leftover of another run
		[ ! -f "$1/$o" ] || [ ! -f "$TREE/${o%.o}.c" ] || OBJECTS+=("$1/$o")
	done < <(touched_objects)
}

# Every symbol that the touched objects need is defined in the last vmlinux (without its
# touched objects, if it is of a later patch) or in what was just built.
symbols_defined() {
	local out=$1 missing rest=$TMP/${1##*/}.rest

	touched_built "$out"
	[ -f "$rest" ] || defined_in "$out/vmlinux" >"$rest"
	missing=$(comm -23 <(nm -u "${OBJECTS[@]}" | awk '$1 == "U" { print $2 }' | sort -u) \
		<({ cat "$rest"; defined_in "${OBJECTS[@]}"; } | sort -u))
	[ -z "$missing" ] || { say "undefined: $missing" >>"$LOG"; return 1; }
}

# defined_in FILE...
defined_in() {
	nm -P "$@" | awk '$2 ~ /^[^Uw]$/ { print $1 }' | sort -u
}

# without_touched DIRECTORY: the symbols that the new vmlinux there has from other objects
without_touched() {
	touched_built "$1"
	comm -23 <(defined_in "$1/vmlinux") <(nm -gP "${OBJECTS[@]}" | awk '$2 ~ /^[^Uw]$/ { print $1 }' | sort -u) \
		>"$TMP/${1##*/}.rest"
}

touched_folders() {
	files_of "${SERIES_FILES[@]}" | grep -v '^tools/' | sed -n 's,^\([a-z0-9_]*/\).*\.c$,\1,p' | sort -u | tr '\n' ' '
}

# Warnings in touched files as "file: warning: text", without line numbers.
warnings_of_touched() {
	sed -n "s,^\($TREE/\|\(\.\./\)*\)\?\([a-zA-Z0-9_./-]*\):[0-9]*:\([0-9]*:\)\? \(warning: .*\),\3: \5,p" |
		grep -F -f <(files_of "${SERIES_FILES[@]}" | sed 's/$/:/') | sort -u || :
}

# The requested options that exist at this point of the series.
options_so_far() {
	local line name

	while IFS= read -r line; do
		name=${line%%=*}
		! grep -qrE "^(menu)?config ${name#CONFIG_}\$" --include='Kconfig*' \
			"$TREE/mm" "$TREE/fs" "$TREE/lib" || say "$line"
	done < <(grep -h '^CONFIG_' "$REPO/kconfig/pdflush.config" "$REPO/kconfig/tests.config")
}

# The numbers in some local symbols (CSWTCH.184) depend on how much the compiler has
# seen, headers included: renumber them in the order of the object.
renumbered() {
	nm -p "$1" | awk 'NF == 3 && $3 ~ /\.[0-9]+$/ {
		name = $3
		sub(/\.[0-9]+$/, "", name)
		print $3, name "." ++n
	}'
}

# hash_objects DIRECTORY FILE...
hash_objects() {
	local out=$1 o
	shift

	for o; do
		[ -f "$out/$o" ] || continue
		renumbered "$out/$o" >"$TMP/symbols"
		objcopy -g --redefine-syms="$TMP/symbols" "$out/$o" "$TMP/stripped.o" || continue
		say "$o $(sha256sum <"$TMP/stripped.o")"
	done
}

touched_objects() {
	files_of "${SERIES_FILES[@]}" | sed -n 's/\.c$/.o/p'
}

# built_objects DIRECTORY: those of them that exist there
built_objects() {
	local o

	for o in $(touched_objects); do [ ! -f "$1/$o" ] || say "$o"; done | tr '\n' ' '
}

every_object() {
	(cd "$1" && find . -name '*.o' ! -path './scripts/*' ! -path './tools/*' ! -name '.*' ! -name 'vmlinux.o' -printf '%P\n' | LC_ALL=C sort)
}

# new_warnings NAME PATCH
new_warnings() {
	local new

	new=$(comm -13 "$TMP/base.warnings" "$TMP/$1.warnings" | head -n 1)
	[ -z "$new" ] || not_ok "$2: no new warning" "$new"
}

# build_off NAME TARGET
build_off() {
	local name=$1

	CURRENT="build: $name, option off"
	build_step n "$2" "$REPO/kconfig/build.config" || { not_ok "$name: builds with the option off"; return 1; }
	new_warnings n "$name"
	# shellcheck disable=SC2046 # object names have no blanks
	hash_objects "$CACHE/build/step-n$ON" $(touched_objects) >"$TMP/objects"
	off_identical "$name"
}

# off_identical NAME
off_identical() {
	local name=$1

	if diff "$TMP/base.objects" "$TMP/objects" >>"$LOG"; then
		ok "$name: builds with the option off, touched objects are identical to the base's"
	else
		not_ok "$name: objects differ with the option off" "$(diff "$TMP/base.objects" "$TMP/objects" | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u | tr '\n' ' ')"
	fi
}

# build_on NAME TARGET
build_on() {
	local name=$1

	CURRENT="build: $name, option on"
	options_so_far >"$TMP/on.config"
	if build_step y "$2" "$REPO/kconfig/build.config" "$TMP/on.config"; then
		ok "$name: builds with the option on ($(grep -c . "$TMP/on.config") options)"
		new_warnings y "$name"
	else
		not_ok "$name: builds with the option on"
	fi
}

# step_name INDEX
step_name() {
	say "$(($1 + 1))/${#SERIES_FILES[@]} $(basename "${SERIES_FILES[$1]}" .patch)"
}

# part_build [quick]
part_build() {
	new_tmp
	CURRENT='build: base'
	work_tree steps 0 || return 1
	hold_tree
	if [ "${1:-}" = quick ]; then build_quickly; else build_all; fi
	release_tree
}

build_all() {
	local i name on off out=$CACHE/build/step-n$ON

	: >"$TMP/base.warnings"
	build_step n vmlinux "$REPO/kconfig/build.config" || { not_ok "the base builds"; return; }
	mv "$TMP/n.warnings" "$TMP/base.warnings"
	# shellcheck disable=SC2046
	hash_objects "$out" $(touched_objects) >"$TMP/base.objects"
	# shellcheck disable=SC2046
	hash_objects "$out" $(every_object "$out") >"$TMP/base.all"
	[ -s "$TMP/base.objects" ] || { not_ok "objects with the option off" "no touched object is built"; return; }

	for i in "${!SERIES_FILES[@]}"; do
		name=$(step_name "$i")
		work_tree steps $((i + 1)) || { not_ok "$name: applies"; return; }
		off=$(built_objects "$out") on=$(touched_folders)
		[ "$i" -ne 0 ] || on=vmlinux
		[ "$((i + 1))" -ne "${#SERIES_FILES[@]}" ] || off=vmlinux on=vmlinux
		build_off "$name" "$off" || :
		build_on "$name" "$on"
	done
	# shellcheck disable=SC2046
	hash_objects "$out" $(every_object "$out") >"$TMP/all"
	if diff "$TMP/base.all" "$TMP/all" >>"$LOG"; then
		ok "off: all $(wc -l <"$TMP/all") objects are identical to the base's"
	else
		not_ok "off: objects differ" "$(diff "$TMP/base.all" "$TMP/all" | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u | head -n 5 | tr '\n' ' ')"
	fi
}

# With the option off only the objects that the series touches, of the base, the whole
# series and each patch: being the base's, they link as the base does.  With the option on
# vmlinux of the whole series, then the touched objects of each patch.
build_quickly() {
	local i name off out=$CACHE/build/step-n$ON out_on=$CACHE/build/step-y$ON last=$((${#SERIES_FILES[@]} - 1))

	CURRENT='build: base'
	off=$(objects_off)
	: >"$TMP/base.warnings"
	build_step n "$off" "$REPO/kconfig/build.config" || { not_ok "the base builds"; return; }
	mv "$TMP/n.warnings" "$TMP/base.warnings"
	# shellcheck disable=SC2086 # object names have no blanks
	hash_objects "$out" $off >"$TMP/base.objects"
	[ -s "$TMP/base.objects" ] || { not_ok "objects with the option off" "no touched object is built"; return; }

	name=$(step_name "$last")
	work_tree steps -1 || { not_ok "$name: applies"; return; }
	build_off "$name" "$off" || :
	build_on "$name" vmlinux
	[ -f "$out_on/vmlinux" ] || return 0
	without_touched "$out_on"

	for ((i = 0; i < last; i++)); do
		name=$(step_name "$i")
		if ! files_of "${SERIES_FILES[i]}" | grep -qvE '^(Documentation|tools)/|^MAINTAINERS$'; then
			ok "$name: changes nothing that is compiled"
			continue
		fi
		work_tree steps $((i + 1)) || { not_ok "$name: applies"; return; }
		build_off "$name" "$off" || :
		build_on "$name" "$(objects_on)" || :
	done
}

# objects_off: the touched objects whose source the base has
objects_off() {
	files_of "${SERIES_FILES[@]}" | grep -v '^tools/' | while read -r f; do
		case $f in *.c) [ ! -f "$SRC/$f" ] || say "${f%.c}.o" ;; esac
	done | tr '\n' ' '
}

# objects_on: the touched objects of the last vmlinux whose source TREE has
objects_on() {
	touched_built "$CACHE/build/step-y$ON"
	printf '%s\n' "${OBJECTS[@]#"$CACHE/build/step-y$ON/"}" | tr '\n' ' '
}
