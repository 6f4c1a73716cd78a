/* SPDX-License-Identifier: MIT */
/* The commands of `bore`, each in a file of its own. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/program.h"

struct option_table;

extern const struct program bore_program;
extern const struct option_table bore_doctor_table, local_table, server_table;

int cmd_bore_doctor(const struct program *program, int argc, char **argv);
int cmd_local(const struct program *program, int argc, char **argv);
int cmd_server(const struct program *program, int argc, char **argv);

#endif
