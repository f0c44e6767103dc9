# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2119 # many variables are used by the scripts that source this
#
# Common code of the scripts, which set -eu and source this file.  Sourcing only sets up
# variables and traps for cleaning up.

# Set by git hooks or in a shell's startup files.
unset CDPATH GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_PREFIX

# absolute FILE: sets FROM_HERE to its absolute path
absolute() {
	case $1 in
	/*) FROM_HERE=$1 ;;
	*) FROM_HERE=$PWD/$1 ;;
	esac
}

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
absolute "${PDFLUSH_CACHE:-$REPO/.cache}"
CACHE=$FROM_HERE
absolute "${PDFLUSH_PATCHES:-$REPO/patches}"
PATCHES=$FROM_HERE
absolute "${PDFLUSH_SERIES:-$REPO/series}"
PRIMARY_SERIES=$FROM_HERE

# Debian's archive, if the machine's apt does not name one.
ARCHIVE=deb.debian.org

# The bases, i.e. kernels with a series, the primary one first, and the parts of
# scripts/test: all that each has, and what runs by default, in this order.  In PART:WORD
# WORD is an argument to the part.
bases_table() {
	cat <<'END'
6.12 all     series mbox packaging model style docs tools kunit arch vm build mutations
6.1  all     series style docs tools kunit vm build
7.3  all     series mbox style docs tools kunit uml vm build
6.12 default series
7.3  default uml:quick
6.12 default model vm:quick build:quick style kunit:lockdep mutations:kunit packaging tools docs
7.3  default series mbox
6.1  default series kunit:pdflush
6.12 default drift:fits
END
}

BASES=$(bases_table | awk '$2 == "all" { printf "%s%s", n++ ? " " : "", $1 }')
PRIMARY=${BASES%% *}

# The base whose user-mode Linux supports SMP.
UML_BASE=$(bases_table | awk '$2 == "all" && / uml / { print $1 }')

# What "checkpatch --strict --terse --showfile" reports for the usual style of trace
# events.
TRACE_EVENT_STYLE="^include/trace/events/[^ ]*: CHECK: (Lines should not end with a '\\('|Alignment should match)"

JOBS=$(nproc)
START=$SECONDS
PROGRESS_PERIOD=8		# seconds between two progress lines
CURRENT=starting		# current activity, for the progress line
NEXT=			# next activity
LOG=/dev/null		# where run_logged puts a command's output
JOB=			# process group started by run_logged
TMP_DIRS=()

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

say() {
	printf '%s\n' "$*"
}

# usage_error MESSAGE: for wrong options and arguments.
usage_error() {
	printf '%s: %s (see %s --help)\n' "${0##*/}" "$*" "${0##*/}" >&2
	exit 2
}

# --help prints the comment block that follows the SPDX line of the script.
print_help() {
	sed -n '3,/^[^#]/{/^# shellcheck /d;s/^#$//;s/^# //p;/^$/p}' "$0" | sed -e '1{/^$/d}' -e '${/^$/d}'
	exit 0
}

# --- cleaning up -----------------------------------------------------------

kill_job() {
	local pid=$1 _

	kill -TERM -- "-$pid" 2>/dev/null || return 0
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 -- "-$pid" 2>/dev/null || return 0
		sleep 0.2
	done
	kill -KILL -- "-$pid" 2>/dev/null || :
}

# A script may override this; it runs first.
on_exit() {
	:
}

cleanup() {
	local rc=$? IFS=$' \t\n'

	trap - EXIT
	trap '' INT TERM HUP
	# interrupted between starting a job and setting JOB
	[ -n "$JOB" ] || JOB=$(jobs -p | tail -n 1)
	on_exit "$rc"
	[ -z "$JOB" ] || kill_job "$JOB"
	[ "${#TMP_DIRS[@]}" -eq 0 ] || rm -rf -- "${TMP_DIRS[@]}"
	exit "$rc"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Files in the cache are removed freely, so it must not contain anything else.
own_cache() {
	[ ! -e "$CACHE/.pdflush" ] || return 0
	mkdir -p "$CACHE" 2>/dev/null || die "cannot create $CACHE"
	[ "$CACHE" = "$REPO/.cache" ] || [ -z "$(ls -A "$CACHE")" ] ||
		die "$CACHE contains other files: PDFLUSH_CACHE must be a directory of its own"
	: 2>/dev/null >"$CACHE/.pdflush" || die "cannot write to $CACHE"
}

# new_tmp: sets TMP to a new scratch directory, removed at exit
new_tmp() {
	own_cache
	mkdir -p "$CACHE/tmp"
	TMP=$(mktemp -d "$CACHE/tmp/${0##*/}.XXXXXX")
	TMP_DIRS+=("$TMP")
}

# --- running and reporting -------------------------------------------------

elapsed() {
	local s=$((SECONDS - START))

	printf '%02d:%02d' $((s / 60)) $((s % 60))
}

progress() {
	say "# $(elapsed) $CURRENT${1:+: $1}${NEXT:+ (next: $NEXT)}"
}

# run_logged COMMAND...: runs it with output to $LOG and progress lines on stdout, in a
# process group of its own, which is killed when the script exits
run_logged() {
	local rc=0 nap=0.05 last=$SECONDS

	printf '\n### %s %s\n' "$(elapsed)" "$*" >>"$LOG"
	set -m
	"$@" >>"$LOG" 2>&1 </dev/null &
	JOB=$!
	set +m
	while kill -0 "$JOB" 2>/dev/null; do
		sleep "$nap"
		[ "$nap" = 0.5 ] || { [ $((SECONDS - last)) -lt 2 ] || nap=0.5; }
		if [ $((SECONDS - last)) -ge "$PROGRESS_PERIOD" ]; then
			last=$SECONDS
			progress "$(last_words 70)"
		fi
	done
	wait "$JOB" || rc=$?
	JOB=
	return "$rc"
}

# last_words WIDTH: the last line of the log, cut and printable
last_words() {
	[ -f "$LOG" ] || return 0
	tail -c 400 "$LOG" | tr -cd '[:print:]\n' | grep -v "^###" | grep . | tail -n 1 | cut -c "1-$1" || :
}

start_log() {
	mkdir -p "$CACHE/log"
	LOG=$CACHE/log/$1.log
	: >"$LOG"
}

# --- tools -----------------------------------------------------------------

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

APT_UPDATED=
apt_update() {
	local try

	[ -z "$APT_UPDATED" ] || return 0
	# apt may be running already, e.g. after the first boot of a machine
	for try in 1 2 3; do
		! run_logged as_root apt-get -q update || break
		[ "$try" = 3 ] || sleep 20
	done
	APT_UPDATED=1
}

apt_install() {
	command -v apt-get >/dev/null || die "cannot install $*: there is no apt-get here"
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		die "cannot install $*: not root, and there is no sudo"
	say "# installing with apt-get: $*"
	apt_update
	run_logged as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 install "$@" ||
		die "apt-get could not install $*${LOG:+; see $LOG}"
}

# need TOOL[:PACKAGE]...: installs what is missing
need() {
	local item tool package missing=()

	for item; do
		tool=${item%%:*} package=${item#*:}
		case $tool in
		/*) [ -e "$tool" ] || missing+=("$package") ;;
		*) PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null ||
			missing+=("$package") ;;
		esac
	done
	[ "${#missing[@]}" -eq 0 ] || apt_install "${missing[@]}"
}

need_build_tools() {
	need gcc:gcc make:make flex:flex bison:bison bc:bc perl:perl quilt:quilt git:git \
		python3:python3 ccache:ccache /usr/include/libelf.h:libelf-dev \
		/usr/include/stdlib.h:libc6-dev xz:xz-utils
	export CCACHE_DIR=$CACHE/ccache CCACHE_MAXSIZE=3G
	export CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros
	export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
	export KBUILD_BUILD_USER=pdflush KBUILD_BUILD_HOST=pdflush KBUILD_BUILD_VERSION=1
}

# need_space DIRECTORY MEGABYTES: in total, including what is used already
need_space() {
	local free held

	mkdir -p "$1" 2>/dev/null || die "cannot create $1"
	[ -w "$1" ] || die "cannot write to $1"
	free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
	[ "$free" -lt "$2" ] || return 0
	held=$(du -sm "$1" | cut -f 1)
	[ $((free + held)) -ge "$2" ] && [ "$free" -ge 1000 ] ||
		die "not enough disk space: $1 needs $2 MB, uses $held MB, and $free MB are free"
}

# One script at a time uses the cache.
lock_cache() {
	own_cache
	[ -z "${PDFLUSH_LOCKED:-}" ] || return 0
	exec 9>"$CACHE/lock"
	flock -w 10 9 || die "another run uses $CACHE; wait for it, or set PDFLUSH_CACHE"
	export PDFLUSH_LOCKED=1
}

# --- the series ------------------------------------------------------------

is_base() {
	[[ $1 != *\ * ]] || return 1
	case " $BASES " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}

# series_of BASE: its series file; the entries of each are relative to patches/.
series_of() {
	if [ "$1" = "$PRIMARY" ]; then say "$PRIMARY_SERIES"; else say "$PATCHES/$1/series"; fi
}

# tested_of BASE: the version its series was tested with, as its first comment says.
tested_of() {
	sed -n '/^[^#]/q;s/^# Base: .*, tested with \([0-9.]*[0-9]\).*/\1/p' "$(series_of "$1")" 2>/dev/null || :
}

# use_base BASE: selects the base.  ON is the suffix of build directories and logs, empty
# for the primary base.
use_base() {
	BASE=$1 BASE_PACKAGE=linux-source-$1
	SERIES=$(series_of "$1")
	BASE_TESTED=$(tested_of "$1")
	ON=-$1
	[ "$1" != "$PRIMARY" ] || ON=
}

use_base "$PRIMARY"

# nearest_base X.Y: the base with the fewest releases in between (5.19 is followed by
# 6.0, 6.19 by 7.0)
nearest_base() {
	local base distance best='' least=0

	for base in $BASES; do
		distance=$(($(release_number "$base") - $(release_number "$1")))
		distance=${distance#-}
		[ -n "$best" ] && [ "$distance" -ge "$least" ] || best=$base least=$distance
	done
	say "$best"
}

release_number() {
	say $((${1%%.*} * 20 + ${1#*.}))
}

# series_list [FILE]: its entries
# shellcheck disable=SC2120 # used by one script
series_list() {
	local file=${1:-$SERIES}

	[ -f "$file" ] || die "no series file: $file"
	sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$file"
}

# read_series: sets SERIES_FILES to the paths of the patches, in order
read_series() {
	local p

	SERIES_FILES=()
	while read -r p; do
		[ -f "$PATCHES/$p" ] || die "$SERIES names $p, which is not in $PATCHES"
		SERIES_FILES+=("$PATCHES/$p")
	done < <(series_list)
	[ "${#SERIES_FILES[@]}" -gt 0 ] || die "$SERIES lists no patch"
}

# freeze_series: works on a copy, so that editing the series has no effect
freeze_series() {
	read_series
	new_tmp
	mkdir "$TMP/patches"
	cp "$PRIMARY_SERIES" "$TMP/series"
	(cd "$PATCHES" && find . \( -name '*.patch' -o -name series \) -exec cp --parents -t "$TMP/patches" {} +)
	PATCHES=$TMP/patches PRIMARY_SERIES=$TMP/series
	use_base "$BASE"
	read_series
}

# subject_of PATCH: as git makes it a commit's
subject_of() {
	git mailinfo /dev/null /dev/null <"$1" | sed -n 's/^Subject: //p'
}

# A patch is named by words of its subject, in a folder.  No two have the same name.
NAME_LENGTH=40

# words_of TEXT: in small letters, one a line
words_of() {
	say "$1" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9\n' '\n' | grep . || :
}

# patches_below FOLDER: without those that have to differ for a base, if it is the
# primary one's
patches_below() {
	local base others=(-false)

	for base in $BASES; do others+=(-o -path "${1%/}/$base"); done
	[ ! -d "$1" ] || find "${1%/}" \( "${others[@]}" \) -prune -o -name '*.patch' -print
}

# files_of PATCH...: all files they touch, sorted
files_of() {
	sed -n -e 's,^--- a/\([^[:space:]]*\).*,\1,p' \
		-e 's,^+++ b/\([^[:space:]]*\).*,\1,p' "$@" | sort -u
}

# break_names: the deliberate breaks, in the order of the list
break_names() {
	sed -n 's/^Name: //p' "$REPO/kunit/breaks.list"
}

# first_change: "PATCH FILE", the first patch that changes an existing file; tests corrupt
# these
first_change() {
	local p f

	series_list | while read -r p; do
		f=$(sed -n 's,^--- a/\([^[:space:]]*\).*,\1,p' "$PATCHES/$p" | head -n 1)
		[ -z "$f" ] || { say "$p $f"; break; }
	done
}

# series_sysctls: names of the sysctls that the series adds to SRC
series_sysctls() {
	local name

	sed -n 's/^+.*\.procname[[:space:]]*= "\([a-z_]*\)".*/\1/p' "${SERIES_FILES[@]}" | sort -u | while read -r name; do
		grep -qF "\"$name\"" "$SRC/mm/page-writeback.c" "$SRC/kernel/sysctl.c" || say "$name"
	done
}

# new_files: files that the series creates
new_files() {
	sed -n '/^--- \/dev\/null/{n;s,^+++ b/\([^[:space:]]*\).*,\1,p;}' "${SERIES_FILES[@]}" | sort -u
}

# small_tree FROM TO: copies the files the series touches, and the top-level Makefile
small_tree() {
	local f

	mkdir -p "$2"
	{ files_of "${SERIES_FILES[@]}"; say Makefile; } | sort -u | while read -r f; do
		[ ! -e "$1/$f" ] || { mkdir -p "$2/$(dirname "$f")" && cp -p "$1/$f" "$2/$f"; } || exit
	done
}

# our_quilt ARGUMENT...: on the series of this repository, ignoring user settings
our_quilt() {
	QUILT_PATCHES=$PATCHES QUILT_SERIES=$SERIES QUILT_PC=.pc \
		quilt --quiltrc - "$@"
}

# --- kernel trees ----------------------------------------------------------

make_variable() {
	sed -n "s/^$2 *= *//p" "$1/Makefile" | head -n 1
}

is_kernel_tree() {
	[ -f "$1/Makefile" ] && [ -f "$1/Kbuild" ] && [ -f "$1/fs/fs-writeback.c" ] &&
		[ -n "$(make_variable "$1" VERSION)" ] && [ -n "$(make_variable "$1" PATCHLEVEL)" ]
}

# kernel_version TREE: 6.12.117
kernel_version() {
	say "$(make_variable "$1" VERSION).$(make_variable "$1" PATCHLEVEL).$(make_variable "$1" SUBLEVEL)"
}

# tree_state DIRECTORY: a hash that changes when any file does
tree_state() {
	(cd "$1" && find . -printf '%P %y %s %m %T@\n' | LC_ALL=C sort | sha256sum | cut -c 1-64)
}

# find_linux VERSION: where to get its package.  Sets INSTALLED to the installed version,
# or KEPT to the package in the cache, or CHOSEN to the version in Debian's archive, or
# none of these if the machine's apt has it.  Fails if it is no longer served, and exits
# if that cannot be determined.
find_linux() {
	local package=linux-source-$1

	INSTALLED='' KEPT='' CHOSEN=''
	command -v dpkg-query >/dev/null || die "no dpkg here: $package is a Debian package"
	[ ! -f "/usr/src/$package.tar.xz" ] || INSTALLED=$(package_version "$package")
	[ -z "$INSTALLED" ] || return 0
	KEPT=$(kept_deb "$package")
	[ -z "$KEPT" ] || return 0
	need_space "$CACHE" 3000
	can_install "$package" || choose_version "$1"
}

# fetch_linux [VERSION]: sets SRC to a pristine tree and SRC_ID to its exact version.  The
# package is the installed one, or installed by apt-get, or, if apt does not have it or
# cannot be used, downloaded from the archive into the cache.
fetch_linux() {
	local version=${1:-$BASE} package tarball deb stamp installed want

	is_base "$version" || die "unknown version $version; there is a series for each of $BASES"
	package=linux-source-$version
	tarball=/usr/src/linux-source-$version.tar.xz
	SRC=$CACHE/linux-$version
	stamp=$SRC.stamp

	find_linux "$version" || die "$package is not served by Debian's archive (asked: ${SUITES_READ% })"
	installed=$INSTALLED deb=$KEPT
	if [ -n "$CHOSEN" ]; then
		fetch_deb "$package" "$CHOSEN" "$CACHE/deb"
		deb=$DEB
	elif [ -z "$installed$deb" ]; then
		apt_install "$package"
		installed=$(package_version "$package")
		[ -f "$tarball" ] || die "$package is installed but $tarball is missing"
	fi
	SRC_ID="$package ${installed:-$(dpkg-deb -f "$deb" Version)}"
	if [ -f "$stamp" ] && [ -d "$SRC" ]; then
		want="$SRC_ID $(tree_state "$SRC")"
		[ "$(cat "$stamp")" != "$want" ] || return 0
		say "# $SRC is not $SRC_ID as unpacked: unpacking it again"
	fi
	need_space "$CACHE" 3000
	need xz:xz-utils
	[ -z "$installed" ] || [ -z "$(dpkg --verify "$package")" ] ||
		die "$package: installed files are damaged (dpkg --verify $package)"
	say "# unpacking ${deb:-$tarball}"
	rm -rf "$stamp" "$SRC" "$SRC.new"
	mkdir -p "$SRC.new"
	run_logged unpack_source "$SRC.new" "${deb:-$tarball}" ||
		{ rm -rf "$SRC.new"; die "cannot unpack ${deb:-$tarball}; see $LOG"; }
	is_kernel_tree "$SRC.new" || die "${deb:-$tarball} holds no kernel tree"
	mv "$SRC.new" "$SRC"
	say "$SRC_ID $(tree_state "$SRC")" >"$stamp"
}

# unpack_source DIRECTORY FILE [ARGUMENT...]: FILE is a tarball or a package containing
# one; arguments are for tar.  Files get the current time, so that make rebuilds what was
# built from an older version.
unpack_source() {
	local dir=$1 file=$2
	shift 2

	case $file in
	*.deb)
		# a subshell, for pipefail
		(set -o pipefail
		dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
			tar -xJm -C "$dir" --strip-components=1 "$@")
		;;
	*) tar -xJmf "$file" -C "$dir" --strip-components=1 "$@" ;;
	esac
}

can_install() {
	command -v apt-get >/dev/null || return 1
	[ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || return 1
	has_candidate "$1" || { apt_update; has_candidate "$1"; }
}

has_candidate() {
	LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}

package_version() {
	dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$1" 2>/dev/null |
		sed -n 's/^ii *//p' || :
}

# --- the archive -----------------------------------------------------------

# Releases that may have kernel sources, including future ones: one that does not exist
# is distinguished from one that cannot be reached.
SUITES='bookworm bookworm-updates bookworm-security bookworm-backports
trixie trixie-updates trixie-security trixie-backports
forky forky-updates forky-security forky-backports
duke duke-updates duke-security duke-backports
sid experimental'
SUITES_READ='' SUITES_GONE='' SUITES_FAILED=''

# own_apt TOOL ARGUMENT...: with its own lists, sources and cache; needs no root
own_apt() {
	local tool=$1 dir=$CACHE/apt
	shift

	LC_ALL=C "$tool" -q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o "Dir::State=$dir/state" -o "Dir::State::Lists=$dir/lists" -o "Dir::State::Status=$dir/status" \
		-o "Dir::Cache=$dir/cache" -o Dir::Cache::pkgcache=pkgcache.bin \
		-o Dir::Cache::srcpkgcache=srcpkgcache.bin -o "APT::Sandbox::User=$(id -un)" \
		-o APT::Default-Release= -o Acquire::Languages=none -o Acquire::PDiffs=false -o Acquire::Retries=2 \
		-o APT::Get::List-Cleanup=true \
		-o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false "$@"
}

# archive_uri NAME: the host the machine's own apt uses for debian or debian-security
archive_uri() {
	local uri

	# shellcheck disable=SC2016 # apt's variables
	uri=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | sed 's,/*$,,' | sort -u |
		grep -E "^(https?|file)://[^@]*/$1\$" | head -n 1 || :)
	say "${uri:-http://$ARCHIVE/$1}"
}

# update_lists: sets SUITES_READ, SUITES_GONE (not in the archive) and SUITES_FAILED.
# Fails if no suite could be read.
update_lists() {
	local dir=$CACHE/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg suite debian security uri out try

	command -v apt-get >/dev/null || die "no apt-get here: cannot ask Debian's archive"
	[ -f "$keys" ] || die "no $keys: cannot check Debian's archive (apt-get install debian-archive-keyring)"
	debian=$(archive_uri debian) security=$(archive_uri debian-security)
	mkdir -p "$dir"/{lists/partial,cache/archives/partial,state}
	: >"$dir/status"
	for suite in $SUITES; do
		uri=$debian
		[ "$suite" = "${suite%-security}" ] || uri=$security
		say "deb [signed-by=$keys] $uri $suite main"
	done >"$dir/sources.list"
	say "# asking Debian's archive what it serves"
	out=$dir/update.log
	for try in 1 2 3; do
		run_logged to_file "$out" own_apt apt-get update || :
		cat "$out" >>"$LOG"
		SUITES_READ='' SUITES_GONE='' SUITES_FAILED=''
		for suite in $SUITES; do
			case $(suite_answer "$suite" "$out") in
			read) SUITES_READ+="$suite " ;;
			gone) SUITES_GONE+="$suite " ;;
			*) SUITES_FAILED+="$suite " ;;
			esac
		done
		[ -n "$SUITES_FAILED" ] || break
		[ "$try" = 3 ] || sleep 20
	done
	ARCHIVE=$debian
	[ -n "$SUITES_READ" ]
}

# newer VERSION THAN
newer() {
	[ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]
}

to_file() {
	local file=$1
	shift
	"$@" >"$file" 2>&1
}

# suite_answer SUITE LOG: the result of apt-get update.  Lines are "Get:3 URI SUITE
# InRelease [...]"; after "Err:" the next line has the reason.
suite_answer() {
	awk -v suite="$1" '
	after	{ if ($1 == "404") gone = 1; else bad = 1; after = 0 }
	$1 ~ /^(Get|Hit|Ign|Err):/ && ($3 == suite || $3 == suite "/main") {
		if ($1 ~ /^Err/) after = 1
		else if ($1 !~ /^Ign/ && $4 ~ /Release$/) got = 1
	}
	$0 ~ "^[EW]: .*" suite " (In)?Release( |:|.$)" && !/does not have a Release file/ { bad = 1 }
	END	{ print got && !bad ? "read" : gone && !bad ? "gone" : "failed" }
	' "$2"
}

# served_versions: "X.Y VERSION SUITE" for each kernel source served, oldest first
served_versions() {
	local packages base full suite

	mapfile -t packages < <(own_apt apt-cache pkgnames linux-source- | grep -xE 'linux-source-[0-9]+\.[0-9]+')
	[ "${#packages[@]}" -gt 0 ] || return 0
	own_apt apt-cache madison "${packages[@]}" |
		sed -n 's,^ *linux-source-\([0-9.]*\) | *\([^ ]*\) | [^ ]* \([^ /]*\)/.* Packages$,\1 \2 \3,p' |
		while read -r base full suite; do
			case " $SUITES_READ" in *" $suite "*) say "$base $full $suite" ;; esac
		done | sort -u | sort -s -V -k 2,2
}

# choose_version X.Y: sets CHOSEN to the tested version if served, otherwise the newest;
# fails if there is none.  A suite that cannot be read might have it.
choose_version() {
	local served

	[ -n "$SUITES_READ" ] || update_lists || die "Debian's archive cannot be reached at $ARCHIVE (see $LOG)"
	served=$(served_versions | awk -v v="$1" '$1 == v { print $2 }')
	if [ -z "$served" ]; then
		[ -z "$SUITES_FAILED" ] || die "cannot tell whether linux-source-$1 is served: no answer from $SUITES_FAILED(see $LOG)"
		return 1
	fi
	CHOSEN=$({ say "$served"; say "$served" | awk -v t="$(tested_of "$1")" 'index($0, t "-") == 1'; } | tail -n 1)
}

# fetch_deb PACKAGE VERSION DIRECTORY: sets DEB to the file, verified by apt-get.  Needs
# update_lists.
fetch_deb() {
	try_fetch_deb "$@" || die "cannot download $1 $2 (see $LOG)"
}

# try_fetch_deb: the same, but fails if the download does; GONE is set if the archive lists
# the file but does not have it
try_fetch_deb() {
	local package=$1 version=$2 part=$3/part rc try

	GONE=
	DEB=$3/${package}_${version}_all.deb
	[ ! -f "$DEB" ] || return 0
	need_space "$CACHE" 2000
	say "# downloading $package $version"
	for try in 1 2; do
		rm -rf "$part"
		mkdir -p "$part"
		rc=0
		run_logged to_file "$part/log" download_into "$part" "$package=$version" || rc=$?
		cat "$part/log" >>"$LOG"
		[ "$rc" -ne 0 ] || break
		if grep -q '^E: Failed to fetch .* 404 ' "$part/log"; then GONE=1; break; fi
		[ "$try" = 2 ] || sleep 10
	done
	if [ "$rc" -ne 0 ]; then
		rm -rf "$part"
		return 1
	fi
	mv "$part"/*.deb "$DEB" || die "apt-get downloaded no package (see $LOG)"
	rm -rf "$part"
}

download_into() {
	cd "$1" && own_apt apt-get download "$2"
}

# kept_deb PACKAGE: the one in the cache, preferably the tested version
kept_deb() {
	local kept tested

	kept=$(find "$CACHE/deb" -maxdepth 1 -name "$1_*_all.deb" 2>/dev/null | sort -V)
	tested=$(tested_of "${1#linux-source-}")
	{ say "$kept"; say "$kept" | grep -F "/$1_$tested-" || :; } | tail -n 1
}

# work_tree NAME COUNT [PATCH...]: sets TREE to a tree with the first COUNT patches (-1:
# all) and then PATCH... applied.  Unchanged files are hard links to the pristine tree,
# and only files that differ are rewritten, so that little is rebuilt.
work_tree() {
	local lock rc=0

	# other lanes may use the same tree
	mkdir -p "$CACHE/tree"
	exec {lock}>"$CACHE/tree/$1$ON.lock"
	flock "$lock"
	make_work_tree "$@" || rc=1
	exec {lock}>&-
	return "$rc"
}

make_work_tree() {
	local name=$1 count=$2 stage f TMP
	shift 2

	TREE=$CACHE/tree/$name$ON
	[ "$TREE" = "$HELD_TREE" ] || check_work_tree || return 1
	new_tmp
	stage=$TMP/stage
	mkdir "$stage"
	stage_series "$stage" "$count" "$@" || return 1

	files_of "${SERIES_FILES[@]}" "$@" >"$TMP/touched"
	sort -u "$TMP/touched" "$TREE.files" >"$TMP/all"
	rm -f "$TREE.state"
	while read -r f; do
		if [ -e "$stage/$f" ]; then
			sync_file "$stage/$f" "$TREE/$f" || return 1
		elif grep -qxF -e "$f" "$TMP/touched" || [ ! -e "$SRC/$f" ]; then
			rm -f "$TREE/$f"
		else
			sync_file "$SRC/$f" "$TREE/$f" || return 1
		fi
	done <"$TMP/all"
	mv "$TMP/touched" "$TREE.files" || return 1
	[ "$TREE" = "$HELD_TREE" ] || note_work_tree
	rm -rf "$TMP"
}

note_work_tree() {
	say "$(cat "$SRC.stamp") $(tree_state "$TREE")" >"$TREE.state"
}

# hold_tree: only this process changes TREE, repeatedly, so do not verify it in between;
# after an interruption it is recreated.
HELD_TREE=
hold_tree() {
	HELD_TREE=$TREE
}

release_tree() {
	[ "$TREE" != "$HELD_TREE" ] || note_work_tree
	HELD_TREE=
}

# A work tree that was changed is recreated.
check_work_tree() {
	if [ -f "$TREE.state" ] && [ -d "$TREE" ]; then
		[ "$(cat "$TREE.state")" != "$(cat "$SRC.stamp") $(tree_state "$TREE")" ] || return 0
		say "# $TREE has changed: recreating it"
	fi
	rm -rf "$TREE" "$TREE.state"
	mkdir -p "$CACHE/tree"
	cp -al "$SRC" "$TREE" && : >"$TREE.files"
}

sync_file() {
	cmp -s "$1" "$2" || { mkdir -p "$(dirname "$2")" && rm -f "$2" && cp "$1" "$2"; }
}

# stage_series DIRECTORY COUNT [PATCH...]: the touched files only, patched
stage_series() {
	local stage=$1 count=$2 f
	shift 2

	small_tree "$SRC" "$stage" || return 1
	[ "$#" -eq 0 ] || for f in $(files_of "$@"); do
		if [ -e "$SRC/$f" ] && [ ! -e "$stage/$f" ]; then
			mkdir -p "$stage/$(dirname "$f")" && cp -p "$SRC/$f" "$stage/$f" || return 1
		fi
	done
	[ "$count" -ge 0 ] || count=${#SERIES_FILES[@]}
	if [ "$count" -gt 0 ]; then
		(cd "$stage" && our_quilt push "$count" --fuzz=0 -q) >>"$LOG" 2>&1 ||
			{ say "# the series does not apply to $SRC_ID; see $LOG"; return 1; }
	fi
	for f; do
		if [ -n "${AS_FAR_AS_IT_FITS:-}" ]; then
			patch -d "$stage" -p1 -F3 -s --no-backup-if-mismatch -r - <"$f" >>"$LOG" 2>&1 || :
		else
			patch -d "$stage" -p1 -F0 -s --no-backup-if-mismatch <"$f" >>"$LOG" 2>&1 || return 1
		fi
	done
}

# --- kernel builds ---------------------------------------------------------

file_hash() {
	[ ! -f "$1" ] || sha256sum <"$1"
}

# kernel_config TREE OUTPUT BASE FRAGMENT...: merges, then checks that every line took
# effect (merge_config.sh only warns)
kernel_config() {
	local tree=$1 out=$2 base=$3 f fragments=()
	shift 3

	rm -rf "$out/fragments"
	mkdir -p "$out/fragments"
	for f; do
		config_of_tree "$tree" "$f" >"$out/fragments/${f##*/}"
		fragments+=("$out/fragments/${f##*/}")
	done
	set -- "${fragments[@]}"
	"${MAKE_KERNEL[@]}" -C "$tree" O="$out" -s "$base" || return 1
	(cd "$out" && KCONFIG_CONFIG=$out/.config \
		"$tree/scripts/kconfig/merge_config.sh" -m -O "$out" "$out/.config" "$@") || return 1
	"${MAKE_KERNEL[@]}" -C "$tree" O="$out" -s olddefconfig || return 1
	check_config "$out/.config" "$@"
}

# config_of_tree TREE FRAGMENT: adapted to the tree: PROC_SYSCTL is SYSCTL in 7.3, and
# before that UML has no SMP
config_of_tree() {
	local change=()

	grep -q '^config PROC_SYSCTL$' "$1/fs/proc/Kconfig" || change+=(-e 's/^CONFIG_PROC_SYSCTL=/CONFIG_SYSCTL=/')
	[ "${MAKE_KERNEL[*]: -1}" != ARCH=um ] || uml_has_smp "$1" || change+=(-e '/^CONFIG_\(SMP\|NR_CPUS\)=/d')
	sed -e '' ${change[@]+"${change[@]}"} "$2"
}

uml_has_smp() {
	grep -q '^config UML_SUBARCH_SUPPORTS_SMP' "$1/arch/um/Kconfig"
}

MAKE_KERNEL=(make "CC=ccache gcc" "HOSTCC=ccache gcc")

check_config() {
	local config=$1 line name value ok=0
	shift

	while IFS= read -r line; do
		name=${line%%=*} value=${line#*=}
		case $value in
		n) ! grep -q "^$name=" "$config" ;;
		*) grep -qxF -e "$line" "$config" ;;
		esac || { say "option did not take effect: $line"; ok=1; }
	done < <(sed -n 's/^\(CONFIG_[A-Za-z0-9_]*=.*\)$/\1/p' "$@")
	return "$ok"
}
