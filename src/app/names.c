/* SPDX-License-Identifier: MIT */
/*
 * WebAssembly core specification, "Binary Format", 5.5.3, 5.5.5 and 5.5.10, the tool conventions'
 * ProducersSection.md, and the component model's Binary.md, "Import and Export Definitions". A
 * reader that meets something unknown becomes empty, which ends every loop over it.
 */
#include "app/names.h"

#include <stdbool.h>
#include <string.h>

struct reader {
	const uint8_t *at, *end;
	bool cut; /* there was less than wanted */
};

static bool reader_fail(struct reader *r)
{
	r->at = r->end;
	return false;
}

static uint8_t reader_byte(struct reader *r)
{
	if (r->at < r->end)
		return *r->at++;
	r->cut = true;
	return 0;
}

/* A number in LEB128, signed or not, whose upper bits beyond 32 don't matter here. */
static uint32_t reader_number(struct reader *r)
{
	uint32_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = reader_byte(r);
		if (shift < 32)
			value |= (uint32_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

static bool reader_name(struct reader *r, struct name *ret_name)
{
	uint32_t len = reader_number(r);

	if (r->cut || len > (size_t)(r->end - r->at))
		return reader_fail(r);
	*ret_name = (struct name){ (const char *)r->at, len };
	r->at += len;
	return true;
}

/* A value or reference type; the two of a reference have a heap type behind them. */
static void reader_skip_type(struct reader *r)
{
	uint8_t form = reader_byte(r);

	if (form == 0x63 || form == 0x64)
		(void)reader_number(r);
}

static void reader_skip_limits(struct reader *r)
{
	uint8_t flags = reader_byte(r);

	(void)reader_number(r);
	if (flags & 1) /* a maximum */
		(void)reader_number(r);
	if (flags & 8) /* a page size */
		(void)reader_number(r);
}

/* False: a kind of import that isn't known here. */
static bool reader_skip_import_type(struct reader *r)
{
	switch (reader_byte(r)) {
	case 0: /* function */
		(void)reader_number(r);
		return true;
	case 1: /* table */
		reader_skip_type(r);
		reader_skip_limits(r);
		return true;
	case 2: /* memory */
		reader_skip_limits(r);
		return true;
	case 3: /* global, and whether it can be written */
		reader_skip_type(r);
		(void)reader_byte(r);
		return true;
	case 4: /* tag, behind a byte that is zero */
		(void)reader_byte(r);
		(void)reader_number(r);
		return true;
	default:
		return reader_fail(r);
	}
}

void names_read_imports(const uint8_t *bytes, size_t len, name_fn fn, void *arg)
{
	struct reader r = { .at = bytes, .end = bytes + len };
	struct name module, name;

	(void)reader_number(&r);
	while (r.at < r.end && reader_name(&r, &module) && reader_name(&r, &name)) {
		fn(arg, &module, &name);
		(void)reader_skip_import_type(&r);
	}
}

void names_read_exports(const uint8_t *bytes, size_t len, name_fn fn, void *arg)
{
	struct reader r = { .at = bytes, .end = bytes + len };
	struct name none = { "", 0 }, name;

	(void)reader_number(&r);
	while (r.at < r.end && reader_name(&r, &name)) {
		fn(arg, &none, &name);
		(void)reader_byte(&r);
		(void)reader_number(&r);
	}
}

/* Fields ("language", "processed-by", ...) of values, each with a version. */
static void reader_producers(struct reader *r, const struct name *section, name_fn fn, void *arg)
{
	uint32_t fields = reader_number(r);
	struct name field, value, version;

	while (fields-- > 0 && r->at < r->end && reader_name(r, &field))
		for (uint32_t left = reader_number(r); left > 0 && r->at < r->end; left--)
			if (reader_name(r, &value) && reader_name(r, &version))
				fn(arg, section, &value);
}

void names_read_custom(const uint8_t *bytes, size_t len, name_fn fn, void *arg)
{
	static const char producers[] = "producers";
	struct reader r = { .at = bytes, .end = bytes + len };
	struct name none = { "", 0 }, section;

	if (!reader_name(&r, &section))
		return;
	fn(arg, &section, &none);
	if (section.len == strlen(producers) && memcmp(section.text, producers, section.len) == 0)
		reader_producers(&r, &section, fn, arg);
}

/* Forms 0 and 1 are the name alone, 2 has options behind it, each a byte and a text. */
static bool reader_component_name(struct reader *r, struct name *ret_name)
{
	uint8_t form = reader_byte(r);
	struct name option;

	if (form > 2)
		return reader_fail(r);
	if (!reader_name(r, ret_name))
		return false;
	if (form < 2)
		return true;
	for (uint32_t left = reader_number(r); left > 0 && r->at < r->end; left--) {
		(void)reader_byte(r);
		(void)reader_name(r, &option);
	}
	return true;
}

/* The sort, which may be one of the core's, and the index. */
static void reader_skip_sort_index(struct reader *r)
{
	if (reader_byte(r) == 0)
		(void)reader_byte(r);
	(void)reader_number(r);
}

/* The type that an export may be given. */
static void reader_skip_extern_type(struct reader *r)
{
	switch (reader_byte(r)) {
	case 0: /* core module, behind its own sort */
		(void)reader_byte(r);
		break;
	case 2: /* value: equal to another one, or of a type */
		(void)reader_byte(r);
		break;
	case 3: /* type: equal to another one, or a resource, which says no more */
		if (reader_byte(r) == 1)
			return;
		break;
	default:
		break;
	}
	(void)reader_number(r);
}

void names_read_component_exports(const uint8_t *bytes, size_t len, name_fn fn, void *arg)
{
	struct reader r = { .at = bytes, .end = bytes + len };
	struct name none = { "", 0 }, name;

	(void)reader_number(&r);
	while (r.at < r.end && reader_component_name(&r, &name)) {
		fn(arg, &none, &name);
		reader_skip_sort_index(&r);
		if (reader_byte(&r) == 1)
			reader_skip_extern_type(&r);
	}
}
