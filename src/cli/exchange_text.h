/* SPDX-License-Identifier: MIT */
/* Recorded requests, as the API tells them, on standard output for a person. */
#ifndef CLI_EXCHANGE_TEXT_H
#define CLI_EXCHANGE_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/* The names of the columns, and one RecordedRequest. */
void exchange_text_write_head(void);
void exchange_text_write_row(const json_t *summary);

/* A RecordedExchange: both heads and bodies. Without `secrets` the values of fields that let
 * somebody in are left out. */
void exchange_text_write(const json_t *exchange, bool secrets);

/* Whether a RecordedRequest gets no further, but for bytes of what it has become. */
bool exchange_text_is_over(const json_t *summary);

#endif
