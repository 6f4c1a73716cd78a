/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun doctor`: which layers of the wall round an application hold on this machine, and what
 * there is to build and run it; before that, where it is asked for, what `bore doctor` looks at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/program_path.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/printable.h"
#include "cli/doctor.h"
#include "cli/exit_code.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"
#include "os/engine_program.h"
#include "os/wall.h"
#include "sandbox/cgroup.h"
#include "sandbox/file_rules.h"
#include "sandbox/layers.h"

static const struct option_def doctor_options[] = {
	DOCTOR_OPTIONS(NULL, "WASMRUN_TUNNEL_SECRET", "WASMRUN_TUNNEL_SERVER"),
};

const struct option_table doctor_table = {
	.program = "wasmrun",
	.command = "doctor",
	.summary = "Tell what this machine has to isolate, build and run applications, and what is "
		   "wrong with a tunnel",
	.defs = doctor_options,
	.count = ARRAY_LEN(doctor_options),
};

/* What builds an application, by the name that is looked for along PATH. */
static const char *const compilers[] = { "clang", "go", "tinygo", "cargo", "npm", "python3" };

struct engines {
	char *guest, *wasmtime; /* paths; NULL: none, and why */
	char guest_why[APP_WHY_MAX], wasmtime_why[APP_WHY_MAX];
	char compilers[128];
};

static void engines_find(struct engines *e)
{
	char path[PATH_MAX];

	(void)engine_file_find("wasmrun-guest", &e->guest, e->guest_why);
	(void)wasmtime_find(&e->wasmtime, e->wasmtime_why);
	for (size_t i = 0; i < ARRAY_LEN(compilers); i++)
		if (program_path_find(compilers[i], path))
			(void)snprintf(e->compilers + strlen(e->compilers),
				sizeof(e->compilers) - strlen(e->compilers), "%s%s",
				e->compilers[0] ? ", " : "", compilers[i]);
}

static void engines_print_one(const char *label, const char *path, const char *why)
{
	const char *text = path ? path : why;

	printf("%-14s%s", label, path ? "" : "NO engine: ");
	(void)printable_write(stdout, text, strlen(text));
	putchar('\n');
}

static void engines_print(const struct engines *e)
{
	engines_print_one("modules:", e->guest, e->guest_why);
	engines_print_one("components:", e->wasmtime, e->wasmtime_why);
	printf("compilers:    %s\n", e->compilers[0] ? e->compilers : "none on PATH");
}

static void layers_print(const struct layers *l)
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
}

static int doctor_look_at_machine(json_t *report)
{
	struct engines engines = { 0 };
	struct layers layers;
	bool isolated;

	layers_probe(wall_abi_max, &layers);
	engines_find(&engines);
	isolated = layers_hold(&layers);
	if (report) {
		(void)json_object_update_new(
			report, json_pack("{s:b, s:i, s:b, s:b, s:b, s:s?, s:s?}", "isolated",
					isolated, "landlock_abi", (int)layers.landlock_abi,
					"filter", layers.filter == 0, "namespaces",
					layers.namespaces == 0, "cgroup", layers.cgroup == 0,
					"guest", engines.guest, "wasmtime", engines.wasmtime));
	} else {
		layers_print(&layers);
		engines_print(&engines);
		puts(isolated ? "Applications are isolated."
			      : "Applications are NOT isolated, and start with --no-isolation "
				"alone.");
	}
	free(engines.guest);
	free(engines.wasmtime);
	return isolated ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int doctor_look(struct option_set *set, struct doctor_values *values)
{
	json_auto_t *report = values->json ? json_pack("{s:[]}", "checks") : NULL;
	int code = EXIT_CODE_OK, machine;

	if (values->to || values->local_port)
		code = doctor_run(set, values, json_object_get(report, "checks"));
	if (code == EXIT_CODE_USAGE)
		return code;
	machine = doctor_look_at_machine(report);
	code = code == EXIT_CODE_OK ? machine : code;
	if (report)
		doctor_write_json(report, code);
	return code;
}

int cmd_doctor(const struct program *program, int argc, char **argv)
{
	struct doctor_values values = { 0 };
	struct option_set set;
	int code;

	if (usage_parse(&set, &doctor_table, &values, argc, argv, &code))
		code = doctor_look(&set, &values);
	option_values_clear(&doctor_table, &values);
	return code;
}
