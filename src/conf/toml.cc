/* SPDX-License-Identifier: MIT */
/*
 * The only C++ file: walks toml++'s tree once and keeps keys and values as C strings. Built without
 * exceptions; out of memory ends the program, which at this point has done nothing yet.
 */
#include "conf/toml.h"

#include <cerrno>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

struct toml_file {
	std::deque<std::string> texts; /* a deque leaves its elements where they are */
	std::vector<toml_entry> entries;
};

static const std::string &keep(toml_file *file, std::string text)
{
	file->texts.push_back(std::move(text));
	return file->texts.back();
}

static void add_value(toml_file *file, const char *key, const toml::node &node, bool element)
{
	toml_entry entry = {};

	entry.key = key;
	entry.line = node.source().begin.line;
	entry.element = element;
	std::string text;
	if (const auto *s = node.as_string())
		text = s->get();
	else if (const auto *i = node.as_integer())
		text = std::to_string(i->get());
	else if (const auto *b = node.as_boolean())
		text = b->get() ? "true" : "false";
	else {
		file->entries.push_back(entry);
		return;
	}
	const std::string &kept = keep(file, std::move(text));
	entry.text = kept.c_str();
	entry.len = kept.size();
	file->entries.push_back(entry);
}

/* The depth is bounded by the parser. */
static void add_table(toml_file *file, const std::string &prefix, const toml::table &table)
{
	for (const auto &[name, node] : table) {
		std::string path = prefix + std::string(name.str());

		if (const auto *inner = node.as_table()) {
			add_table(file, path + ".", *inner);
			continue;
		}
		const char *key = keep(file, std::move(path)).c_str();
		if (const auto *array = node.as_array())
			for (const auto &element : *array)
				add_value(file, key, element, true);
		else
			add_value(file, key, node, false);
	}
}

int toml_file_parse(const char *text, size_t len, toml_file **ret_file, uint32_t *ret_line,
	char ret_why[TOML_WHY_MAX])
{
	const toml::parse_result result = toml::parse(std::string_view(text, len));

	if (!result) {
		const std::string_view why = result.error().description();

		*ret_line = result.error().source().begin.line;
		std::snprintf(
			ret_why, TOML_WHY_MAX, "%.*s", static_cast<int>(why.size()), why.data());
		return -EINVAL;
	}
	auto *file = new toml_file;
	add_table(file, "", result.table());
	*ret_file = file;
	return 0;
}

toml_file *toml_file_free(toml_file *file)
{
	delete file;
	return nullptr;
}

size_t toml_file_count(const toml_file *file)
{
	return file->entries.size();
}

const toml_entry *toml_file_entry(const toml_file *file, size_t index)
{
	return &file->entries[index];
}
