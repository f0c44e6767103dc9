# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
need_style() { :; }
part_style() { :; }
