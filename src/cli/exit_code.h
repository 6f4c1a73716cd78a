/* SPDX-License-Identifier: MIT */
/*
 * What the program's exit says. Scripts depend on these numbers: they are documented in
 * docs/operations.md and in the manual pages, and never change their meaning.
 */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

enum exit_code {
	EXIT_CODE_OK = 0,           /* done, or ended by a signal */
	EXIT_CODE_FAILED = 1,       /* anything that has no number of its own */
	EXIT_CODE_USAGE = 2,        /* the command line or a variable is wrong */
	EXIT_CODE_UNREACHABLE = 3,  /* no address of the relay answers */
	EXIT_CODE_UNRESOLVED = 4,   /* the relay's name does not resolve */
	EXIT_CODE_SECRET = 5,       /* the secret is wrong, missing, or not asked for */
	EXIT_CODE_PORT = 6,         /* the wanted public port is taken or not allowed */
	EXIT_CODE_NOT_BORE = 7,     /* what answers there is no bore relay */
	EXIT_CODE_REFUSED = 8,      /* the relay gave another reason */
	EXIT_CODE_LOST = 9,         /* the connection was lost and not to be had again */
	EXIT_CODE_LISTEN = 10,      /* an address can't be listened on */
	EXIT_CODE_FILE = 11,        /* a file can't be read or written */
	EXIT_CODE_APP = 12,         /* the application can't be built or doesn't start */
	EXIT_CODE_NOT_RUNNING = 13, /* nothing runs, or which one is meant is not clear */
};

#endif
