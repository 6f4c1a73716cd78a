/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts. Everything that a shell could take for syntax is quoted: the help texts hold
 * quotes and brackets. Names, letters and choices are plain words.
 */
#include "conf/option_complete.h"

#include <string.h>

#include "conf/option.h"

/* Inside '…': a quote ends it, stands escaped, and begins it again. */
static void write_quoted(const char *text, const char *escaped, FILE *out)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr(escaped, *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
}

static void write_choices(const struct option_def *def, FILE *out)
{
	for (size_t i = 0; def->choices[i]; i++)
		fprintf(out, "%s%s", i ? " " : "", def->choices[i]);
}

/* One case of bash's inner switch: what may follow the option `def`. */
static void bash_write_value(const struct option_def *def, FILE *out)
{
	if (def->positional || !option_takes_value(def))
		return;
	fputs("\t\t", out);
	if (def->letter)
		fprintf(out, "-%c | ", def->letter);
	fprintf(out, "--%s) ", def->name);
	if (def->type == OPTION_CHOICE) {
		fputs("words='", out);
		write_choices(def, out);
		fputs("' ;;\n", out);
	} else {
		fputs(def->type == OPTION_FILE ? "action=-f ;;\n" : "words='' ;;\n", out);
	}
}

static void bash_write_command(const struct option_table *t, FILE *out)
{
	fprintf(out, "\t%s)\n\t\twords='", t->command);
	for (size_t i = 0; i < t->count; i++)
		if (!t->defs[i].positional) {
			fprintf(out, "--%s ", t->defs[i].name);
		} else if (t->defs[i].choices) {
			write_choices(&t->defs[i], out);
			fputc(' ', out);
		}
	fputs("'\n\t\tcase $previous in\n", out);
	for (size_t i = 0; i < t->count; i++)
		bash_write_value(&t->defs[i], out);
	fputs("\t\tesac\n\t\t;;\n", out);
}

static void bash_write(const struct option_table *const *tables, size_t count, FILE *out)
{
	const char *program = tables[0]->program;

	fprintf(out,
		"# bash completion for %s\n"
		"_%s()\n{\n"
		"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
		"\tlocal words='' action=''\n"
		"\tCOMPREPLY=()\n"
		"\tif ((COMP_CWORD == 1)); then\n\t\twords='--help --version",
		program, program);
	for (size_t i = 0; i < count; i++)
		fprintf(out, " %s", tables[i]->command);
	fputs("'\n\telse\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; i < count; i++)
		bash_write_command(tables[i], out);
	fprintf(out,
		"\tesac\n\tfi\n"
		"\tif [[ -n $action ]]; then\n\t\tcompopt -o filenames\n"
		"\t\tmapfile -t COMPREPLY < <(compgen \"$action\" -- \"$current\")\n"
		"\telse\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
		"\"$current\")\n\tfi\n"
		"}\ncomplete -F _%s %s\n",
		program, program);
}

static void fish_write_option(const struct option_table *t, const struct option_def *def, FILE *out)
{
	if (def->positional && !def->choices)
		return;
	fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s'", t->program, t->command);
	if (!def->positional)
		fprintf(out, " -l %s", def->name);
	if (def->letter)
		fprintf(out, " -s %c", def->letter);
	if (def->choices) {
		fputs(" -xa '", out);
		write_choices(def, out);
		fputc('\'', out);
	} else if (option_takes_value(def)) {
		fputs(def->type == OPTION_FILE ? " -rF" : " -x", out);
	}
	/* fish knows the backslash inside single quotes, and \' too. */
	fputs(" -d '", out);
	write_quoted(def->help, "\\", out);
	fputs("'\n", out);
}

static void fish_write(const struct option_table *const *tables, size_t count, FILE *out)
{
	const char *program = tables[0]->program;

	fprintf(out, "# fish completion for %s\ncomplete -c %s -f\n", program, program);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "complete -c %s -n __fish_use_subcommand -a %s -d '", program,
			tables[i]->command);
		write_quoted(tables[i]->summary, "\\", out);
		fputs("'\n", out);
	}
	for (size_t i = 0; i < count; i++)
		for (size_t o = 0; o < tables[i]->count; o++)
			fish_write_option(tables[i], &tables[i]->defs[o], out);
}

static void zsh_write_option(const struct option_def *def, FILE *out)
{
	fputs(" \\\n\t\t\t'", out);
	if (def->positional) {
		fprintf(out, ":%s:", def->name);
	} else {
		/* The list in front excludes the other spelling once one has been given. */
		if (def->letter)
			fprintf(out, "(-%c --%s)'{-%c,--%s%s}'", def->letter, def->name,
				def->letter, def->name, option_takes_value(def) ? "=" : "");
		else
			fprintf(out, "--%s%s", def->name, option_takes_value(def) ? "=" : "");
		fputc('[', out);
		write_quoted(def->help, "[]\\:", out);
		fputc(']', out);
		if (option_takes_value(def))
			fprintf(out, ":%s:", def->value_name);
	}
	if (def->choices) {
		fputc('(', out);
		write_choices(def, out);
		fputc(')', out);
	} else if (def->type == OPTION_FILE) {
		fputs("_files", out);
	}
	fputc('\'', out);
}

static void zsh_write(const struct option_table *const *tables, size_t count, FILE *out)
{
	const char *program = tables[0]->program;

	fprintf(out, "#compdef %s\n_%s()\n{\n\tif ((CURRENT == 2)); then\n\t\tlocal -a commands\n",
		program, program);
	fputs("\t\tcommands=(", out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "\n\t\t\t'%s:", tables[i]->command);
		write_quoted(tables[i]->summary, "\\:", out);
		fputc('\'', out);
	}
	fputs(")\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	      "\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $command in\n",
		out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "\t%s)\n\t\t_arguments", tables[i]->command);
		for (size_t o = 0; o < tables[i]->count; o++)
			zsh_write_option(&tables[i]->defs[o], out);
		fputs("\n\t\t;;\n", out);
	}
	fprintf(out, "\tesac\n}\n_%s \"$@\"\n", program);
}

void option_write_completion(
	enum option_shell shell, const struct option_table *const *tables, size_t count, FILE *out)
{
	static void (*const writers[OPTION_SHELLS])(
		const struct option_table *const *, size_t, FILE *) = {
		[OPTION_SHELL_BASH] = bash_write,
		[OPTION_SHELL_FISH] = fish_write,
		[OPTION_SHELL_ZSH] = zsh_write,
	};

	writers[shell](tables, count, out);
}
