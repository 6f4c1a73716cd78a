/* SPDX-License-Identifier: MIT */
/*
 * Reason phrases of our own. libmicrohttpd has no call for one: it takes the phrase of a status
 * from its exported MHD_get_reason_phrase_for() each time that it writes a status line, and a
 * program that defines that function itself is asked instead.
 */
#ifndef MHD_REASON_H
#define MHD_REASON_H

/*
 * The phrase of the next status line that this thread's daemon writes, which is the one of the
 * response that is queued next. Borrowed until then, or until it is forgotten; NULL: the usual one.
 */
void mhd_reason_set(const char *phrase);

/* To be called before such a phrase is freed. */
void mhd_reason_forget(const char *phrase);

#endif
