/* SPDX-License-Identifier: MIT */
/*
 * Which files a guest can reach, as a Landlock ruleset (landlock(7),
 * Documentation/userspace-api/landlock.rst): nothing but what a rule names, and what lies below it.
 * It holds for whatever is opened from then on, by the guest and by all that it starts; descriptors
 * that are open already stay as they are.
 *
 * Beside the files it refuses TCP's bind and connect (ABI 4), what devices take by ioctl (ABI 5),
 * and signals and abstract Unix sockets that lead out (ABI 6), where the kernel can: the filter
 * (filter.h) refuses these as well.
 *
 * Not refused: to ask whether a name is there, how large, of when (stat(2)), and to change times,
 * modes and owners, which is the filter's business.
 */
#ifndef SANDBOX_FILE_RULES_H
#define SANDBOX_FILE_RULES_H

#include <stdbool.h>
#include <stddef.h>

enum file_access {
	FILE_ACCESS_READ,  /* read files, list folders */
	FILE_ACCESS_RUN,   /* and execute; mapping as code needs READ alone */
	FILE_ACCESS_WRITE, /* read, write, make, remove, rename; not execute, and no devices */
};

struct file_rule {
	const char *path; /* of a file or folder; symbolic links are followed now, not later */
	enum file_access access;
	bool optional; /* if there is none, there is none */
};

/*
 * The ABI of Landlock that holds here, at most `abi_max` (0: no limit; for tests of what an older
 * kernel has). 0: there is none. 1: files; 2: rename and link between folders; 3: truncation; 4:
 * TCP; 5: ioctl; 6: signals, abstract sockets.
 */
unsigned file_rules_abi(unsigned abi_max);

/* Where there is none: why, and what to do. */
const char *file_rules_explain_none(void);

/*
 * Makes the ruleset; *ret_fd is the caller's. A negative errno, and *ret_path names the rule that
 * can't be kept, or is NULL: -EOPNOTSUPP without Landlock, -ENOENT and the like of open(2).
 */
int file_rules_open(const struct file_rule *rules, size_t count, unsigned abi_max, int *ret_fd,
	const char **ret_path);

/*
 * Puts the calling thread, which should be the only one, under the rules, for ever; sets
 * no_new_privs. Async-signal-safe. 0 or a negative errno; -E2BIG: under 16 of them already.
 */
int file_rules_enter(int ruleset_fd);

#endif
