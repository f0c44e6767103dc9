# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031,SC2153 # SERIES is changed in a subshell on purpose
#
# scripts/test packaging: the instructions in docs/packaging.md, on a small tree, and its
# configuration snippets.  No kernel is built.

need_packaging() {
	need quilt:quilt git:git patch:patch unshare:util-linux dpkg-deb:dpkg systemd-tmpfiles:systemd
}

# packed LAYOUT [OPTION...]: sets PACKED to the directory that package-patches writes
packed() {
	local layout=$1
	shift

	PACKED=$TMP/packed
	rm -rf "$PACKED"
	"$REPO/scripts/package-patches" "$@" "$layout" "$PACKED"
}

# plain_trees: a tree without and one with the series
plain_trees() {
	small_tree "$SRC" "$TMP/plain" &&
		cp -a "$TMP/plain" "$TMP/want" &&
		(cd "$TMP/want" && our_quilt push -a -q --fuzz=0) && rm -r "$TMP/want/.pc"
}

fresh_plain() {
	rm -rf "$TMP/tree"
	cp -a "$TMP/plain" "$TMP/tree"
}

as_wanted() {
	diff -rq -x .pc -x debian -x debian-own "$TMP/want" "$TMP/tree" || { say "not the tree that quilt makes"; return 1; }
}

# same_mail FILE PATCH: same author, date, subject, text and diff
same_mail() {
	local theirs ours

	theirs=$(git mailinfo "$TMP/m1" "$TMP/d1" <"$1") && ours=$(git mailinfo "$TMP/m2" "$TMP/d2" <"$2") || return 1
	[ "$theirs" = "$ours" ] && cmp -s "$TMP/d1" "$TMP/d2" ||
		{ say "${1##*/}: not the same author, date, subject or diff"; return 1; }
	grep -vxE '(Forwarded|Patch-mainline|References|Signed-off-by): .*' "$TMP/m1" | cat -s >"$TMP/m1.text"
	diff -B "$TMP/m1.text" <(cat -s "$TMP/m2") || { say "${1##*/}: another text"; return 1; }
}

# all_mails FILE...: in the order of the series
all_mails() {
	local i files=("$@")

	[ "${#files[@]}" -eq "${#SERIES_FILES[@]}" ] || { say "${#files[@]} files for ${#SERIES_FILES[@]} patches"; return 1; }
	for i in "${!files[@]}"; do same_mail "${files[i]}" "${SERIES_FILES[i]}" || return 1; done
}

# packed_header FILE TAG: its value in the header
packed_header() {
	sed -n "/^\$/q;s/^$2: //p" "$1"
}

# with another patch in debian/patches before ours
debian_way() {
	local before

	packed debian || return 1
	fresh_plain
	cd "$TMP/tree" || return 1
	mkdir -p debian/patches/debian
	printf -- '--- /dev/null\n+++ b/debian-own\n@@ -0,0 +1 @@\n+own\n' >debian/patches/debian/own.patch
	say debian/own.patch >debian/patches/series
	before=$(cat debian/patches/series)
	# as in docs/packaging.md
	cp -r "$PACKED/features" debian/patches/
	cat "$PACKED/series" >>debian/patches/series
	QUILT_PATCHES=debian/patches quilt --quiltrc - push -a --fuzz=0 || return 1
	as_wanted || return 1
	QUILT_PATCHES=debian/patches quilt --quiltrc - pop -a -q || return 1
	sed -i '/pdflush/d' debian/patches/series
	rm -r debian/patches/features/all/pdflush
	[ "$(cat debian/patches/series)" = "$before" ] || { say "series is not as before"; return 1; }
	same_packaged "$TMP/plain" "$TMP/tree"
}

# ignoring empty directories that quilt leaves
same_packaged() {
	rm -rf "$2/.pc" "$2/debian"
	find "$2" -type d -empty -delete
	diff -rq "$1" "$2"
}

debian_headers() {
	local f

	packed debian || return 1
	mapfile -t FILES < <(sed -n "s,^[^#],$PACKED/&,p" "$PACKED/series")
	for f in "${FILES[@]}"; do
		[ "$(packed_header "$f" Forwarded)" = no ] || { say "${f##*/}: no Forwarded"; return 1; }
	done
	all_mails "${FILES[@]}"
}

# in_series_order DIRECTORY: one patch at a time, like the rpm
in_series_order() {
	local p

	fresh_plain
	while read -r p; do
		patch -d "$TMP/tree" -p1 -F0 -E -s --no-backup-if-mismatch <"$1/$p" || { say "$p does not apply"; return 1; }
	done < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$1/series.conf")
	as_wanted
}

suse_way() {
	packed opensuse --references boo#1 && in_series_order "$PACKED"
}

# suse_header FILE: the tags that openSUSE's README requires
suse_header() {
	local tag value

	for tag in From Subject Patch-mainline References; do
		value=$(packed_header "$1" "$tag")
		[ -n "$value" ] && [ "$(say "$value" | wc -l)" -eq 1 ] || { say "${1##*/}: $tag: \"$value\""; return 1; }
	done
	[[ $(packed_header "$1" Patch-mainline) =~ ^(Never|Not\ yet|Submitted),\ .+ ]] || { say "${1##*/}: Patch-mainline without a reason"; return 1; }
	[[ $(packed_header "$1" Subject) != \[* ]] || { say "${1##*/}: [PATCH] in the subject"; return 1; }
	[ "$(sed '/^---$/q' "$1" | grep -c '^Signed-off-by: packager <packager@localhost>$')" -eq 1 ] ||
		{ say "${1##*/}: not signed off once"; return 1; }
}

suse_headers() {
	local f

	GIT_COMMITTER_NAME=packager GIT_COMMITTER_EMAIL=packager@localhost \
		packed opensuse --sign-off --references 'boo#1' || return 1
	mapfile -t FILES < <(sed -n "s,^\t\([^#]\),$PACKED/\1,p" "$PACKED/series.conf")
	for f in "${FILES[@]}"; do suse_header "$f" || return 1; done
	all_mails "${FILES[@]}"
}

# OpenWrt applies patches by name, with -f: there fuzz would not be noticed.
openwrt_way() {
	local p

	packed openwrt || return 1
	fresh_plain
	for p in "$PACKED/hack-$BASE"/*; do
		patch -d "$TMP/tree" -f -p1 -E -F0 --no-backup-if-mismatch <"$p" || { say "${p##*/} does not apply"; return 1; }
	done
	as_wanted && all_mails "$PACKED/hack-$BASE"/*
}

openwrt_refresh() {
	local p dir

	packed openwrt || return 1
	dir=$PACKED/hack-$BASE
	fresh_plain
	mkdir "$TMP/tree/patches"
	cp "$dir"/* "$TMP/tree/patches/"
	find "$dir" -type f -printf '%f\n' | LC_ALL=C sort >"$TMP/tree/patches/series"
	cd "$TMP/tree" || return 1
	while quilt --quiltrc - next >/dev/null 2>&1; do
		quilt --quiltrc - push -q --fuzz=0 &&
			QUILT_DIFF_OPTS=-p quilt --quiltrc - refresh -p ab --no-index --no-timestamps || return 1
	done
	for p in "$dir"/*; do
		diff <(sed 's/^\(@@ .* @@\) .*/\1/' "$p") <(sed 's/^\(@@ .* @@\) .*/\1/' "patches/${p##*/}") ||
			{ say "${p##*/}: a refresh changes more than @@ lines"; return 1; }
	done
}

# laid_out BASE [SERIES]: package-patches writes the patches of the base's series (or of
# SERIES) in order.  Whether they apply is tested by the part series.
laid_out() {
	(use_base "$1"
	[ "$#" -lt 2 ] || SERIES=$2
	read_series
	packed openwrt --base "$1" && all_mails "$PACKED/hack-$1"/* && packed debian --base "$1" || exit 1
	mapfile -t FILES < <(sed -n "s,^[^#],$PACKED/&,p" "$PACKED/series")
	grep -qxF "# pdflush, for Linux $1" "$PACKED/series" || { say "the series does not say $1"; exit 1; }
	all_mails "${FILES[@]}")
}

other_bases() {
	local base primary=$SERIES n=0

	for base in $BASES; do
		[ "$base" != "$BASE" ] || continue
		laid_out "$base" || { say "not the series for $base"; return 1; }
		! laid_out "$base" "$primary" || { say "$base: another series is not reported"; return 1; }
		# the same, with a patch of the primary series instead of the base's own
		sed "0,/^$base\//s///" "$PATCHES/$base/series" >"$TMP/mixed"
		! laid_out "$base" "$TMP/mixed" || { say "$base: a patch of another base is not reported"; return 1; }
		n=$((n + 1))
	done
	[ "$n" -gt 0 ]
}

# --- configuration snippets ----------------------------------------------------

# snippet FILE: the block in docs/packaging.md that begins with "# FILE"
snippet() {
	awk -v file="$1" '
	on && /^    / { print substr($0, 5); next }
	{ on = 0 }
	$0 == "    # " file { on = 1 }
	' "$REPO/docs/packaging.md" | grep . || { say "docs/packaging.md has no $1"; return 1; }
}

# Sets UDEVADM: the installed one, or unpacked, as installing udev starts a daemon.
find_udevadm() {
	UDEVADM=$(PATH=$PATH:/usr/sbin:/sbin command -v udevadm || :)
	[ -z "$UDEVADM" ] || return 0
	UDEVADM=$CACHE/udev/bin/udevadm
	[ ! -x "$UDEVADM" ] || return 0
	say "unpacking udevadm into $CACHE/udev"
	apt_update # package lists may be missing or old
	mkdir -p "$TMP/deb" && cd "$TMP/deb" && apt-get -q download udev &&
		dpkg-deb -x udev_*.deb "$CACHE/udev" && [ -x "$UDEVADM" ]
}

# udev_takes FILE: no errors.  The rules are read in a namespace where they are the only
# ones, for a device that does not match.
udev_takes() {
	if "$UDEVADM" verify --help >/dev/null 2>&1; then
		"$UDEVADM" verify --resolve-names=never "$1"
		return
	fi
	# shellcheck disable=SC2016 # for the inner shell
	as_root unshare -m sh -ec '
		for d in /usr/lib/udev/rules.d /lib/udev/rules.d /etc/udev/rules.d; do
			[ ! -d "$d" ] || mount -t tmpfs none "$d"
		done
		mkdir -p /run/udev
		mount -t tmpfs none /run/udev
		mkdir /run/udev/rules.d
		cp "$2" /run/udev/rules.d/90-pdflush.rules
		"$1" test --action=add /sys/devices/virtual/mem/null
	' - "$UDEVADM" "$1" >"$TMP/udev" 2>&1 || { cat "$TMP/udev"; say "udevadm failed"; return 1; }
	cat "$TMP/udev"
	grep -q 'Reading rules file: .*90-pdflush' "$TMP/udev" || { say "the rules were not read"; return 1; }
	! grep 'rules:[0-9]' "$TMP/udev"
}

udev_rule() {
	find_udevadm || { say "no udevadm: cannot be unpacked"; return 1; }
	snippet /etc/udev/rules.d/90-pdflush.rules >"$TMP/90-pdflush.rules" || return 1
	udev_takes "$TMP/90-pdflush.rules" || return 1
	sed 's/SUBSYSTEM==/SUBSYS==/' "$TMP/90-pdflush.rules" >"$TMP/bad.rules"
	! udev_takes "$TMP/bad.rules" || { say "a wrong key is not reported"; return 1; }
}

# tmpfiles_writes FILE: 1 to the attribute of a made-up device
tmpfiles_writes() {
	local knob=$TMP/root/sys/class/bdi/8:0/pdflush

	rm -rf "$TMP/root"
	mkdir -p "${knob%/*}"
	say 0 >"$knob"
	systemd-tmpfiles --root="$TMP/root" --create "$1" && [ "$(cat "$knob")" = 1 ]
}

tmpfiles_line() {
	snippet /etc/tmpfiles.d/pdflush.conf >"$TMP/tmpfiles.conf" || return 1
	tmpfiles_writes "$TMP/tmpfiles.conf" || { say "nothing was written"; return 1; }
	sed 's/^w /d /' "$TMP/tmpfiles.conf" >"$TMP/bad.conf"
	! tmpfiles_writes "$TMP/bad.conf" || { say "a wrong line is not reported"; return 1; }
}

# known_sysctls FILE: lines "[-]vm.NAME = NUMBER", for sysctls that the series adds
known_sysctls() {
	local line name

	while IFS= read -r line; do
		[[ $line =~ ^-?vm\.([a-z_]+)\ =\ [0-9]+$ ]] || { say "not a setting: $line"; return 1; }
		name=${BASH_REMATCH[1]}
		series_sysctls | grep -qx "$name" || { say "no sysctl vm.$name in the series"; return 1; }
	done <"$1"
}

sysctl_lines() {
	snippet /etc/sysctl.d/90-pdflush.conf >"$TMP/sysctl.conf" || return 1
	known_sysctls "$TMP/sysctl.conf" || return 1
	sed 's/threads_max/thread_max/' "$TMP/sysctl.conf" >"$TMP/bad.conf"
	! known_sysctls "$TMP/bad.conf" || { say "a wrong name is not reported"; return 1; }
}

# options_known FILE: all options named exist in the series
options_known() {
	local name

	grep -oE 'CONFIG_[A-Z_]*PDFLUSH[A-Z_]*' "$1" | sort -u >"$TMP/options"
	[ -s "$TMP/options" ] || { say "no option named"; return 1; }
	while read -r name; do
		cat "${SERIES_FILES[@]}" | grep -xF "+config ${name#CONFIG_}" || { say "no $name in the series"; return 1; }
	done <"$TMP/options"
}

config_lines() {
	options_known "$REPO/docs/packaging.md" || return 1
	say CONFIG_PDFLUSH_ON >"$TMP/bad.config"
	! options_known "$TMP/bad.config" || { say "a wrong option is not reported"; return 1; }
}

# --- can it fail? ------------------------------------------------------

# refuses PATTERN ARGUMENT...: fails with one line that matches, writes nothing
refuses() {
	local pattern=$1
	shift

	rm -rf "$TMP/none"
	! "$REPO/scripts/package-patches" "$@" >"$TMP/out" 2>"$TMP/err" || { say "accepted: $*"; return 1; }
	cat "$TMP/err"
	[ "$(wc -l <"$TMP/err")" -eq 1 ] && grep -q "$pattern" "$TMP/err" || { say "the line does not say $pattern"; return 1; }
	[ ! -e "$TMP/none" ] || { say "something was written"; return 1; }
}

bad_arguments() {
	refuses 'no series for Linux 2.6' --base 2.6 debian "$TMP/none" &&
		refuses 'unknown layout' slackware "$TMP/none" &&
		refuses 'references' opensuse "$TMP/none" &&
		refuses 'is not empty' debian "$TMP/plain" &&
		HOME=$TMP/nobody XDG_CONFIG_HOME=$TMP/nobody GIT_CONFIG_NOSYSTEM=1 GIT_DIR=$TMP/nobody \
			refuses 'user.name' --sign-off debian "$TMP/none"
}

# Wrong order, missing sign-off, changed diff.
broken_layout_is_found() {
	packed opensuse --references boo#1 || return 1
	(head -n 1 "$PACKED/series.conf"; tail -n +2 "$PACKED/series.conf" | tac) >"$TMP/tac"
	mv "$TMP/tac" "$PACKED/series.conf"
	! in_series_order "$PACKED" || { say "the wrong order is not reported"; return 1; }
	set -- "$PACKED"/patches.suse/*
	! suse_header "$1" || { say "a missing sign-off is not reported"; return 1; }
	sed -i '0,/^+[^+]/s/^+\([^+].*\)/+x\1/' "$1"
	! all_mails "$PACKED"/patches.suse/* || { say "a changed diff is not reported"; return 1; }
}

part_packaging() {
	new_tmp
	export PDFLUSH_PATCHES=$PATCHES PDFLUSH_SERIES=$SERIES
	check "a small tree with the series, by quilt" plain_trees
	check "debian: added to debian/patches and removed" debian_way
	check "debian: headers" debian_headers
	check "openSUSE: applies in the order of series.conf, zero fuzz" suse_way
	check "openSUSE: headers" suse_headers
	check "OpenWrt: applies in the order of names, zero fuzz" openwrt_way
	check "OpenWrt: a refresh only changes @@ lines" openwrt_refresh
	check "--base: the patches of that base's series, in order" other_bases
	check "udevadm accepts the udev rule" udev_rule
	check "the tmpfiles.d line sets the attribute" tmpfiles_line
	check "the sysctls in the snippet exist" sysctl_lines
	check "the options named exist" config_lines
	check "package-patches refuses bad arguments" bad_arguments
	check "broken layouts are reported" broken_layout_is_found
}
