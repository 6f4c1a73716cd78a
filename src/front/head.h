/* SPDX-License-Identifier: MIT */
/*
 * The head of one HTTP/1 message (RFC 9112) as two programs must agree on it, so without any of the
 * leniencies by which they can be made to disagree: lines end in CRLF and nothing else, no line is
 * folded, no blank stands before a colon, and there is no control character but the tab. Pure.
 *
 * record/http_stream.h reads the same for showing, where what is strange is kept as it came.
 */
#ifndef FRONT_HEAD_H
#define FRONT_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of somebody else's text. */
struct span {
	const char *at;
	size_t len;
};

struct head {
	struct span line;   /* the first one, without its end */
	struct span fields; /* the others, without the empty one: for head_next() */
};

enum head_result {
	HEAD_WHOLE,
	HEAD_PARTIAL, /* right so far */
	HEAD_BAD,     /* no head, whatever follows */
};

/* WHOLE: *ret_head points into `data`, and is *ret_used bytes of it. Else only its `line` is
 * filled, once that has come. */
enum head_result head_read(
	const uint8_t *data, size_t len, struct head *ret_head, size_t *ret_used);

/* Takes the next field off `fields` of a head that was read. The value is without the blanks round
 * it. False: there is none. */
bool head_next(struct span *fields, struct span *ret_name, struct span *ret_value);

/* The value of the first field of that name, and how many there are. */
size_t head_field(const struct head *head, const char *name, struct span *ret_value);

/* Takes the next element off a list "a, b": without the blanks, never empty. False: none. */
bool head_next_element(struct span *list, struct span *ret_element);

/* Whether some field of that name has the element, in any case of letters; where ret_element isn't
 * NULL, it is as it stands there. */
bool head_lists(
	const struct head *head, const char *name, const char *element, struct span *ret_element);

/* In any case of letters. */
bool span_is(const struct span *span, const char *text);

#endif
