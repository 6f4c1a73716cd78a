/* SPDX-License-Identifier: MIT */
/* `wasmrun os`. Its options are os_run_table of os/run_config.h. */
#ifndef CLI_CMD_OS_H
#define CLI_CMD_OS_H

int cmd_os(int argc, char **argv);

#endif
