/* SPDX-License-Identifier: MIT */
/* The command line's part of an option set. */
#ifndef CONF_OPTION_ARGS_H
#define CONF_OPTION_ARGS_H

struct option_set;

/* The first step of option_set_begin(). 0, or an enum option_condition. */
int option_set_read_args(struct option_set *set, int argc, char **argv);

#endif
