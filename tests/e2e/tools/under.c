/* SPDX-License-Identifier: MIT */
/*
 * Runs a program in an environment that refuses what others do: "e2e-under ENVIRONMENT PROGRAM
 * [ARG...]". It becomes the program, under a filter of system calls and, in a container's, without
 * the privileges that are taken there. As in a container the filter comes without no_new_privs
 * where we may.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define INSNS_MAX 512
#define NAMESPACES                                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

enum {
	IN_NAMESPACES = 1 << 0, /* an administrator, or AppArmor, lets nobody make namespaces */
	IN_DOCKER = 1 << 1, /* Docker's default profile and capabilities, version 23 and later */
	IN_OLD_DOCKER = 1 << 2, /* the same before it knew Landlock */
	IN_OLD_KERNEL = 1 << 3, /* Linux before 5.13 */
	IN_NO_SECCOMP = 1 << 4, /* nobody may filter further */
	IN_BOOT = 1 << 5,       /* Landlock isn't in the boot parameter lsm= */
	IN_ANY_DOCKER = IN_DOCKER | IN_OLD_DOCKER,
};

static const struct {
	const char *name;
	unsigned bit;
} environments[] = {
	{ "namespaces", IN_NAMESPACES },
	{ "docker", IN_DOCKER },
	{ "old-docker", IN_OLD_DOCKER },
	{ "old-kernel", IN_OLD_KERNEL },
	{ "no-seccomp", IN_NO_SECCOMP },
	{ "boot", IN_BOOT },
};

/* What is refused where. Docker's: what moby's profiles/seccomp/default.json leaves out or allows
 * with CAP_SYS_ADMIN, CAP_SYS_PTRACE and others alone, which a container doesn't have. */
static const struct {
	int call, error;
	unsigned in;
	int arg; /* whose bits matter; -1: none */
	uint32_t bits;
} refusals[] = {
	{ SYS_unshare, EPERM, IN_NAMESPACES | IN_ANY_DOCKER, -1 },
	{ SYS_setns, EPERM, IN_NAMESPACES | IN_ANY_DOCKER, -1 },
	{ SYS_clone3, ENOSYS, IN_NAMESPACES | IN_ANY_DOCKER, -1 },
	{ SYS_clone, EPERM, IN_NAMESPACES | IN_ANY_DOCKER, 0, NAMESPACES },
	{ SYS_mount, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_umount2, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_pivot_root, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_open_tree, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_move_mount, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_fsopen, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_open_by_handle_at, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_fanotify_init, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_bpf, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_perf_event_open, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_userfaultfd, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_io_uring_setup, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_io_uring_enter, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_io_uring_register, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_keyctl, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_add_key, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_request_key, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_kcmp, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_process_madvise, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_pidfd_getfd, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_kexec_load, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_init_module, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_finit_module, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_reboot, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_swapon, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_acct, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_quotactl, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_settimeofday, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_clock_settime, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_vhangup, EPERM, IN_ANY_DOCKER, -1 },
	{ SYS_landlock_create_ruleset, EPERM, IN_OLD_DOCKER, -1 },
	{ SYS_landlock_add_rule, EPERM, IN_OLD_DOCKER, -1 },
	{ SYS_landlock_restrict_self, EPERM, IN_OLD_DOCKER, -1 },
	{ SYS_landlock_create_ruleset, ENOSYS, IN_OLD_KERNEL, -1 },
	{ SYS_landlock_create_ruleset, EOPNOTSUPP, IN_BOOT, -1 },
	{ SYS_seccomp, EPERM, IN_NO_SECCOMP, -1 },
};

/* What a container has: moby's oci/caps/defaults.go. */
static const int kept[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FSETID, CAP_FOWNER, CAP_MKNOD,
	CAP_NET_RAW, CAP_SETGID, CAP_SETUID, CAP_SETFCAP, CAP_SETPCAP, CAP_NET_BIND_SERVICE,
	CAP_SYS_CHROOT, CAP_KILL, CAP_AUDIT_WRITE };

static struct sock_filter insns[INSNS_MAX];
static unsigned short len;

static void put(uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	insns[len++] = (struct sock_filter)BPF_JUMP(code, k, jt, jf);
}

static void load(size_t offset)
{
	put(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void write_filter(unsigned environment)
{
	load(offsetof(struct seccomp_data, arch));
	put(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
	for (size_t i = 0; i < COUNT(refusals); i++) {
		if (!(refusals[i].in & environment))
			continue;
		load(offsetof(struct seccomp_data, nr));
		if (refusals[i].arg < 0) {
			put(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusals[i].call, 0, 1);
		} else {
			put(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusals[i].call, 0, 3);
			load(offsetof(struct seccomp_data, args) +
				(size_t)refusals[i].arg * sizeof(uint64_t));
			put(BPF_JMP | BPF_JSET | BPF_K, refusals[i].bits, 0, 1);
		}
		put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)refusals[i].error, 0, 0);
	}
	put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* Of who has any: an exec of root's gives what the bounding set has. */
static int drop_privileges(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		size_t i = 0;

		while (i < COUNT(kept) && kept[i] != cap)
			i++;
		if (i == COUNT(kept) && geteuid() == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { .filter = insns };
	unsigned environment = 0;

	for (size_t i = 0; argc > 2 && i < COUNT(environments); i++)
		if (strcmp(environments[i].name, argv[1]) == 0)
			environment = environments[i].bit;
	if (!environment) {
		fprintf(stderr, "usage: e2e-under ENVIRONMENT PROGRAM [ARG...]\n");
		return 2;
	}
	write_filter(environment);
	program.len = len;
	if (environment & IN_ANY_DOCKER && drop_privileges() < 0)
		return perror("capabilities"), 2;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 &&
		(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0))
		return perror("filter"), 2;
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
