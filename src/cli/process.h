/* SPDX-License-Identifier: MIT */
/*
 * The process's own settings: descriptors 0 to 2 are open, SIGPIPE is ignored, standard output is
 * written line by line.
 */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

/* For every command. */
void process_prepare(void);

/* For those that serve: what they print waits for no reader. */
void process_unblock_output(void);

/* For those that serve: RLIMIT_NOFILE is raised to its hard limit. */
void process_raise_nofile(void);

#endif
