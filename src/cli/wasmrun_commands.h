/* SPDX-License-Identifier: MIT */
/* The commands of `wasmrun`, each in a file of its own. The table of `os` is os/run_config.h's. */
#ifndef CLI_WASMRUN_COMMANDS_H
#define CLI_WASMRUN_COMMANDS_H

#include "cli/program.h"

struct option_table;

extern const struct program wasmrun_program;
extern const struct option_table doctor_table, forward_table, logs_table, new_table, policy_table,
	ps_table, replay_table, requests_table, run_table, stop_table, tunnel_table;

int cmd_doctor(const struct program *program, int argc, char **argv);
int cmd_forward(const struct program *program, int argc, char **argv);
int cmd_logs(const struct program *program, int argc, char **argv);
int cmd_new(const struct program *program, int argc, char **argv);
int cmd_os(const struct program *program, int argc, char **argv);
int cmd_policy(const struct program *program, int argc, char **argv);
int cmd_ps(const struct program *program, int argc, char **argv);
int cmd_replay(const struct program *program, int argc, char **argv);
int cmd_requests(const struct program *program, int argc, char **argv);
int cmd_run(const struct program *program, int argc, char **argv);
int cmd_stop(const struct program *program, int argc, char **argv);
int cmd_tunnel(const struct program *program, int argc, char **argv);

#endif
