/* SPDX-License-Identifier: MIT */
/* For tests: how a shell script begins that stands in for wasmrun-guest. `$status` is its status
 * pipe, which its arguments name. */
#ifndef OS_TEST_GUEST_SCRIPT_H
#define OS_TEST_GUEST_SCRIPT_H

#define GUEST_SCRIPT_HEAD                                                                       \
	"#!/bin/sh\n"                                                                           \
	"for arg; do case $arg in --status-fd=*) status=${arg#*=} ;; esac; done\n"              \
	"case $1 in --compile) [ -e .compile ] && . ./.compile; echo >&$status; exit ;; esac\n" \
	"ready() { echo >&$status; eval \"exec $status>&-\"; }\n"

#endif
