/* SPDX-License-Identifier: MIT */
/* What the option tables of every program have to be like. */
#ifndef CLI_TEST_PROGRAM_TABLES_H
#define CLI_TEST_PROGRAM_TABLES_H

struct program;

/* Order, letters, defaults, texts; a failure ends the test. */
void check_program(const struct program *program);

#endif
