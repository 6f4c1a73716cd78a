/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts. Everything that a shell could take for syntax is quoted: the help texts hold
 * quotes and brackets. Names, letters and choices are plain words.
 */
#include "conf/option_complete.h"

#include <string.h>

#include "conf/option.h"
#include "conf/option_help.h"

struct commands {
	const struct option_table *const *tables;
	size_t count;
};

/* Inside '…'. A quote becomes '\'': end, an escaped quote, begin. */
static void complete_write_quoted(const char *text, const char *escaped, FILE *out)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr(escaped, *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
}

static void complete_write_choices(const struct option_def *def, FILE *out)
{
	for (size_t i = 0; def->choices[i]; i++)
		fprintf(out, "%s%s", i ? " " : "", def->choices[i]);
}

static void complete_write_commands(const struct commands *all, FILE *out)
{
	for (size_t i = 0; i < all->count; i++)
		fprintf(out, "%s%s", i ? " " : "", all->tables[i]->command);
}

/* An assignment of what bash completes a value with: `words`, or an `action` of compgen. */
static void bash_write_value(const struct option_def *def, const struct commands *all, FILE *out)
{
	static const char *const actions[OPTION_TYPES] = {
		[OPTION_FILE] = "-f",
		[OPTION_FOLDERS] = "-d",
	};

	if (actions[def->type]) {
		fprintf(out, "action=%s", actions[def->type]);
		return;
	}
	fputs("words='", out);
	if (def->choices)
		complete_write_choices(def, out);
	else if (def->type == OPTION_COMMAND)
		complete_write_commands(all, out);
	fputc('\'', out);
}

/* For a word that is no option's value: an option where it begins like one, else the first
 * argument, where its type says what that can be. */
static void bash_write_default(const struct option_table *t, const struct commands *all, FILE *out)
{
	const struct option_def *first = t->count && t->defs[0].positional ? &t->defs[0] : NULL;

	fputs("\t\t*)\n\t\t\twords='", out);
	for (size_t i = 0; i < t->count; i++)
		if (!t->defs[i].positional)
			fprintf(out, "--%s ", t->defs[i].name);
	fputs("'\n", out);
	if (first &&
		(first->choices || first->type == OPTION_FILE || first->type == OPTION_COMMAND)) {
		fputs("\t\t\t[[ $current == -* ]] || ", out);
		bash_write_value(first, all, out);
		fputc('\n', out);
	}
	fputs("\t\t\t;;\n", out);
}

/* A case of the switch over commands, with one over the word before the current one. */
static void bash_write_command(const struct option_table *t, const struct commands *all, FILE *out)
{
	fprintf(out, "\t%s)\n\t\tcase $previous in\n", t->command);
	for (size_t i = 0; i < t->count; i++) {
		const struct option_def *def = &t->defs[i];

		if (def->positional || !option_takes_value(def))
			continue;
		fputs("\t\t", out);
		if (def->letter)
			fprintf(out, "-%c | ", def->letter);
		fprintf(out, "--%s) ", def->name);
		bash_write_value(def, all, out);
		fputs(" ;;\n", out);
	}
	bash_write_default(t, all, out);
	fputs("\t\tesac\n\t\t;;\n", out);
}

static void bash_write(const struct commands *all, FILE *out)
{
	const char *program = all->tables[0]->program;

	/* bash splits --option=value into three words. */
	fprintf(out,
		"# bash completion for %s\n"
		"_%s()\n{\n"
		"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
		"\tlocal words='' action=''\n"
		"\tCOMPREPLY=()\n"
		"\tif [[ $current == = ]]; then\n\t\tcurrent=''\n"
		"\telif [[ $previous == = ]]; then\n"
		"\t\tprevious=${COMP_WORDS[COMP_CWORD - 2]}\n\tfi\n"
		"\tif ((COMP_CWORD == 1)); then\n\t\twords='--help --version ",
		program, program);
	complete_write_commands(all, out);
	fputs("'\n\telse\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (size_t i = 0; i < all->count; i++)
		bash_write_command(all->tables[i], all, out);
	fprintf(out,
		"\tesac\n\tfi\n"
		"\tif [[ -n $action ]]; then\n\t\tcompopt -o filenames\n"
		"\t\tmapfile -t COMPREPLY < <(compgen \"$action\" -- \"$current\")\n"
		"\telse\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
		"\"$current\")\n\tfi\n"
		"}\ncomplete -F _%s %s\n",
		program, program);
}

static void fish_write_option(const struct option_table *t, const struct option_def *def,
	const struct commands *all, FILE *out)
{
	char help[OPTION_HELP_MAX];

	fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s'", t->program, t->command);
	if (!def->positional)
		fprintf(out, " -l %s", def->name);
	if (def->letter)
		fprintf(out, " -s %c", def->letter);
	if (def->choices) {
		fputs(" -xa '", out);
		complete_write_choices(def, out);
		fputc('\'', out);
	} else if (def->type == OPTION_COMMAND) {
		fputs(" -xa '", out);
		complete_write_commands(all, out);
		fputc('\'', out);
	} else if (def->type == OPTION_FILE) {
		/* -F undoes the -f of the whole program. */
		fputs(def->positional ? " -F" : " -rF", out);
	} else if (def->type == OPTION_FOLDERS) {
		fputs(" -xa '(__fish_complete_directories)'", out);
	} else if (option_takes_value(def)) {
		fputs(" -x", out);
	}
	/* fish knows the backslash inside single quotes, and \' too. */
	fputs(" -d '", out);
	complete_write_quoted(option_help(t, def, help), "\\", out);
	fputs("'\n", out);
}

static void fish_write(const struct commands *all, FILE *out)
{
	const char *program = all->tables[0]->program;

	fprintf(out, "# fish completion for %s\ncomplete -c %s -f\n", program, program);
	for (size_t i = 0; i < all->count; i++) {
		fprintf(out, "complete -c %s -n __fish_use_subcommand -a %s -d '", program,
			all->tables[i]->command);
		complete_write_quoted(all->tables[i]->summary, "\\", out);
		fputs("'\n", out);
	}
	for (size_t i = 0; i < all->count; i++)
		for (size_t o = 0; o < all->tables[i]->count; o++)
			fish_write_option(all->tables[i], &all->tables[i]->defs[o], all, out);
}

static void zsh_write_option(const struct option_table *t, const struct option_def *def,
	const struct commands *all, FILE *out)
{
	char help[OPTION_HELP_MAX];

	fputs(" \\\n\t\t\t'", out);
	if (def->positional) {
		fprintf(out, "%s:%s:", def->required ? "" : ":", def->name);
	} else {
		if (option_is_list(def))
			fputc('*', out); /* again and again */
		/* The list in front excludes the other spelling once one has been given. */
		if (def->letter)
			fprintf(out, "(-%c --%s)'{-%c,--%s%s}'", def->letter, def->name,
				def->letter, def->name, option_takes_value(def) ? "=" : "");
		else
			fprintf(out, "--%s%s", def->name, option_takes_value(def) ? "=" : "");
		fputc('[', out);
		complete_write_quoted(option_help(t, def, help), "[]\\:", out);
		fputc(']', out);
		if (option_takes_value(def)) {
			fputc(':', out);
			complete_write_quoted(def->value_name, "\\:", out);
			fputc(':', out);
		}
	}
	if (def->choices) {
		fputc('(', out);
		complete_write_choices(def, out);
		fputc(')', out);
	} else if (def->type == OPTION_COMMAND) {
		fputc('(', out);
		complete_write_commands(all, out);
		fputc(')', out);
	} else if (def->type == OPTION_FILE) {
		fputs("_files", out);
	} else if (def->type == OPTION_FOLDERS) {
		fputs("_files -/", out);
	}
	fputc('\'', out);
}

static void zsh_write(const struct commands *all, FILE *out)
{
	const char *program = all->tables[0]->program;

	fprintf(out, "#compdef %s\n_%s()\n{\n\tif ((CURRENT == 2)); then\n\t\tlocal -a commands\n",
		program, program);
	fputs("\t\tcommands=(", out);
	for (size_t i = 0; i < all->count; i++) {
		fprintf(out, "\n\t\t\t'%s:", all->tables[i]->command);
		complete_write_quoted(all->tables[i]->summary, "\\:", out);
		fputc('\'', out);
	}
	fputs(")\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	      "\tlocal command=$words[2]\n\tshift words\n\t((CURRENT--))\n\tcase $command in\n",
		out);
	for (size_t i = 0; i < all->count; i++) {
		fprintf(out, "\t%s)\n\t\t_arguments", all->tables[i]->command);
		for (size_t o = 0; o < all->tables[i]->count; o++)
			zsh_write_option(all->tables[i], &all->tables[i]->defs[o], all, out);
		if (all->tables[i]->rest)
			fprintf(out, " \\\n\t\t\t'*:%s:_files'", all->tables[i]->rest);
		fputs("\n\t\t;;\n", out);
	}
	fprintf(out, "\tesac\n}\n_%s \"$@\"\n", program);
}

void option_write_completion(
	enum option_shell shell, const struct option_table *const *tables, size_t count, FILE *out)
{
	static void (*const writers[OPTION_SHELLS])(const struct commands *, FILE *) = {
		[OPTION_SHELL_BASH] = bash_write,
		[OPTION_SHELL_FISH] = fish_write,
		[OPTION_SHELL_ZSH] = zsh_write,
	};

	writers[shell](&(struct commands){ tables, count }, out);
}
