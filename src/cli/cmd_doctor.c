/* SPDX-License-Identifier: MIT */
/* `wasmrun doctor`: which layers of the wall round an application hold on this machine. */
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "cli/exit_code.h"
#include "cli/running.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "os/wall.h"
#include "sandbox/cgroup.h"
#include "sandbox/file_rules.h"
#include "sandbox/layers.h"

static const struct option_def doctor_options[] = {
	RUNNING_HELP,
	RUNNING_JSON("Print a JSON object"),
};

const struct option_table doctor_table = {
	.program = "wasmrun",
	.command = "doctor",
	.summary = "Tell which layers of isolation this machine has",
	.defs = doctor_options,
	.count = ARRAY_LEN(doctor_options),
};

static void doctor_print(const struct layers *l)
{
	if (l->landlock_abi)
		printf("files:        Landlock, ABI %u%s\n", l->landlock_abi,
			l->landlock_abi < WALL_ABI_TRUNCATION
				? "; truncation is refused by the filter"
				: "");
	else
		printf("files:        NO Landlock: %s\n", file_rules_explain_none());
	if (l->filter == 0)
		printf("system calls: a filter (seccomp)\n");
	else
		printf("system calls: NO filter (seccomp): %s. " WALL_FILTER_NEEDS "\n",
			strerror(-l->filter));
	if (l->namespaces == 0)
		printf("namespaces:   user, network, IPC, host name\n");
	else
		printf("namespaces:   none: %s; the others hold without\n",
			strerror(-l->namespaces));
	if (l->cgroup == 0)
		printf("cgroup:       limits of memory, threads and processor time\n");
	else
		printf("cgroup:       no limits: %s\n", cgroup_explain(l->cgroup));
	printf("%s\n",
		layers_hold(l)
			? "Applications are isolated."
			: "Applications are NOT isolated, and start with --no-isolation alone.");
}

int cmd_doctor(const struct program *program, int argc, char **argv)
{
	struct running_values values = { 0 };
	struct option_set set;
	struct layers layers;
	int code;

	if (!usage_parse(&set, &doctor_table, &values, argc, argv, &code))
		return code;
	layers_probe(wall_abi_max, &layers);
	if (values.json) {
		json_auto_t *object = json_pack("{s:b, s:i, s:b, s:b, s:b}", "isolated",
			layers_hold(&layers), "landlock_abi", (int)layers.landlock_abi, "filter",
			layers.filter == 0, "namespaces", layers.namespaces == 0, "cgroup",
			layers.cgroup == 0);

		running_write_json(object);
	} else {
		doctor_print(&layers);
	}
	return layers_hold(&layers) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
