/* SPDX-License-Identifier: MIT */
/*
 * --help in clap's layout, and the options of a manual page.
 */
#include "conf/option_help.h"

#include <stdbool.h>
#include <string.h>

#include "conf/option.h"

#define LABEL_WIDTH 36 /* of "-x, --name <VALUE>" */
#define HELP_WIDTH 100 /* of a line */
#define MAN_WIDTH 76
#define LABEL_MAX 80

void option_write_usage(const struct option_table *t, FILE *out)
{
	char display[LABEL_MAX];

	fprintf(out, "%s %s [OPTIONS]", t->program, t->command);
	/* Options first, as the usage line of clap has them. */
	for (int positional = 0; positional < 2; positional++)
		for (size_t i = 0; i < t->count; i++) {
			const struct option_def *def = &t->defs[i];

			if (def->positional != (bool)positional)
				continue;
			if (def->required)
				fprintf(out, " %s", option_display(def, display, sizeof display));
			else if (positional)
				fprintf(out, " [%s]", def->name);
		}
	if (t->rest)
		fprintf(out, " [%s]...", t->rest);
}

const char *option_help(
	const struct option_table *t, const struct option_def *def, char buf[OPTION_HELP_MAX])
{
	char words[LABEL_MAX];

	if (def->goes_with)
		snprintf(buf, OPTION_HELP_MAX, "For %s: %s",
			option_words(t, def, words, sizeof words), def->help);
	else
		snprintf(buf, OPTION_HELP_MAX, "%s", def->help);
	return buf;
}

/* Writes the words of `text` behind column LABEL_WIDTH + 4; returns the column that follows. */
static size_t help_write_wrapped(const char *text, size_t column, FILE *out)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column + 1 + len > HELP_WIDTH) {
			fprintf(out, "\n%*s", LABEL_WIDTH + 3, "");
			column = LABEL_WIDTH + 3;
		}
		fprintf(out, " %.*s", (int)len, text);
		column += 1 + len;
		text += len;
		text += strspn(text, " ");
	}
	return column;
}

/* What stands in brackets behind the help: variable, key of the file, default, words. */
static void help_write_notes(const struct option_def *def, size_t column, FILE *out)
{
	char note[HELP_WIDTH];
	size_t len;

	if (def->env) {
		snprintf(note, sizeof note, "[env: %s]", def->env);
		column = help_write_wrapped(note, column, out);
	}
	if (def->key) {
		snprintf(note, sizeof note, "[key: %s]", def->key);
		column = help_write_wrapped(note, column, out);
	}
	if (def->fallback) {
		snprintf(note, sizeof note, "[default: %s]", def->fallback);
		column = help_write_wrapped(note, column, out);
	}
	if (def->choices) {
		len = (size_t)snprintf(note, sizeof note, "[possible values:");
		for (size_t i = 0; def->choices[i] && len < sizeof note; i++)
			len += (size_t)snprintf(note + len, sizeof note - len, " %s%s",
				def->choices[i], def->choices[i + 1] ? "," : "]");
		help_write_wrapped(note, column, out);
	}
}

static void help_write_entry(const struct option_table *t, const struct option_def *def, FILE *out)
{
	char display[LABEL_MAX], label[LABEL_MAX + 4], letter[] = "    ";
	char help[OPTION_HELP_MAX];

	option_display(def, display, sizeof display);
	if (def->letter) {
		letter[0] = '-';
		letter[1] = def->letter;
		letter[2] = ',';
	}
	snprintf(label, sizeof label, "%s%s", def->positional ? "" : letter, display);
	fprintf(out, "  %-*s ", LABEL_WIDTH, label);
	if (strlen(label) > LABEL_WIDTH)
		fprintf(out, "\n%*s", LABEL_WIDTH + 3, "");
	help_write_notes(
		def, help_write_wrapped(option_help(t, def, help), LABEL_WIDTH + 3, out), out);
	fputc('\n', out);
}

void option_write_help(const struct option_table *t, FILE *out)
{
	bool arguments = t->count && t->defs[0].positional, options = false;

	fprintf(out, "%s\n\nUsage: ", t->summary);
	option_write_usage(t, out);
	fputs(arguments ? "\n\nArguments:\n" : "\n", out);
	for (size_t i = 0; i < t->count; i++) {
		if (!t->defs[i].positional && !options) {
			fputs("\nOptions:\n", out);
			options = true;
		}
		help_write_entry(t, &t->defs[i], out);
	}
}

/*
 * A line of text for mdoc, in lines of MAN_WIDTH. A dot or quote in the first column would make it
 * a request, a plain dash is a hyphen, and the backslash begins an escape.
 */
static void man_write_text(const char *text, FILE *out)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > MAN_WIDTH)
			column = 0;
		if (column == 0)
			fputs(text[0] == '.' || text[0] == '\'' ? "\n\\&" : "\n", out);
		else
			fputc(' ', out);
		column += 1 + len;
		for (; len > 0; len--, text++)
			if (*text == '\\')
				fputs("\\e", out);
			else if (*text == '-')
				fputs("\\-", out);
			else
				fputc(*text, out);
		text += strspn(text, " ");
	}
}

void option_write_man(const struct option_table *t, FILE *out)
{
	char help[OPTION_HELP_MAX];

	for (size_t i = 0; i < t->count; i++) {
		const struct option_def *def = &t->defs[i];

		if (def->positional) {
			fprintf(out, ".It Ar %s", def->name);
		} else {
			fputs(".It ", out);
			if (def->letter)
				fprintf(out, "Fl %c , ", def->letter);
			fprintf(out, "Fl -%s", def->name);
			if (option_takes_value(def))
				fprintf(out, " Ar %s", def->value_name);
		}
		man_write_text(option_help(t, def, help), out);
		fputs(".\n", out);
		if (def->choices) {
			fputs("One of", out);
			for (size_t c = 0; def->choices[c]; c++)
				fprintf(out, "%s\n.Cm %s", c ? " ," : "", def->choices[c]);
			fputs(" .\n", out);
		}
		if (def->fallback)
			fprintf(out, "The default is\n.Cm %s .\n", def->fallback);
		if (def->env)
			fprintf(out, "Environment variable:\n.Ev %s .\n", def->env);
		if (def->key)
			fprintf(out, "Key of the file:\n.Ql %s .\n", def->key);
	}
}
