/* SPDX-License-Identifier: MIT */
/* `bore doctor`: takes the words of `bore local`, and says what would keep that from working. */
#include <stdio.h>
#include <stdlib.h>

#include "base/lang.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/usage.h"
#include "conf/option.h"

static const struct option_def doctor_options[] = {
	DOCTOR_OPTIONS("BORE_LOCAL_PORT", "BORE_SECRET", "BORE_SERVER"),
};

const struct option_table bore_doctor_table = {
	.program = "bore",
	.command = "doctor",
	.summary = "Finds out what is wrong between a visitor and a local port",
	.defs = doctor_options,
	.count = ARRAY_LEN(doctor_options),
};

int cmd_bore_doctor(const struct program *program, int argc, char **argv)
{
	struct doctor_values values = { 0 };
	json_auto_t *report = NULL;
	struct option_set set;
	int code;

	if (usage_parse(&set, &bore_doctor_table, &values, argc, argv, &code)) {
		if (values.json)
			report = json_pack("{s:[]}", "checks");
		code = doctor_run(&set, &values, json_object_get(report, "checks"));
	}
	if (report && code != EXIT_CODE_USAGE)
		doctor_write_json(report, code);
	option_values_clear(&bore_doctor_table, &values);
	return code;
}
