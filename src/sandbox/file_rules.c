/* SPDX-License-Identifier: MIT */
/*
 * A right that the ruleset handles is refused everywhere but below the rules that grant it. So the
 * ruleset handles all that the kernel's ABI knows, and what a newer one adds is refused by a newer
 * version of this table only: each is listed with the ABI that brought it.
 */
#include "sandbox/file_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"

/* Younger than Debian 12's headers (6.1). */
#define ACCESS_FS_TRUNCATE (1ull << 14)
#define ACCESS_FS_IOCTL_DEV (1ull << 15)
#define ACCESS_NET_BIND_TCP (1ull << 0)
#define ACCESS_NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0)
#define SCOPE_SIGNAL (1ull << 1)

/* struct landlock_ruleset_attr as of ABI 6; an older kernel takes a longer one whose rest is zero.
 */
struct ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS                                                                   \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |         \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |            \
		LANDLOCK_ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)

/* The only ones that a rule for a file, rather than a folder, may have. */
#define FILE_RIGHTS                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
		LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_FS_TRUNCATE)

static const uint64_t rights_of[] = {
	[FILE_ACCESS_READ] = READ_RIGHTS,
	[FILE_ACCESS_RUN] = READ_RIGHTS | LANDLOCK_ACCESS_FS_EXECUTE,
	[FILE_ACCESS_WRITE] = WRITE_RIGHTS,
};

/* What each ABI brought. */
static const struct ruleset_attr rights_since[] = {
	[1] = { .handled_access_fs = WRITE_RIGHTS - LANDLOCK_ACCESS_FS_REFER - ACCESS_FS_TRUNCATE +
				     LANDLOCK_ACCESS_FS_EXECUTE + LANDLOCK_ACCESS_FS_MAKE_CHAR +
				     LANDLOCK_ACCESS_FS_MAKE_BLOCK + LANDLOCK_ACCESS_FS_MAKE_FIFO +
				     LANDLOCK_ACCESS_FS_MAKE_SOCK },
	[2] = { .handled_access_fs = LANDLOCK_ACCESS_FS_REFER },
	[3] = { .handled_access_fs = ACCESS_FS_TRUNCATE },
	[4] = { .handled_access_net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP },
	[5] = { .handled_access_fs = ACCESS_FS_IOCTL_DEV },
	[6] = { .scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL },
};

static long ask_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* What a container's filter doesn't know is EPERM in some, and ENOSYS in others. */
const char *file_rules_explain_none(void)
{
	if (ask_abi() >= 0)
		return "it is there";
	if (errno == EOPNOTSUPP)
		return "it is switched off: 'landlock' has to be in the boot parameter lsm=";
	if (errno == ENOSYS)
		return "it needs Linux 5.13 or newer, built with it, and in a container a filter "
		       "of system calls that knows it (Docker 23 or newer)";
	return "a filter of system calls refuses it: in a container, take a newer version of what "
	       "runs it (Docker 23), or a profile that allows landlock_create_ruleset, "
	       "landlock_add_rule and landlock_restrict_self";
}

unsigned file_rules_abi(unsigned abi_max)
{
	long abi = ask_abi();

	if (abi < 0)
		return 0;
	return abi_max && (unsigned)abi > abi_max ? abi_max : (unsigned)abi;
}

static struct ruleset_attr rights_handled(unsigned abi)
{
	struct ruleset_attr all = { 0 };

	for (size_t i = 1; i <= abi && i < ARRAY_LEN(rights_since); i++) {
		all.handled_access_fs |= rights_since[i].handled_access_fs;
		all.handled_access_net |= rights_since[i].handled_access_net;
		all.scoped |= rights_since[i].scoped;
	}
	return all;
}

static int ruleset_add(int ruleset, const struct file_rule *rule, uint64_t handled)
{
	struct landlock_path_beneath_attr beneath = {
		.allowed_access = rights_of[rule->access] & handled,
	};
	_cleanup_(fd_closep) int fd = open(rule->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT && rule->optional ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		beneath.allowed_access &= FILE_RIGHTS;
	beneath.parent_fd = fd;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0
		       ? -errno
		       : 0;
}

int file_rules_open(const struct file_rule *rules, size_t count, unsigned abi_max, int *ret_fd,
	const char **ret_path)
{
	struct ruleset_attr handled = rights_handled(file_rules_abi(abi_max));
	_cleanup_(fd_closep) int ruleset = -1;
	int r;

	*ret_path = NULL;
	if (!handled.handled_access_fs)
		return -EOPNOTSUPP;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		r = ruleset_add(ruleset, &rules[i], handled.handled_access_fs);
		if (r < 0) {
			*ret_path = rules[i].path;
			return r;
		}
	}
	*ret_fd = take_fd(&ruleset);
	return 0;
}

int file_rules_enter(int ruleset_fd)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0 ? -errno : 0;
}
