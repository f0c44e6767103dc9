# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# scripts/test model: docs/model/run prints ok and not ok lines of its own.

need_model() {
	need spin:spin gcc:gcc
}

part_model() {
	local rc=0 line

	[ -x "$REPO/docs/model/run" ] || { not_ok "models" "docs/model/run is missing"; return; }
	: >"$CACHE/log/model.log"
	run_logged "$REPO/docs/model/run" || rc=$?
	while read -r line; do
		case $line in
		"ok "*) ok "$(say "$line" | sed 's/^ok *[0-9]* *//')" ;;
		"not ok "*) not_ok "$(say "$line" | sed 's/^not ok *[0-9]* *//')" "see $LOG" ;;
		esac
	done <"$LOG"
	[ "$rc" -eq 0 ] || grep -q '^not ok' "$LOG" || not_ok "docs/model/run" "exit status $rc"
	grep -qE '^[1-9][0-9]* passed, 0 failed$' "$LOG" || [ "$rc" -ne 0 ] || not_ok "docs/model/run" "no result"
}
